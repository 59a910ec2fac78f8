"""The C library, and how a failed call of it becomes an `OSError`."""

from __future__ import annotations

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def check(result: int, what: str) -> int:
    """The result of a call, or the `OSError` that it means; `what` names the call and its object."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(number: int, what: str, *arguments: object) -> int:
    """A system call that the C library has no function for. Raises `OSError`."""
    return check(libc.syscall(ctypes.c_long(number), *arguments), what)


def prctl(option: int, what: str, argument: object = 0, second: object = 0) -> int:
    """`prctl(2)` with its unused arguments zero. Raises `OSError`."""
    return check(libc.prctl(option, argument, second, 0, 0), what)
