"""A disk of its own for each sandbox's /tmp: exactly as large as configured, and not charged to its memory.

A disk is a sparse file seen through a loop device, holding an empty ext4. Making a file system takes 10 ms, so it is
done once for each size; a new disk gets a copy of the 60 KB that this wrote. The file has no name from the start and
the device lets go of it with its last user, so nothing can be left behind. No disk is used twice.

Where this machine has no loop devices or no mkfs.ext4, /tmp is a directory, and only a single file's size is limited.
Where the spawner is no real root, it may mount no disk. /tmp is then memory, of exactly its size too; but a directory
where a control group would charge that memory to the function.
"""

# pathlib is slow to import and large, and this runs where both count.
# ruff: noqa: PTH101, PTH102, PTH106, PTH108, PTH208

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from ondol.linux import loop, mounts
from ondol.sandbox.jail.spawner.events import EventLoop

MEGABYTE = 1 << 20
_MKFS = "mkfs.ext4"
_SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
_FEATURES = ("-O", "^has_journal,^resize_inode", "-E", "lazy_itable_init=1,nodiscard,root_owner=0:0")
_INODES = 16384
_OPTIONS = ("-q", "-F", "-m", "0", "-N", str(_INODES), *_FEATURES)
_ATTRIBUTES = mounts.ATTRIBUTE_NO_SUID | mounts.ATTRIBUTE_NO_DEVICES

Extents = list[tuple[int, bytes]]
"""Where an empty file system is not zero, and what is there."""


class TmpDisks:
    """Makes disks, their files in `directory`; needs a private directory, `scratch`, that takes device nodes.

    Raises `OSError` where this machine can't.
    """

    kind = "image"
    limited = True

    def __init__(self, directory: str, scratch: str, events: EventLoop) -> None:
        self._directory = directory
        self._events = events
        self._scratch = f"{scratch}/disk"
        os.mkdir(self._scratch)
        os.mkdir(f"{scratch}/devices")
        self._devices = loop.LoopDevices(f"{scratch}/devices")
        self._templates: dict[int, Extents] = {}
        self._awaited: dict[int, list[Callable[[str | None], None]]] = {}
        self._mkfs = find_mkfs()

    def prepare(self, size_mb: int, then: Callable[[str | None], None]) -> None:
        """Call `then` when disks of this size can be opened, with what went wrong or None."""
        if size_mb in self._templates:
            then(None)
            return
        waiting = self._awaited.setdefault(size_mb, [])
        waiting.append(then)
        if len(waiting) == 1:
            self._make_template(size_mb)

    def open(self, size_mb: int) -> tuple[int, int]:
        """A new disk of a prepared size: the number to `release` it by, and a descriptor of its device."""
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
            return number, device
        finally:
            os.close(image)

    def release(self, number: int) -> None:
        """Its last user is gone."""
        self._devices.release(number)

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


class TmpDirectories:
    """The same door where there are no disks: a directory for each sandbox."""

    kind = "directory"
    limited = False

    def __init__(self, directory: str, events: EventLoop) -> None:
        self._directory = directory
        self._events = events
        leftovers = [int(name) for name in os.listdir(directory) if name.isdigit()]
        self._made = max(leftovers, default=0)
        for number in leftovers:
            self.release(number)

    def prepare(self, size_mb: int, then: Callable[[str | None], None]) -> None:
        then(None)

    def open(self, size_mb: int) -> tuple[int, int]:
        self._made += 1
        path = f"{self._directory}/{self._made}"
        os.mkdir(path)
        os.chmod(path, 0o1777)
        return self._made, mounts.clone_tree(path, _ATTRIBUTES)

    def release(self, number: int) -> None:
        path = f"{self._directory}/{number}"
        self._events.run_program(["/bin/rm", "-rf", "--one-file-system", path], lambda _status, _errors: None)


class TmpMemory:
    """The same door to file systems in memory: as large as configured, of no disk, and gone with their last user."""

    kind = "memory"
    limited = True

    def prepare(self, size_mb: int, then: Callable[[str | None], None]) -> None:
        then(None)

    def open(self, size_mb: int) -> tuple[int, int]:
        options = {"size": f"{size_mb}m", "nr_inodes": str(_INODES), "mode": "1777"}
        return 0, mounts.new_tree("tmpfs", options, _ATTRIBUTES)

    def release(self, number: int) -> None:
        """Nothing is left of it."""


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
    return found
