"""The deadlines of all connections of a loop: one coarse look at them all instead of a timer per request.

It decides when a connection is asked to look at its deadline, and must not know what the connection then does.
Deadlines are kept to within two periods.
"""

import asyncio
from email.utils import formatdate
from typing import Protocol

from ondol.model.time import SECOND, Clock, Instant


class Swept(Protocol):
    """A connection, as the sweep sees it."""

    deadline: int
    """An `Instant`, `Sweep.now` and a span."""

    def expire(self, now: Instant) -> None:
        """The deadline has passed: act, or set a later one."""
        ...


class Sweep:
    """Shared by the listeners of one loop. It runs only while there is a connection."""

    def __init__(self, clock: Clock, period_s: float = 1.0) -> None:
        self._clock = clock
        self._period_s = period_s
        self._connections: set[Swept] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._read_clock()

    def _read_clock(self) -> None:
        self.now: Instant = self._clock.now()
        """When the last sweep was: cheap to read, late by up to a period."""

        self.date = f"Date: {formatdate(self._clock.wall() // 1000, usegmt=True)}\r\n"
        """The `Date` field line of responses (RFC 9110, 6.6.1)."""

    def span(self, duration_s: float) -> int:
        """What to add to `now`, for a deadline that leaves at least `duration_s`."""
        return int((duration_s + self._period_s) * SECOND)

    def add(self, connection: Swept) -> None:
        self._connections.add(connection)
        if self._timer is None:
            self._read_clock()
            self._timer = asyncio.get_running_loop().call_later(self._period_s, self._sweep)

    def discard(self, connection: Swept) -> None:
        self._connections.discard(connection)
        if not self._connections and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._period_s, self._sweep)
        self._read_clock()
        now = self.now
        for connection in [each for each in self._connections if each.deadline <= now]:
            connection.expire(now)
