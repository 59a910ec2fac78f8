"""What an archive, of whatever kind, may put into a tree: under which names, and how much in all.

Shared by zips and by the layers of images. What an entry does to the tree is theirs to say.
"""

import os

from ondol.sandbox.errors import UnpackRefused
from ondol.sandbox.limits import UnpackLimits

NAME_BYTES = 4080
"""A longer path could not be opened below /var/task."""

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a directory on the way to an entry is opened: never through a link."""

_PART_BYTES = 255


class Tally:
    """Counts what was really written. Each count raises `UnpackRefused` above its limit."""

    def __init__(self, limits: UnpackLimits, too_large: str, too_many: str) -> None:
        self._limits = limits
        self._too_large = too_large
        self._too_many = too_many
        self._bytes = 0
        self._entries = 0

    def written(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._limits.bytes:
            raise UnpackRefused(self._too_large)

    def entry(self) -> None:
        self._entries += 1
        if self._entries > self._limits.entries:
            raise UnpackRefused(self._too_many)


def parts_of(name: bytes, shown: str, *, whole: str, depth: int) -> list[bytes]:
    """A path, component by component. Raises `UnpackRefused` for one that leads out of the `whole`, or too deep."""
    if b"\0" in name:
        raise UnpackRefused(f"the name {shown!r} holds a null byte")
    if name.startswith(b"/"):
        raise UnpackRefused(f"'{shown}' is an absolute path")
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise UnpackRefused(f"'{shown}' leads out of the {whole}")
    if len(name) > NAME_BYTES or len(parts) > depth or any(len(part) > _PART_BYTES for part in parts):
        raise UnpackRefused(f"the path '{shown}...' is too long")
    return parts
