"""Two kinds of time that do not mix.

`Instant` orders what happens inside one process and is never stored or sent. `WallTime` is what people and the
wire see. Times to live travel as durations, in nanoseconds like every `Instant` difference.
"""

from typing import NewType, Protocol

Instant = NewType("Instant", int)
"""Nanoseconds on a clock that runs on through suspend and is never set."""

WallTime = NewType("WallTime", int)
"""Milliseconds since the Unix epoch, UTC."""

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND


class Clock(Protocol):
    """Where a shell reads the time; cores are given it."""

    def now(self) -> Instant: ...

    def wall(self) -> WallTime: ...
