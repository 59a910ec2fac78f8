"""Giving up capabilities for good (capabilities(7))."""

# pathlib is slow to import and large, and this runs where both count.
# ruff: noqa: PTH123, PTH208

from __future__ import annotations

import ctypes
import os

from ondol.linux.libc import check, libc, prctl
from ondol.linux.process import set_no_new_privileges

_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


def drop_bounding() -> None:
    """No exec of this process or its children can gain a capability."""
    capability = 0
    # Reading one that the kernel does not know fails: it was the last.
    while libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) >= 0:
        prctl(_PR_CAPBSET_DROP, f"PR_CAPBSET_DROP {capability}", capability)
        capability += 1


def clear() -> None:
    """Empty this thread's permitted, effective, inheritable and ambient sets."""
    prctl(_PR_CAP_AMBIENT, "PR_CAP_AMBIENT_CLEAR_ALL", _PR_CAP_AMBIENT_CLEAR_ALL)
    header, nothing = _Header(_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    check(libc.capset(ctypes.byref(header), nothing), "capset")


def drop_all() -> None:
    """Leave this process without a capability and without a way to gain one.

    Capabilities belong to threads: call it before a second thread is started. Raises `RuntimeError` when a thread
    still has any.
    """
    if held_by("self"):
        drop_bounding()
        clear()
    set_no_new_privileges()
    for thread in os.listdir("/proc/self/task"):
        if held_by(f"self/task/{thread}"):
            raise RuntimeError(f"thread {thread} was started before the capabilities were dropped, and keeps its own")


def held_by(process: str) -> int:
    """The capabilities, a bit each, that a process (or thread, `self/task/N`) has or can raise."""
    with open(f"/proc/{process}/status", encoding="ascii", errors="replace") as file:
        lines = dict(line.split(":\t", 1) for line in file if line.startswith("Cap"))
    return int(lines["CapPrm"], 16) | int(lines["CapEff"], 16)


def become(user: int, group: int) -> None:
    """Become an ordinary user for good: no supplementary group, no capability, not to be read by others."""
    os.setgroups([])
    os.setresgid(group, group, group)
    # From user 0 to another, the kernel empties the permitted, effective and ambient sets (capabilities(7)).
    os.setresuid(user, user, user)
