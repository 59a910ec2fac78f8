"""Lines on their way from the event loop to the writer's thread: bounded in memory, and taken without a lock.

The loop appends, the thread cuts off the front; each is one operation of the interpreter on one list, so neither waits
for the other. What changes lists otherwise (dropping, putting back) holds the lock.

The loop also brings them into the form of the file: the thread runs on another processor, which would have to fetch
each line's objects, and holds the interpreter, which the loop needs, for as long as it does anything but write.
"""

import threading
from collections.abc import Callable, Sequence

import msgspec

from ondol.model.time import WallTime
from ondol.telemetry.api import LogStream
from ondol.telemetry.segments import encode_into, lines_in


class BufferedLog:
    """The lines of one stream that wait for the disk (`OpenLog`)."""

    __slots__ = ("_buffer", "_last", "dropped", "era", "noted", "pieces", "stream")

    def __init__(self, stream: LogStream, buffer: "LineBuffer") -> None:
        self.stream = stream
        self.era = buffer.era
        """Its lines count as long as this is the buffer's."""

        self.pieces: list[bytes] = []
        """Of each write the lines, as the file has them."""

        self.dropped = 0
        """Lines."""

        self.noted = False
        """The thread will look at it."""

        self._buffer = buffer
        self._last = WallTime(0)

    def write(self, time: WallTime, messages: Sequence[str]) -> None:
        if time < self._last:
            time = self._last  # search by time relies on it: a clock that was set back appears to stand still
        else:
            self._last = time
        buffer = self._buffer
        lines = buffer.lines
        lines.clear()
        for message in messages:
            end = len(lines)
            try:
                encode_into((time, message), lines, -1)
            except UnicodeEncodeError:
                # Half of a surrogate pair: what cannot be written becomes a question mark.
                del lines[end:]
                encode_into((time, message.encode(errors="replace").decode()), lines, -1)
            lines += b"\n"
        piece = bytes(lines)
        self.pieces.append(piece)
        buffer.written += len(piece)
        # Asked after the piece is there: the thread takes the mark away before it looks for pieces.
        if not self.noted:
            buffer.note(self)
        elif buffer.written - buffer.taken > buffer.limit:
            buffer.shed()


class Taken(msgspec.Struct, frozen=True):
    """What waited in one log: one piece at least."""

    log: BufferedLog
    pieces: list[bytes]
    dropped: int
    """Older lines, which are no more."""


class LineBuffer:
    """All that waits. `open` and what it answers belong to the event loop, `take` and `put_back` to the thread."""

    def __init__(self, limit: int, lock: threading.Lock, wake: Callable[[], None]) -> None:
        self.limit = limit
        self.written = 0
        """Bytes that ever came in; `taken`: that ever went out. Each is changed on one side only, but for shedding."""

        self.taken = 0
        self.era = 0
        """How often all that was open has been forgotten. Changed with the lock held."""

        self.lines = bytearray()
        """Where the loop puts them in form: to have an object of its own made for each takes longer."""

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
                while excess > 0 and cut < len(log.pieces) - 1:
                    piece = log.pieces[cut]
                    self.taken += len(piece)
                    excess -= len(piece)
                    log.dropped += lines_in(piece)
                    cut += 1
                del log.pieces[:cut]
                if excess <= 0:
                    break

    def take(self) -> list[Taken]:
        """All that waits. The lock is held."""
        batch = []
        noted, self._noted = self._noted, []
        for log in noted:
            log.noted = False
            pieces = log.pieces[: len(log.pieces)]
            del log.pieces[: len(pieces)]
            self.taken += sum(map(len, pieces))
            dropped, log.dropped = log.dropped, 0
            # None where the loop noted it after its last piece had been taken.
            if pieces and log.era == self.era:
                batch.append(Taken(log, pieces, dropped))
        return batch

    def put_back(self, taken: Taken) -> None:
        """This could not be written: it waits again, before what came since. The lock is held."""
        log = taken.log
        log.pieces[:0] = taken.pieces
        log.dropped += taken.dropped
        self.taken -= sum(map(len, taken.pieces))
        if not log.noted:
            log.noted = True
            self._noted.append(log)
