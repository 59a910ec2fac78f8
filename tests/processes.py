"""Processes as this machine sees them: whose they are, and which are in sandboxes."""

from pathlib import Path

from ondol.sandbox.jail.driver import JailDriver

PROC = Path("/proc")


def descendants(pid: int) -> set[int]:
    """Every process below this one."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.add(child)
            waiting.append(child)
    return found


def in_sandboxes(driver: JailDriver) -> set[int]:
    """All processes in the sandboxes of this driver, but their first ones."""
    assert driver.spawner_pid is not None
    return {pid for pid in descendants(driver.spawner_pid) if _numbers(pid)[2:] > [1]}


def _numbers(pid: int) -> list[int]:
    """A process's number here, in the spawner's namespace, and in its sandbox's, as far as it is in them."""
    try:
        status = (PROC / str(pid) / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(number) for number in status.partition("\nNSpid:")[2].partition("\n")[0].split()]
