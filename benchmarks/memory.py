"""Private memory of processes, from /proc."""

from pathlib import Path

PROC = Path("/proc")


def private_kb(pid: int) -> int:
    """Memory that only this process holds; 0 if it is gone."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def descendants(pid: int) -> list[int]:
    """All processes below this one."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            # The name of a process, in brackets, may hold anything.
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def sandboxed(pids: list[int]) -> list[int]:
    """Those in a PID namespace that is nested at least twice: the spawner's, and a sandbox's in it."""
    return [pid for pid in pids if _nesting(pid) >= 3]


def _nesting(pid: int) -> int:
    try:
        status = (PROC / str(pid) / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    line = next(line for line in status.splitlines() if line.startswith("NSpid:"))
    return len(line.split()) - 1
