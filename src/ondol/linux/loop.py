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
from collections import deque
from collections.abc import Iterator

CONTROL = "/dev/loop-control"

_CONFIGURE = 0x4C0A
_ADD = 0x4C80
_MAJOR = 7
_AUTOCLEAR = 4

# struct loop_config: descriptor, block size, struct loop_info64 (whose lo_flags lie at byte 52 of 232), 8 x u64.
_CONFIG = struct.Struct("=II 52xI176x 64x")


class LoopDevices:
    """Shows files as disks, on devices that nobody uses, making more of them as they are needed.

    `directory` is where their nodes are made, so that it works where /dev does not follow the kernel.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._control = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
        self._free: list[int] = []
        self._busy: deque[int] = deque()
        self._made = 0

    def show(self, file: int) -> tuple[int, int]:
        """Show `file` as a disk until its last user closes it: the number of the device, and a descriptor of it.

        The number is the caller's until `release`. Raises `OSError`.
        """
        for number in self._candidates():
            device = self._open(number)
            if device is None:
                self._busy.append(number)
                continue
            try:
                fcntl.ioctl(device, _CONFIGURE, _CONFIG.pack(file, 0, _AUTOCLEAR))
            except OSError as error:
                os.close(device)
                # Another program's, or the kernel has not let go of its last file yet.
                if error.errno != errno.EBUSY:
                    raise
                self._busy.append(number)
            else:
                return number, device
        raise AssertionError("there is always a next device")

    def reopen(self, number: int) -> int:
        """A descriptor to read what is on a device that is shown. Raises `OSError`."""
        return os.open(f"{self._directory}/{number}", os.O_RDONLY | os.O_CLOEXEC)

    def release(self, number: int) -> None:
        """The device is not used any more."""
        self._free.append(number)

    def _candidates(self) -> Iterator[int]:
        while self._free:
            yield self._free.pop()
        # One only: another program may hold a thousand of them for good.
        if self._busy:
            yield self._busy.popleft()
        while True:
            self._made += 1
            yield self._made - 1

    def _open(self, number: int) -> int | None:
        path = f"{self._directory}/{number}"
        if not os.path.exists(path):
            with contextlib.suppress(FileExistsError):
                fcntl.ioctl(self._control, _ADD, number)
            os.mknod(path, 0o600 | stat.S_IFBLK, os.makedev(_MAJOR, number))
        try:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            # Another program is making this very device: it is known already, and not yet there.
            if error.errno != errno.ENXIO:
                raise
            return None
