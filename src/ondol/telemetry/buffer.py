"""Lines on their way from the event loop to the writer's thread: bounded in memory, and taken without a lock.

The loop appends, the thread cuts off the front; each is one operation of the interpreter on one list, so neither waits
for the other. What changes lists otherwise (dropping, putting back) holds the lock.
"""

import threading
from collections.abc import Callable, Sequence
from operator import attrgetter

from ondol.model.time import WallTime
from ondol.telemetry.api import LogEvent, LogStream

_EVENT_OVERHEAD = 120
"""Bytes that an event takes in memory beside its text."""


class BufferedLog:
    """The lines of one stream that wait for the disk (`OpenLog`)."""

    __slots__ = ("_buffer", "dropped", "era", "lines", "noted", "stream")

    def __init__(self, stream: LogStream, buffer: "LineBuffer") -> None:
        self.stream = stream
        self.era = buffer.era
        """Its lines count as long as this is the buffer's."""

        self.lines: list[LogEvent] = []
        self.dropped = 0
        self.noted = False
        """The thread will look at it."""

        self._buffer = buffer

    def write(self, time: WallTime, message: str) -> None:
        self.lines.append(LogEvent(time, message))
        buffer = self._buffer
        buffer.written += len(message) + _EVENT_OVERHEAD
        # Asked after the line is there: the thread takes the mark away before it looks for lines.
        if not self.noted:
            buffer.note(self)
        elif buffer.written - buffer.taken > buffer.limit:
            buffer.shed()


class LineBuffer:
    """All that waits. `open` and what it answers belong to the event loop, `take` and `put_back` to the thread."""

    def __init__(self, limit: int, lock: threading.Lock, wake: Callable[[], None]) -> None:
        self.limit = limit
        self.written = 0
        """Bytes that ever came in; `taken`: that ever went out. Each is changed on one side only, but for shedding."""

        self.taken = 0
        self.era = 0
        """How often all that was open has been forgotten. Changed with the lock held."""

        self._lock = lock
        self._wake = wake
        self._noted: list[BufferedLog] = []

    def __len__(self) -> int:
        """How many streams have lines that wait."""
        return len(self._noted)

    def open(self, stream: LogStream) -> BufferedLog:
        return BufferedLog(stream, self)

    def note(self, log: BufferedLog) -> None:
        """Have the thread look at this log."""
        with self._lock:
            log.noted = True
            self._noted.append(log)
            if len(self._noted) == 1:
                self._wake()

    def shed(self) -> None:
        """Forget what waits longest, until the rest is within the limit."""
        with self._lock:
            for log in self._noted:
                excess = self.written - self.taken - self.limit
                cut = 0
                while excess > 0 and cut < len(log.lines) - 1:
                    size = _sizes(log.lines[cut : cut + 1])
                    self.taken += size
                    excess -= size
                    cut += 1
                del log.lines[:cut]
                log.dropped += cut
                if excess <= 0:
                    break

    def take(self) -> list[tuple[BufferedLog, list[LogEvent], int]]:
        """All that waits, and how many older lines of each log were dropped. The lock is held."""
        batch = []
        noted, self._noted = self._noted, []
        for log in noted:
            log.noted = False
            lines = log.lines[: len(log.lines)]
            del log.lines[: len(lines)]
            self.taken += _sizes(lines)
            dropped, log.dropped = log.dropped, 0
            if log.era == self.era:
                batch.append((log, lines, dropped))
        return batch

    def put_back(self, log: BufferedLog, lines: Sequence[LogEvent]) -> None:
        """These could not be written: they wait again, before what came since. The lock is held."""
        log.lines[:0] = lines
        self.taken -= _sizes(lines)
        if not log.noted:
            log.noted = True
            self._noted.append(log)


def _sizes(events: Sequence[LogEvent]) -> int:
    return sum(map(len, map(attrgetter("message"), events))) + len(events) * _EVENT_OVERHEAD
