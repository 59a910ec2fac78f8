"""Changes of directories as the kernel tells them (`inotify(7)`)."""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from ondol.linux.libc import check, libc

WRITTEN = 0x0000_0008
MOVED_FROM = 0x0000_0040
MOVED_TO = 0x0000_0080
CREATED = 0x0000_0100
DELETED = 0x0000_0200
DELETED_SELF = 0x0000_0400
MOVED_SELF = 0x0000_0800
ATTRIBUTES = 0x0000_0004
OVERFLOWN = 0x0000_4000
FORGOTTEN = 0x0000_8000
"""The watch is no more: its directory is gone, or it was removed."""

_ONLY_DIRECTORIES = 0x0100_0000
_HEADER = struct.Struct("=iIII")
_READ_BYTES = 65_536


class Event(NamedTuple):
    watch: int
    """-1 of `OVERFLOWN`."""

    kind: int
    name: str
    """Of an entry of the directory; empty of the directory itself."""


class Inotify:
    """One queue of events. `descriptor` is readable when there are some."""

    def __init__(self) -> None:
        self.descriptor = check(libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK), "inotify_init1")

    def add(self, path: str, kinds: int) -> int:
        """Watch a directory; the answer is the watch's number, the same if it is watched already.

        Raises `OSError`: with ENOSPC when there are as many watches as this user may have.
        """
        return check(
            libc.inotify_add_watch(self.descriptor, os.fsencode(path), kinds | _ONLY_DIRECTORIES), f"watching {path}"
        )

    def remove(self, watch: int) -> None:
        """Watch it no more. One that is gone already is ignored."""
        libc.inotify_rm_watch(self.descriptor, watch)

    def read(self) -> list[Event]:
        """What has happened; nothing if that is nothing."""
        try:
            data = os.read(self.descriptor, _READ_BYTES)
        except BlockingIOError:
            return []
        events, at = [], 0
        while at < len(data):
            watch, kind, _, length = _HEADER.unpack_from(data, at)
            at += _HEADER.size
            events.append(Event(watch, kind, os.fsdecode(data[at : at + length].rstrip(b"\0"))))
            at += length
        return events

    def close(self) -> None:
        os.close(self.descriptor)
