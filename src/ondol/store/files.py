"""The few file operations on which durability rests, so that a test can put a layer there that records them.

Every method blocks: they are called from threads, never on the loop. They raise OSError.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol


class NewFile(Protocol):
    def write(self, data: bytes) -> None: ...

    def sync(self) -> None:
        """The content is on disk when this returns; the name may not be."""
        ...

    def close(self) -> None: ...


class Files(Protocol):
    def make_directory(self, path: Path) -> None:
        """Done already is no error."""
        ...

    def create(self, path: Path) -> NewFile:
        """A file that did not exist, readable by its owner only."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Replaces the target if there is one."""
        ...

    def remove(self, path: Path) -> None: ...

    def sync_directory(self, path: Path) -> None:
        """The names in it are on disk when this returns."""
        ...

    def names(self, path: Path) -> list[str]: ...

    def age_s(self, path: Path) -> float:
        """Since the last write to it."""
        ...

    def pieces(self, path: Path) -> Iterator[bytes]:
        """The content."""
        ...


_PIECE = 1_048_576


class SystemFiles:
    """`Files`, as the system has them."""

    def make_directory(self, path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)

    def create(self, path: Path) -> NewFile:
        return _SystemFile(path)

    def rename(self, source: Path, target: Path) -> None:
        source.rename(target)

    def remove(self, path: Path) -> None:
        path.unlink()

    def sync_directory(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def names(self, path: Path) -> list[str]:
        return [each.name for each in path.iterdir()]

    def age_s(self, path: Path) -> float:
        return time.time() - path.stat().st_mtime

    def pieces(self, path: Path) -> Iterator[bytes]:
        with path.open("rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                yield piece


class _SystemFile:
    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)
