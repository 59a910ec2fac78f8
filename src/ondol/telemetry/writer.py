"""The writer: takes lines at once, brings them to the disk soon after, and keeps what is there within its bounds.

Decides when to flush, what to drop when the disk does not keep up, and what to delete; nothing of how lines are asked
for. One thread does all that touches files. The lock is never held over a system call.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import msgspec

from ondol.model.limits import LogLimits
from ondol.model.time import SECOND, Clock, Instant
from ondol.telemetry.api import LogStream, OpenLog
from ondol.telemetry.buffer import LineBuffer, Taken
from ondol.telemetry.catalogue import Catalogue, Group
from ondol.telemetry.segments import Segment, append, line_of, lines_in, time_of

_FLUSH_AFTER_S = 0.2
"""A kill takes at most what came in this time; each flush of a busy stream costs a file opened and closed."""

_MEASURE_EVERY_S = 0.05
_RETRY_AFTER_S = 1.0

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
    """`open` and what it answers belong to the event loop, as does `forget`; `flush` and `close` to other threads."""

    def __init__(self, catalogue: Catalogue, clock: Clock, limits: LogLimits) -> None:
        self._catalogue = catalogue
        self._clock = clock
        self._limits = limits
        self._waiting: list[threading.Event] = []
        self._forgetting: list[Future[None]] = []
        self._closing = False
        lock = threading.Lock()
        self._changed = threading.Condition(lock)
        self._buffer = LineBuffer(limits.buffer, lock, self._changed.notify)
        self._live: dict[LogStream, _Live] = {}
        self._forget_above = _FORGET_ABOVE
        self._failing = False
        self._measuring: Iterator[None] | None = catalogue.load_all()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def open(self, stream: LogStream) -> OpenLog:
        """See `LogSink`."""
        return self._buffer.open(stream)

    def flush(self, timeout_s: float = 2.0) -> bool:
        """Wait until all that was written before is on the disk. False if the disk did not do it in that time."""
        done = threading.Event()
        with self._changed:
            if self._closing:
                return True
            self._waiting.append(done)
            self._changed.notify()
        return done.wait(timeout_s)

    def forget(self) -> Future[None]:
        """Delete all that was written before. From now on, what logs that are open take goes nowhere."""
        done: Future[None] = Future()
        with self._changed:
            self._buffer.era += 1
            self._forgetting.append(done)
            self._changed.notify()
        return done

    def close(self) -> None:
        """Flush and end. What a broken disk does not take even now is lost, and said."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._await_work()
                batch = self._buffer.take()
                waiting, self._waiting = self._waiting, []
                forgetting, self._forgetting = self._forgetting, []
                closing = self._closing
            for forgotten in forgetting:
                self._forget_all(forgotten)
            failed = self._append_all(batch)
            if failed and not closing:
                self._put_back(failed, waiting)
                continue
            if failed:
                lost = sum(taken.dropped + sum(map(lines_in, taken.pieces)) for taken in failed)
                _log.error("%d log lines were lost at the end: the disk did not take them", lost)
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
        while not (len(self._buffer) or self._waiting or self._forgetting or self._closing):
            if not self._changed.wait(_MEASURE_EVERY_S if self._measuring is not None else None):
                return
        self._changed.wait_for(lambda: self._waiting or self._forgetting or self._closing, _FLUSH_AFTER_S)

    def _append_all(self, batch: list[Taken]) -> list[Taken]:
        """Write a batch, log by log. What could not be written is the answer."""
        failed: list[Taken] = []
        broken: set[LogStream] = set()
        for taken in batch:
            stream = taken.log.stream
            if stream in broken:
                failed.append(taken)  # not before what was written earlier
                continue
            try:
                self._append(stream, _with_note(taken))
            except OSError as error:
                if not self._failing:
                    _log.error("Log lines wait in memory, because the disk does not take them: %s", error)
                    self._failing = True
                failed.append(taken)
                broken.add(stream)
        if batch and not failed:
            self._failing = False
        return failed

    def _append(self, stream: LogStream, pieces: Sequence[bytes]) -> None:
        live = self._live.get(stream)
        if live is None or live.segment.size >= self._limits.stream // _SEGMENTS:
            segment = self._catalogue.create(stream, time_of(pieces[0]), self._clock.wall())
        else:
            segment = live.segment
        grown = append(segment, pieces)
        self._catalogue.appended(stream, segment, grown)
        self._live[stream] = _Live(grown, self._clock.now())
        if live is not None and live.segment.path != grown.path:
            self._trim(stream)

    def _forget_all(self, done: Future[None]) -> None:
        self._live.clear()
        try:
            self._catalogue.clear()
        except OSError as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    def _put_back(self, failed: list[Taken], waiting: list[threading.Event]) -> None:
        with self._changed:
            for taken in failed:
                self._buffer.put_back(taken)
            self._waiting += waiting
        self._buffer.shed()

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


def _with_note(taken: Taken) -> Sequence[bytes]:
    """Where lines were dropped, say so before what is left."""
    if not taken.dropped:
        return taken.pieces
    text = f"ondol dropped {taken.dropped} older log lines here: the disk did not keep up with them.\n"
    return [line_of(time_of(taken.pieces[0]), text), *taken.pieces]
