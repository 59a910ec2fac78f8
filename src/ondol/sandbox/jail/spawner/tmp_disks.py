"""A disk of its own for each sandbox's /tmp: exactly as large as configured, and not charged to its memory.

A disk is a sparse file seen through a loop device, holding an empty ext4. Making a file system takes 10 ms, so it is
done once for each size; a new disk gets a copy of the 60 KB that this wrote. The file has no name from the start and
the device lets go of it with its last user, so nothing can be left behind.

```
new ── mounted by a sandbox, handed back ──▶ kept ── sandbox gone, untouched ──▶ unused ── attached by the next ──▶ kept
                                               └──── touched ──▶ closed
```

A disk that anybody has written to is never used again. Nobody has if its metadata is byte for byte what it was: not
even a file without a name comes and goes without a trace there.
"""

# pathlib is slow to import and large, and this runs where both count.
# ruff: noqa: PTH101, PTH102, PTH106, PTH108

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from ondol.linux import loop, mounts
from ondol.sandbox.jail.inside.runtime import DISK, MOUNTED
from ondol.sandbox.jail.spawner.closer import Closer
from ondol.sandbox.jail.spawner.events import EventLoop
from ondol.sandbox.jail.spawner.tmp import INODES, Tmp

MEGABYTE = 1 << 20
MOST_UNUSED = 32
"""Of each size: what more become free are closed."""

_MKFS = "mkfs.ext4"
_SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
_FEATURES = ("-O", "^has_journal,^resize_inode", "-E", "lazy_itable_init=1,nodiscard,root_owner=0:0")
_OPTIONS = ("-q", "-F", "-m", "0", "-N", str(INODES), *_FEATURES)
_SUPERBLOCK = slice(1024, 2048)
"""Where ext4 counts its mounts, among others: it changes without anybody's doing."""

Extents = list[tuple[int, bytes]]
"""Where an empty file system is not zero, and what is there; its superblock is one of them."""


class TmpDisks:
    """Makes disks, their files in `directory`; needs a private directory, `scratch`, that takes device nodes.

    Raises `OSError` where this machine can't.
    """

    limited = True

    def __init__(self, directory: str, scratch: str, events: EventLoop) -> None:
        self._mkfs = find_mkfs()
        self._directory = directory
        self._events = events
        self._scratch = f"{scratch}/disk"
        os.mkdir(self._scratch)
        os.mkdir(f"{scratch}/devices")
        self._devices = loop.LoopDevices(f"{scratch}/devices")
        self._closer = Closer()
        self._templates: dict[int, Extents] = {}
        self._awaited: dict[int, list[Callable[[str | None], None]]] = {}
        self._unused: dict[int, list[_Disk]] = {}

    def prepare(self, size_mb: int, then: Callable[[str | None], None]) -> None:
        if size_mb in self._templates:
            then(None)
            return
        waiting = self._awaited.setdefault(size_mb, [])
        waiting.append(then)
        if len(waiting) == 1:
            self._make_template(size_mb)

    def open(self, size_mb: int) -> Tmp:
        unused = self._unused.setdefault(size_mb, [])
        return unused.pop() if unused else self._new(size_mb)

    def take_back(self, disk: _Disk) -> None:
        """Its sandbox is gone."""
        unused = self._unused[disk.size_mb]
        if disk.tree < 0:
            # Whatever had it mounted is gone too, or it never was mounted.
            self._devices.release(disk.number)
        elif len(unused) < MOST_UNUSED and self._is_untouched(disk):
            disk.be_new()
            unused.append(disk)
        else:
            self._closer.close(disk.tree)
            self._devices.release(disk.number)

    def _new(self, size_mb: int) -> _Disk:
        image = _nameless_file(self._directory, size_mb)
        try:
            number, device = self._devices.show(image)
            try:
                # What a file holds already when it is shown, the kernel first writes to the disk that the file is on.
                for offset, data in self._templates[size_mb]:
                    os.pwrite(image, data, offset)
            except OSError:
                os.close(device)
                self._devices.release(number)
                raise
            return _Disk(self, size_mb, number, device)
        finally:
            os.close(image)

    def _is_untouched(self, disk: _Disk) -> bool:
        try:
            device = self._devices.reopen(disk.number)
            try:
                return all(
                    os.pread(device, len(data), offset) == data
                    for offset, data in self._templates[disk.size_mb]
                    if offset != _SUPERBLOCK.start
                )
            finally:
                os.close(device)
        except OSError:
            return False

    def _make_template(self, size_mb: int) -> None:
        image = _nameless_file(self._directory, size_mb)

        def made(status: int, errors: str) -> None:
            problem = f"{_MKFS} failed: {errors}" if status else None
            try:
                if problem is None:
                    self._empty(image)
                    self._templates[size_mb] = _extents(image)
            except OSError as error:
                problem = str(error)
            finally:
                os.close(image)
            for then in self._awaited.pop(size_mb):
                then(problem)

        self._events.run_program([self._mkfs, *_OPTIONS, "/proc/self/fd/0"], made, passed=image)

    def _empty(self, image: int) -> None:
        """Leave nothing in the root directory, and let everybody write there."""
        number, device = self._devices.show(image)
        try:
            mounts.mount(f"/proc/self/fd/{device}", self._scratch, "ext4", 0)
        finally:
            os.close(device)
        os.rmdir(f"{self._scratch}/lost+found")
        os.chmod(self._scratch, 0o1777)
        mounts.unmount(self._scratch)
        self._devices.release(number)


class _Disk(Tmp):
    def __init__(self, source: TmpDisks, size_mb: int, number: int, device: int) -> None:
        super().__init__(DISK, device)
        self._source = source
        self.size_mb = size_mb
        self.number = number
        self.tree = -1

    def keep(self, tree: int) -> None:
        self.tree = tree

    def be_new(self) -> None:
        """What was kept is what the next sandbox gets."""
        self.kind, self.descriptor, self.tree = MOUNTED, self.tree, -1

    def release(self) -> None:
        self._source.take_back(self)


def find_mkfs() -> str:
    """The path of mkfs.ext4. Raises `FileNotFoundError`."""
    for directory in _SEARCH.split(os.pathsep):
        path = f"{directory}/{_MKFS}"
        if os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(f"there is no {_MKFS} on this machine (package e2fsprogs)")


def _nameless_file(directory: str, size_mb: int) -> int:
    try:
        descriptor = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        # Not every file system makes files without a name.
        path = f"{directory}/.new-{time.monotonic_ns()}"
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        os.unlink(path)
    os.ftruncate(descriptor, size_mb * MEGABYTE)
    return descriptor


def _extents(image: int) -> Extents:
    os.fsync(image)
    found = []
    end = 0
    with contextlib.suppress(OSError):  # ENXIO: no data beyond
        while True:
            start = os.lseek(image, end, os.SEEK_DATA)
            end = os.lseek(image, start, os.SEEK_HOLE)
            found.append((start, os.pread(image, end - start, start)))
    return _cut(_cut(found, _SUPERBLOCK.start), _SUPERBLOCK.stop)


def _cut(extents: Extents, place: int) -> Extents:
    """The same, and one of them begins at `place`, if it was in one of them."""
    cut = []
    for offset, data in extents:
        before = place - offset
        if 0 < before < len(data):
            cut += [(offset, data[:before]), (place, data[before:])]
        else:
            cut.append((offset, data))
    return cut
