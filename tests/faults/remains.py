"""What of an ondol is left on the machine: processes, mounts, cgroups, namespaces."""

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")


def namespaces(pids: set[int]) -> set[str]:
    """The namespaces of these processes that are not this test's own."""
    return _namespaces_of(PROC / str(pid) for pid in pids) - _namespaces_of([PROC / "self"])


def now_ticks() -> int:
    """Now, in the clock ticks since boot in which the kernel says when a process started."""
    uptime = float((PROC / "uptime").read_text().split()[0])
    return int(uptime * os.sysconf("SC_CLK_TCK"))


def everybody() -> set[int]:
    """All processes of this machine."""
    return {int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()}


def in_use(wanted: set[str], before: int, strangers: set[int]) -> set[str]:
    """Which of these namespaces a process still has that started before this tick, and is none of the strangers.

    The kernel gives the number of a namespace that is gone to the next one that anybody makes: to what starts later, or
    to another ondol, beside which this test runs.
    """
    old = [
        entry
        for entry in (PROC / str(pid) for pid in everybody() - strangers)
        if _started(entry) < before and _lives(entry)
    ]
    return wanted & _namespaces_of(old)


def _started(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return sys.maxsize


def _namespaces_of(processes: Iterable[Path]) -> set[str]:
    found: set[str] = set()
    for process in processes:
        for kind in ("mnt", "pid", "net", "ipc", "uts"):
            try:
                found.add(str((process / "ns" / kind).readlink()))
            except OSError:
                continue
    return found


def of_directory(data_dir: Path, pids: set[int]) -> list[str]:
    """Whatever is still there of the ondol that had this data directory and these processes."""
    status = data_dir.stat()
    tag = f"ondol-{status.st_dev:x}-{status.st_ino:x}"
    left = [f"process {pid}" for pid in pids if _lives(PROC / str(pid))]
    left += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(data_dir) in line]
    for directory, names, _ in os.walk("/sys/fs/cgroup"):
        left += [f"{directory}/{name}" for name in names if tag in name]
    left += [
        str(loop) for loop in Path("/sys/block").glob("loop*/loop/backing_file") if str(data_dir) in _backing(loop)
    ]
    return left


def _lives(process: Path) -> bool:
    """One that has ended holds nothing, even if whoever it was left to has not taken note yet: some take seconds."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _backing(loop: Path) -> str:
    """The file behind a loop device; nothing if it has just gone."""
    try:
        return loop.read_text(errors="replace")
    except OSError:
        return ""


def wait_until_gone(data_dir: Path, pids: set[int], seconds: float = 15.0) -> list[str]:
    """What is left when nothing is, or the time is up."""
    deadline = time.monotonic() + seconds
    while (left := of_directory(data_dir, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left
