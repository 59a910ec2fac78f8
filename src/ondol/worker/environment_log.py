"""One environment's log stream: output and platform lines in order, the quota, and the tail of an invocation."""

from collections.abc import Iterable, Sequence

from ondol.model.ids import RequestId
from ondol.model.invocation import FunctionFailure
from ondol.model.limits import LOG_TAIL_BYTES, MEBIBYTE
from ondol.model.rate import TokenBucket
from ondol.model.time import Clock, WallTime
from ondol.telemetry.api import LogSink, LogStream
from ondol.worker.extensions import Extension
from ondol.worker.log_lines import LineSplitter, PlatformLines, Report

BURST_BYTES = 64 * MEBIBYTE
BYTES_PER_S = 4 * MEBIBYTE
"""The quota of one sandbox: below it no line is lost, above it lines are dropped and counted."""


class EnvironmentLog:
    def __init__(self, stream: LogStream, sink: LogSink, lines: PlatformLines, clock: Clock) -> None:
        self.stream = stream
        self._log = sink.open(stream)
        self._lines = lines
        self._clock = clock
        self._splitter = LineSplitter()
        self._quota = TokenBucket(BURST_BYTES, BYTES_PER_S, clock.now())
        self._dropped = 0
        self._tail: bytes | None = None

    def init_start(self) -> None:
        self._tail = b""
        wall = self._clock.wall()
        self._write(wall, self._lines.init_start(wall))

    def start(self, request: RequestId, want_tail: bool) -> None:
        """An invocation begins; what comes until `end` is its log."""
        self._tail = b"" if want_tail else None
        wall = self._clock.wall()
        self._write(wall, self._lines.start(wall, request))

    def init_failed(self, init_ns: int, phase: str, failure: FunctionFailure) -> None:
        """Init failed in this phase of the environment: `init`, or `invoke` when it was run again."""
        wall = self._clock.wall()
        self._write_rest(wall)
        self._write(wall, self._lines.init_failed(wall, init_ns, phase, failure))

    def start_of_failed(self, cause: RequestId) -> None:
        """An invocation begins that ends at once, for init failed: all since that began is its log."""
        wall = self._clock.wall()
        self._write(wall, self._lines.start(wall, cause))

    def extensions(self, extensions: Iterable[Extension]) -> None:
        """Init is over, however it went: what has become of the extensions."""
        wall = self._clock.wall()
        for extension in extensions:
            self._write(wall, self._lines.extension(wall, extension))

    def output(self, data: bytes) -> None:
        """The customer's processes wrote this."""
        if self._quota.take(self._clock.now(), len(data)):
            wall = self._clock.wall()
            lines = self._splitter.feed(data)
            if self._dropped:
                self._write(wall, [f"ondol: {self._dropped} lines were dropped here: the log quota was exceeded\n"])
                self._dropped = 0
            self._write(wall, lines)
        else:
            self._dropped += data.count(b"\n") or 1

    def tell(self, text: str) -> None:
        """ondol itself has something to say."""
        self._write(self._clock.wall(), [f"ondol: {text}\n"])

    def end(self, report: Report) -> bytes:
        """The invocation is over; the answer is the last 4 KB of its log, if it was wanted."""
        wall = self._clock.wall()
        self._write_rest(wall)
        self._write(wall, self._lines.end(wall, report))
        tail, self._tail = self._tail, None
        return tail or b""

    def close(self) -> None:
        """The environment ends: keep what was written without a newline."""
        self._write_rest(self._clock.wall())

    def _write_rest(self, wall: WallTime) -> None:
        """What was written without a newline is a line, when no more is to be expected for now."""
        rest = self._splitter.flush()
        if rest:
            self._write(wall, [rest])

    def _write(self, wall: WallTime, lines: Sequence[str]) -> None:
        if lines:
            self._log.write(wall, lines)
            if self._tail is not None:
                self._tail = (self._tail + "".join(lines).encode())[-LOG_TAIL_BYTES:]
