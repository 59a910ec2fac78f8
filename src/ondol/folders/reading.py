"""A folder made into a package, without ever being led out of what the operator has allowed.

Blocks for as long as the disk takes: run it on a thread.
"""

# What is open is read, not what a path leads to by now.
# ruff: noqa: PTH208

import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ondol.folders.allowed import Folder, FolderError
from ondol.folders.contents import File, belongs, zipped
from ondol.linux.beneath import open_beneath

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_ANYTHING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_PIECE = 1 << 20
_LED_OUT = (errno.EXDEV, errno.ELOOP)
_NOT_A_FILE = (errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP)
"""What opening a socket, or a device that is not there, answers."""

_Identity = tuple[int, int]


class FolderLimits(NamedTuple):
    """How much is read before it is given up."""

    bytes: int
    entries: int


class FolderRead(NamedTuple):
    package: bytes
    left_out: tuple[str, ...]
    """Links that lead out of the allowed folder."""


def read_folder(folder: Folder, limits: FolderLimits, entered: Callable[[int], None]) -> FolderRead:
    """The folder's content now, the same content always as the same bytes.

    `entered` is called with each directory, open, before it is looked at: what changes in it from then on may or may
    not be in the package. Raises `FolderError`.
    """
    reading = _Reading(folder, limits, entered)
    try:
        files = sorted(reading.files())
        return FolderRead(zipped(files, small=False), tuple(sorted(reading.left_out)))
    except UnicodeEncodeError as error:
        raise FolderError(f"{folder.path} has a file whose name is not UTF-8.") from error


class _Reading:
    def __init__(self, folder: Folder, limits: FolderLimits, entered: Callable[[int], None]) -> None:
        self._folder = folder
        self._limits = limits
        self._entered = entered
        self._bytes = 0
        self._entries = 0
        self.left_out: list[str] = []

    def files(self) -> Iterator[File]:
        folder = self._folder
        try:
            root = os.open(folder.allowed, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _not_read(str(folder.allowed), error) from error
        try:
            yield from self._below(root, folder.inner, "", frozenset())
        finally:
            os.close(root)

    def _below(self, root: int, path: str, name: str, above: frozenset[_Identity]) -> Iterator[File]:
        try:
            directory = open_beneath(root, path, _DIRECTORY)
        except OSError as error:
            if name and error.errno == errno.ENOENT:
                return  # it went while this was read, which is a change and will be heard of
            raise _not_read(str(self._folder.allowed / path), error) from error
        try:
            status = os.fstat(directory)
            identity = (status.st_dev, status.st_ino)
            if identity in above:
                return  # a link in a circle
            self._entered(directory)
            names = sorted(filter(belongs, os.listdir(directory)))
        finally:
            os.close(directory)
        for entry in names:
            inner = f"{name}/{entry}" if name else entry
            yield from self._entry(root, f"{path}/{entry}", inner, above | {identity})

    def _entry(self, root: int, path: str, name: str, above: frozenset[_Identity]) -> Iterator[File]:
        self._count(0)
        try:
            opened = open_beneath(root, path, _ANYTHING)
        except OSError as error:
            if error.errno in _LED_OUT:
                self.left_out.append(name)
            elif error.errno != errno.ENOENT and error.errno not in _NOT_A_FILE:
                raise _not_read(str(self._folder.allowed / path), error) from error
            return
        try:
            status = os.fstat(opened)
            if stat.S_ISREG(status.st_mode):
                yield File(name, bool(status.st_mode & 0o111), self._content(opened))
        finally:
            os.close(opened)
        if stat.S_ISDIR(status.st_mode):
            yield from self._below(root, path, name, above)

    def _content(self, opened: int) -> bytes:
        pieces = []
        while piece := os.read(opened, _PIECE):
            self._count(len(piece))
            pieces.append(piece)
        return b"".join(pieces)

    def _count(self, size: int) -> None:
        """Raises `FolderError` above a limit. Each entry counts once, and what is read of it."""
        self._bytes += size
        self._entries += size == 0
        if self._bytes > self._limits.bytes:
            raise FolderError(f"{self._folder.path} holds more than {self._limits.bytes} bytes.")
        if self._entries > self._limits.entries:
            raise FolderError(f"{self._folder.path} holds more than {self._limits.entries} files.")


def _not_read(path: str, error: OSError) -> FolderError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return FolderError(f"{path} is not a directory that is there.")
    return FolderError(f"{path} cannot be read by ondol: {os.strerror(error.errno or 0)}.")
