"""Classic BPF: small programs by which the kernel filters system calls (seccomp(2)) and packets (socket(7))."""

from __future__ import annotations

import ctypes
import struct

LOAD, LOAD_BYTE = 0x20, 0x30
LOAD_AFTER, LOAD_BYTE_AFTER = 0x40, 0x50  # counted from where `SKIP_HEADER` has led
SKIP_HEADER = 0xB1
EQUAL, AT_LEAST, ANY_BIT = 0x15, 0x35, 0x45
RETURN = 0x06

_STEP = struct.Struct("HBBI")


def step(code: int, value: int | None, if_true: int = 0, if_false: int = 0) -> bytes:
    """One step; after a comparison so many are passed over if it is true, and if not."""
    return _STEP.pack(code, if_true, if_false, value)


class Program(ctypes.Structure):
    """A program as the kernel takes it: a struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_char_p)]

    def __init__(self, steps: bytes) -> None:
        super().__init__(len(steps) // _STEP.size, steps)
