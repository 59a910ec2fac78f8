"""The writer: takes lines at once, brings them to the disk soon after, and keeps what is there within its bounds.

Decides when to flush, what to drop when the disk does not keep up, and what to delete; nothing of how lines are asked
for. One thread does all that touches files. The buffer's lock is never held over a system call.
"""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from ondol.model.time import SECOND, Clock, Instant, WallTime
from ondol.telemetry.api import LogEvent, LogLimits, LogStream
from ondol.telemetry.catalogue import Catalogue, Group
from ondol.telemetry.segments import Segment, append

_FLUSH_AFTER_S = 0.05
_RETRY_AFTER_S = 1.0
_EVENT_OVERHEAD = 120
"""Bytes that an event takes in memory beside its text."""

_SEGMENTS = 4
"""In so many parts a stream's share is kept and forgotten."""

_LIVE_FOR = 60 * SECOND
"""A stream written so recently counts as being written: its last segment is not deleted."""

_FORGET_ABOVE = 8192
"""Streams: so many are regarded as being written before the idle ones are sorted out."""

_SWEEP_TO = 0.9
"""Of the total: deleting goes on to here, so that it is not needed again at once."""

_log = logging.getLogger(__name__)


class _Live(msgspec.Struct):
    """A stream that this process writes."""

    segment: Segment
    written: Instant


class LogWriter:
    """`write` belongs to the event loop, `flush` and `close` to other threads."""

    def __init__(self, catalogue: Catalogue, clock: Clock, limits: LogLimits) -> None:
        self._catalogue = catalogue
        self._clock = clock
        self._limits = limits
        self._pending: deque[tuple[LogStream, Sequence[LogEvent], int]] = deque()
        self._pending_bytes = 0
        self._dropped: dict[LogStream, int] = {}
        self._waiting: list[threading.Event] = []
        self._closing = False
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._live: dict[LogStream, _Live] = {}
        self._forget_above = _FORGET_ABOVE
        self._failing = False
        self._measuring: Iterator[None] | None = catalogue.load_all()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, stream: LogStream, events: Sequence[LogEvent]) -> None:
        """Take events of one stream, oldest first; about a microsecond."""
        if not events:
            return
        size = 0
        for event in events:
            size += len(event.message) + _EVENT_OVERHEAD
        # The lock by itself: entering the condition goes through two calls more.
        with self._lock:
            self._pending.append((stream, events, size))
            self._pending_bytes += size
            if len(self._pending) == 1:
                self._changed.notify()
            elif self._pending_bytes > self._limits.buffer:
                self._shed()

    def flush(self, timeout_s: float = 2.0) -> bool:
        """Wait until all that was written before is on the disk. False if the disk did not do it in that time."""
        done = threading.Event()
        with self._changed:
            if self._closing:
                return True
            self._waiting.append(done)
            self._changed.notify()
        return done.wait(timeout_s)

    def close(self) -> None:
        """Flush and end. What a broken disk does not take even now is lost, and said."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _shed(self) -> None:
        """Forget the oldest that waits. The lock is held."""
        while self._pending_bytes > self._limits.buffer and len(self._pending) > 1:
            stream, events, size = self._pending.popleft()
            self._pending_bytes -= size
            self._dropped[stream] = self._dropped.get(stream, 0) + len(events)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._await_work()
                batch, self._pending = self._pending, deque()
                self._pending_bytes = 0
                dropped, self._dropped = self._dropped, {}
                waiting, self._waiting = self._waiting, []
                closing = self._closing
            failed = self._append_all(batch, dropped)
            if failed and not closing:
                self._put_back(failed, waiting)
                continue
            if failed:
                _log.error("%d log lines were lost at the end: the disk did not take them", _count(failed))
            for done in waiting:
                done.set()
            if closing:
                return
            self._tidy()

    def _await_work(self) -> None:
        """Until there are lines and a moment to gather more has passed, or somebody waits for a flush. Lock held."""
        if self._failing:
            self._changed.wait_for(lambda: self._closing, _RETRY_AFTER_S)
            return
        while not (self._pending or self._waiting or self._closing):
            if not self._changed.wait(_FLUSH_AFTER_S if self._measuring is not None else None):
                return
        self._changed.wait_for(lambda: self._waiting or self._closing, _FLUSH_AFTER_S)

    def _append_all(
        self, batch: deque[tuple[LogStream, Sequence[LogEvent], int]], dropped: dict[LogStream, int]
    ) -> dict[LogStream, list[LogEvent]]:
        """Write a batch, stream by stream. What could not be written is the answer."""
        gathered: dict[LogStream, list[LogEvent]] = {}
        for stream, events, _ in batch:
            gathered.setdefault(stream, []).extend(events)
        for stream, count in dropped.items():
            lines = gathered.setdefault(stream, [])
            text = f"ondol dropped {count} older log lines here: the disk did not keep up with them.\n"
            lines.insert(0, LogEvent(lines[0].time if lines else self._clock.wall(), text))
        failed: dict[LogStream, list[LogEvent]] = {}
        for stream, lines in gathered.items():
            try:
                self._append(stream, lines)
            except OSError as error:
                if not self._failing:
                    _log.error("Log lines wait in memory, because the disk does not take them: %s", error)
                    self._failing = True
                failed[stream] = lines
        if gathered and not failed:
            self._failing = False
        return failed

    def _append(self, stream: LogStream, events: list[LogEvent]) -> None:
        live = self._live.get(stream)
        if live is None or live.segment.size >= self._limits.stream // _SEGMENTS:
            segment = self._catalogue.create(stream, events[0].time, self._clock.wall())
        else:
            segment = live.segment
        grown = append(segment, _in_order(events, segment.last))
        self._catalogue.appended(stream, segment, grown)
        self._live[stream] = _Live(grown, self._clock.now())
        if live is not None and live.segment.path != grown.path:
            self._trim(stream)

    def _put_back(self, failed: dict[LogStream, list[LogEvent]], waiting: list[threading.Event]) -> None:
        with self._changed:
            for stream, events in reversed(failed.items()):
                size = sum(len(event.message) + _EVENT_OVERHEAD for event in events)
                self._pending.appendleft((stream, events, size))
                self._pending_bytes += size
            self._waiting += waiting
            self._shed()

    def _trim(self, stream: LogStream) -> None:
        """Delete what one stream has above its share."""
        group = self._catalogue.group(stream.account, stream.region, stream.group)
        found = self._catalogue.stream(group, stream.name) if group is not None else None
        if group is not None and found is not None:
            excess = found.end - found.segments[0].base - self._limits.stream
            for segment in found.segments[:-1]:
                if excess <= 0:
                    break
                self._delete(group, stream.name, segment)
                excess -= segment.size

    def _tidy(self) -> None:
        """After the start a step of measuring; then keep memory and disk within bounds."""
        if self._measuring is not None:
            try:
                next(self._measuring)
            except StopIteration:
                self._measuring = None
            return
        if len(self._live) > self._forget_above:
            self._forget_idle()
            self._forget_above = max(_FORGET_ABOVE, 2 * len(self._live))
        if self._catalogue.bytes > self._limits.total:
            self._sweep()

    def _forget_idle(self) -> None:
        """Stop regarding streams as written that have not been for a while; a later line opens a new segment."""
        now = self._clock.now()
        self._live = {stream: live for stream, live in self._live.items() if now - live.written < _LIVE_FOR}

    def _sweep(self) -> None:
        """Delete the oldest segments, but no stream's current one."""
        self._forget_idle()
        live_paths = {live.segment.path for live in self._live.values()}
        candidates = [
            (segment.last, segment.path, group, stream.name, segment)
            for group, stream in self._catalogue.everything()
            for segment in stream.segments
            if segment.path not in live_paths
        ]
        for _, _, group, name, segment in sorted(candidates, key=lambda candidate: candidate[:2]):
            if self._catalogue.bytes <= self._limits.total * _SWEEP_TO:
                break
            self._delete(group, name, segment)

    def _delete(self, group: Group, name: str, segment: Segment) -> None:
        with contextlib.suppress(FileNotFoundError):
            Path(segment.path).unlink()
        self._catalogue.removed(group, name, segment)


def _in_order(events: list[LogEvent], last: int) -> list[LogEvent]:
    """The events with times that never go back: a clock that was set back appears to stand still.

    Search by time and merging streams rely on it.
    """
    for event in events:
        if event.time < last:
            return _clamped(events, last)
        last = event.time
    return events


def _clamped(events: list[LogEvent], last: int) -> list[LogEvent]:
    clamped = []
    for event in events:
        if event.time < last:
            event = LogEvent(WallTime(last), event.message)  # noqa: PLW2901
        last = event.time
        clamped.append(event)
    return clamped


def _count(failed: dict[LogStream, list[LogEvent]]) -> int:
    return sum(len(events) for events in failed.values())
