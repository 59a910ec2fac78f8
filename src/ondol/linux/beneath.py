"""Opening files without being led out of a directory, by links or `..` (`openat2(2)`, Linux 5.6)."""

from __future__ import annotations

import ctypes
import os
import struct

from ondol.linux.libc import syscall

_OPENAT2 = 437
_NO_MAGIC_LINKS, _BENEATH = 0x02, 0x08


def open_beneath(directory: int, path: str, flags: int) -> int:
    """Open a path that starts at an open directory. Raises `OSError`: with EXDEV if it leads out of there.

    Links are followed, also while somebody changes them, as far as they stay inside; an absolute one never does.
    """
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, _BENEATH | _NO_MAGIC_LINKS)
    return syscall(_OPENAT2, f"opening {path}", directory, os.fsencode(path), how, ctypes.c_size_t(len(how)))
