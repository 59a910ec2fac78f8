"""Which groups, streams and segments there are. Knows names, sizes and times; never reads a line.

The directories are the truth: `account/region/group@created/stream@base@first`, with the time of a stream's last
event as the file's modification time. Each level is read once, when it is first needed, so that a start costs nothing
however many streams there are; from then on the one writer keeps what is in memory in step. Safe to use from several
threads; the event loop never does.
"""

import contextlib
import os
import shutil
import threading
from bisect import insort
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ondol.model.ids import AccountId, Region
from ondol.model.time import WallTime
from ondol.telemetry.api import LogStream
from ondol.telemetry.names import CONTINUED, name_of, path_of
from ondol.telemetry.segments import Segment

_SMALLEST = 4096
"""Bytes that a file costs at least: its block. Bounds how many tiny streams the cap lets live."""


class Stream(msgspec.Struct, frozen=True, gc=False):
    """One stream as it is at this moment."""

    name: str
    segments: tuple[Segment, ...]

    @property
    def first(self) -> WallTime:
        return self.segments[0].first

    @property
    def last(self) -> WallTime:
        return self.segments[-1].last

    @property
    def end(self) -> int:
        return self.segments[-1].end


class Group(msgspec.Struct):
    """A log group; it stays when its last stream goes, as on AWS."""

    name: str
    created: WallTime
    path: str
    streams: dict[str, Stream] | None = None
    """None: not read yet."""

    names: list[str] = []
    """Of the streams, sorted."""


def cost(segment: Segment) -> int:
    """Bytes on disk."""
    return max(segment.size, _SMALLEST)


class Catalogue:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._regions: dict[tuple[str, str], dict[str, Group]] = {}
        self._bytes = 0

    # What queries ask.

    def groups(self, account: AccountId, region: Region) -> list[Group]:
        """Sorted by name."""
        with self._lock:
            return sorted(self._groups(account, region).values(), key=lambda group: group.name)

    def group(self, account: AccountId, region: Region, name: str) -> Group | None:
        with self._lock:
            return self._groups(account, region).get(name)

    def names(self, group: Group) -> list[str]:
        """Names of the group's streams, sorted."""
        with self._lock:
            self._load(group)
            return group.names.copy()

    def streams(self, group: Group) -> list[Stream]:
        with self._lock:
            return list(self._load(group).values())

    def stream(self, group: Group, name: str) -> Stream | None:
        with self._lock:
            return self._load(group).get(name)

    def size(self, group: Group) -> int:
        """Bytes that the group's lines take."""
        return sum(segment.size for stream in self.streams(group) for segment in stream.segments)

    # What the writer does.

    def create(self, key: LogStream, first: WallTime, now: WallTime) -> Segment:
        """A new segment at the end of a stream: its directory is there, the file comes with its first append.

        Raises `OSError`.
        """
        with self._lock:
            groups = self._groups(key.account, key.region)
            group = groups.get(key.group)
            if group is None:
                path = self._region_path(key.account, key.region) / path_of(key.group, now)
                group = Group(key.group, now, str(path), {}, [])
            stream = self._load(group).get(key.name)
            base = stream.end if stream is not None else 0
            first = max(first, stream.last) if stream is not None else first
            path = Path(group.path, path_of(key.name, base, first))
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            groups[key.group] = group
            return Segment(str(path), base, first, first, 0)

    def appended(self, key: LogStream, before: Segment, after: Segment) -> None:
        """The stream's last segment, or the new one from `create`, has grown."""
        with self._lock:
            group = self._groups(key.account, key.region)[key.group]
            streams = self._load(group)
            stream = streams.get(key.name)
            if stream is None:
                insort(group.names, key.name)
                segments: tuple[Segment, ...] = (after,)
            elif stream.segments[-1].path == after.path:
                segments = (*stream.segments[:-1], after)
            else:
                segments = (*stream.segments, after)
            streams[key.name] = Stream(key.name, segments)
            self._bytes += cost(after) - (cost(before) if before.size else 0)

    def removed(self, group: Group, name: str, segment: Segment) -> None:
        """The segment's file is gone."""
        with self._lock:
            streams = self._load(group)
            kept = tuple(other for other in streams[name].segments if other.path != segment.path)
            if kept:
                streams[name] = Stream(name, kept)
            else:
                del streams[name]
                group.names.remove(name)
            self._bytes -= cost(segment)

    def clear(self) -> None:
        """Delete every group; when this returns that is on the disk. Raises `OSError`, and then some may be left."""
        with self._lock, contextlib.suppress(FileNotFoundError):
            self._regions.clear()
            self._bytes = 0
            for account in list(self._directory.iterdir()):
                shutil.rmtree(account)
            _sync(self._directory)

    @property
    def bytes(self) -> int:
        """What all segments read so far cost on disk."""
        return self._bytes

    def load_all(self) -> Iterator[None]:
        """Read every directory, one group a step: whoever must know `bytes` takes the steps at leisure."""
        for account, region in list(self._accounts()):
            for group in self.groups(account, region):
                with self._lock:
                    self._load(group)
                yield

    def everything(self) -> Iterator[tuple[Group, Stream]]:
        """All streams of all groups that have been read."""
        for groups in list(self._regions.values()):
            for group in list(groups.values()):
                for stream in self.streams(group):
                    yield group, stream

    # Reading directories. The lock is held.

    def _region_path(self, account: str, region: str) -> Path:
        return self._directory / path_of(account) / path_of(region)

    def _accounts(self) -> Iterator[tuple[AccountId, Region]]:
        for account, _ in _entries(str(self._directory), 0):
            for region, _ in _entries(str(self._directory / path_of(account[0])), 0):
                yield AccountId(account[0]), Region(region[0])

    def _groups(self, account: str, region: str) -> dict[str, Group]:
        found = self._regions.get((account, region))
        if found is None:
            found = {
                name: Group(name, WallTime(created), entry.path)
                for (name, (created,)), entry in _entries(str(self._region_path(account, region)), 1)
            }
            self._regions[account, region] = found
        return found

    def _load(self, group: Group) -> dict[str, Stream]:
        if group.streams is None:
            segments: dict[str, list[Segment]] = {}
            for (name, (base, first)), entry in _entries(group.path, 2):
                status = entry.stat()
                if status.st_size == 0:
                    continue  # created on a full disk, or just before a crash
                last = WallTime(status.st_mtime_ns // 1_000_000)
                segment = Segment(entry.path, base, WallTime(first), last, status.st_size)
                segments.setdefault(name, []).append(segment)
                self._bytes += cost(segment)
            group.streams = {
                name: Stream(name, tuple(sorted(found, key=lambda segment: segment.base)))
                for name, found in segments.items()
            }
            group.names = sorted(segments)
        return group.streams


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entries(
    directory: str, numbers: int, pieces: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, tuple[int, ...]], os.DirEntry[str]]]:
    """Names with their numbers below a directory, names cut into pieces put together; foreign entries left out."""
    try:
        found = os.scandir(directory)
    except FileNotFoundError:
        return
    with found:
        for entry in found:
            if entry.name.endswith(CONTINUED):
                yield from _entries(entry.path, numbers, (*pieces, entry.name))
            else:
                name = name_of(pieces, entry.name, numbers)
                if name is not None:
                    yield name, entry
