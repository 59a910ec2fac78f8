"""Loop devices: a file seen as a disk (loop(4)). `LOOP_CONFIGURE` needs Linux 5.8."""

# pathlib is slow to import and large, and this runs where both count.
# ruff: noqa: PTH110

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct

CONTROL = "/dev/loop-control"

_CONFIGURE = 0x4C0A
_ADD = 0x4C80
_MAJOR = 7
_AUTOCLEAR = 4

# struct loop_config: descriptor, block size, struct loop_info64 (whose lo_flags lie at byte 52 of 232), 8 x u64.
_CONFIG = struct.Struct("=II 52xI176x 64x")


class LoopDevices:
    """Hands out loop devices that nobody uses, making more of them as they are needed.

    `directory` is where their nodes are made, so that it works where /dev does not follow the kernel.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._control = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
        self._free: list[int] = []
        self._made = 0

    def open(self) -> tuple[int, int]:
        """The number of a device, and a descriptor of it. The number is the caller's until `release`."""
        if self._free:
            index = self._free.pop()
        else:
            index = self._made
            self._made += 1
        return index, os.open(self._node(index), os.O_RDWR | os.O_CLOEXEC)

    def release(self, index: int) -> None:
        """The device is not used any more."""
        self._free.append(index)

    def _node(self, index: int) -> str:
        path = f"{self._directory}/{index}"
        if not os.path.exists(path):
            with contextlib.suppress(FileExistsError):
                fcntl.ioctl(self._control, _ADD, index)
            os.mknod(path, 0o600 | stat.S_IFBLK, os.makedev(_MAJOR, index))
        return path


def configure(device: int, file: int) -> bool:
    """Show `file` as the disk `device` until its last user closes it; False when it already shows another."""
    try:
        fcntl.ioctl(device, _CONFIGURE, _CONFIG.pack(file, 0, _AUTOCLEAR))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        raise
    return True
