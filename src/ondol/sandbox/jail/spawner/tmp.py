"""Where a sandbox's /tmp comes from: a disk of its own (`tmp_disks`), memory, or a directory.

Where the spawner is no real root, it may mount no disk. /tmp is then memory, of exactly its size too; but a directory
where a control group would charge that memory to the function. It is a directory too where this machine has no loop
devices or no mkfs.ext4: then only a single file's size is limited.
"""

# pathlib is slow to import and large, and this runs where both count.
# ruff: noqa: PTH101, PTH102, PTH208

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from ondol.linux import mounts
from ondol.sandbox.jail.inside.runtime import TMP_ATTRIBUTES, TREE
from ondol.sandbox.jail.spawner.events import EventLoop

INODES = 16384


class Tmp:
    """One sandbox's /tmp: its kind (`inside.runtime`), and the descriptor, the caller's, that it is to be made of."""

    def __init__(self, kind: str, descriptor: int) -> None:
        self.kind = kind
        self.descriptor = descriptor

    def keep(self, tree: int) -> None:
        """Take what a sandbox hands back of every kind but `TREE`: another mount of the same."""
        raise NotImplementedError

    def release(self) -> None:
        """The sandbox is gone."""


class TmpSource(Protocol):
    """Makes them."""

    limited: bool
    """Whether a /tmp takes no more than its size."""

    def prepare(self, size_mb: int, then: Callable[[str | None], None]) -> None:
        """Call `then` when one of this size can be opened, with what went wrong or None."""
        ...

    def open(self, size_mb: int) -> Tmp:
        """An empty one, of a prepared size. Raises `OSError`."""
        ...


class TmpDirectories:
    """A directory for each sandbox."""

    limited = False

    def __init__(self, directory: str, events: EventLoop) -> None:
        self._directory = directory
        self._events = events
        leftovers = [int(name) for name in os.listdir(directory) if name.isdigit()]
        self._made = max(leftovers, default=0)
        for number in leftovers:
            self.remove(f"{directory}/{number}")

    def prepare(self, size_mb: int, then: Callable[[str | None], None]) -> None:
        then(None)

    def open(self, size_mb: int) -> Tmp:
        self._made += 1
        path = f"{self._directory}/{self._made}"
        os.mkdir(path)
        os.chmod(path, 0o1777)
        return _Directory(self, path)

    def remove(self, path: str) -> None:
        self._events.run_program(["/bin/rm", "-rf", "--one-file-system", path], lambda _status, _errors: None)


class _Directory(Tmp):
    def __init__(self, source: TmpDirectories, path: str) -> None:
        super().__init__(TREE, mounts.clone_tree(path, TMP_ATTRIBUTES))
        self._source = source
        self._path = path

    def release(self) -> None:
        self._source.remove(self._path)


class TmpMemory:
    """File systems in memory: as large as configured, of no disk, and gone with their last user."""

    limited = True

    def prepare(self, size_mb: int, then: Callable[[str | None], None]) -> None:
        then(None)

    def open(self, size_mb: int) -> Tmp:
        options = {"size": f"{size_mb}m", "nr_inodes": str(INODES), "mode": "1777"}
        return Tmp(TREE, mounts.new_tree("tmpfs", options, TMP_ATTRIBUTES))
