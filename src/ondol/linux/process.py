"""What a process says about itself to the kernel, and handles to other processes."""

# pathlib is slow to import and large, and this runs where both count.
# ruff: noqa: PTH123

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal as signals

from ondol.linux.libc import check, libc, prctl, syscall

# Calls that keep the interpreter's lock: there is no other thread to hand it to.
_in_one_thread = ctypes.PyDLL(None, use_errno=True)
_in_one_thread.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
_in_one_thread.signal.restype = ctypes.c_void_p
_in_one_thread.syscall.restype = ctypes.c_long

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_NO_NEW_PRIVS = 38

_PIDFD_SEND_SIGNAL, _PIDFD_OPEN, _CLOSE_RANGE = 424, 434, 436
_CLONE = {"x86_64": 56, "aarch64": 220}[platform.machine()]
_CLONE_PARENT = 0x8000
_LAST_DESCRIPTOR = 0xFFFFFFFF


def die_with_parent(signal: int) -> None:
    """Receive `signal` when the thread that started this process ends. A set-id exec clears it."""
    prctl(_PR_SET_PDEATHSIG, "PR_SET_PDEATHSIG", signal)


def open_as_many_files_as_allowed() -> None:
    """The limit that is in force is often 1,024, for the sake of programs that use select(2)."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def set_dumpable(yes: bool) -> None:
    """Whether others of the same user may read this process's memory, environment and descriptors."""
    prctl(_PR_SET_DUMPABLE, "PR_SET_DUMPABLE", int(yes))


def set_name(name: str) -> None:
    """The short name that `ps` shows, of at most 15 bytes."""
    prctl(_PR_SET_NAME, "PR_SET_NAME", name.encode())


def set_no_new_privileges() -> None:
    """No exec of this process or its children gains anything: set-id bits and file capabilities mean nothing."""
    prctl(_PR_SET_NO_NEW_PRIVS, "PR_SET_NO_NEW_PRIVS", 1)


def overwrite_arguments(text: str) -> None:
    """What /proc/PID/cmdline shows of this process; never longer than its own arguments were."""
    with open("/proc/self/stat", encoding="ascii") as file:
        fields = file.read().rpartition(") ")[2].split()
    start, end = int(fields[45]), int(fields[46])
    room = end - start
    ctypes.memmove(start, text.encode()[: room - 1].ljust(room, b"\0"), room)


def close_all_but(*kept: int) -> None:
    """Close every descriptor of this process that is not named (Linux 5.9)."""
    first = 0
    for descriptor in (*sorted(kept), _LAST_DESCRIPTOR + 1):
        if first < descriptor:
            syscall(_CLOSE_RANGE, "close_range", ctypes.c_uint(first), ctypes.c_uint(descriptor - 1), 0)
        first = descriptor + 1


def fork_unnoticed() -> int:
    """Fork as the kernel does, without telling the interpreter: its hooks for forks touch a megabyte of pages.

    For a process of one thread whose child does next to nothing. The child's random generators go on where its
    parent's stood, and its own children should come from `os.fork`, which does tell.
    """
    return check(_in_one_thread.fork(), "fork")


def fork_sibling() -> int:
    """Fork a process that is a child of this one's parent, who is to wait for it. It should execute a program soon.

    For a process of one thread, which alone goes on in the child, behind the interpreter's back.
    """
    flags = ctypes.c_ulong(_CLONE_PARENT | signals.SIGCHLD)
    return check(_in_one_thread.syscall(ctypes.c_long(_CLONE), flags, *(ctypes.c_long(0),) * 4), "clone")


def restore_default(signal: int) -> None:
    """The kernel's own way with a signal, behind the interpreter's back and for the same reason."""
    _in_one_thread.signal(signal, None)


def open_process(pid: int) -> int:
    """A descriptor that means this process and, unlike its number, never another; readable once it has ended."""
    return syscall(_PIDFD_OPEN, f"pidfd_open({pid})", pid, 0)


def send_signal(process: int, signal: int) -> bool:
    """Signal the process of a descriptor, also one of its directory in /proc; False when it has ended."""
    if libc.syscall(ctypes.c_long(_PIDFD_SEND_SIGNAL), process, signal, None, 0) == 0:
        return True
    if ctypes.get_errno() == 3:  # ESRCH
        return False
    raise OSError(ctypes.get_errno(), f"pidfd_send_signal: {os.strerror(ctypes.get_errno())}")
