"""A timer wheel: many timers, most of which never fire, at the price of a dictionary entry each.

Pure: the shell calls `advance` at each tick, or sleeps until `next_tick`. Timers fire at the first tick at or after
their instant, so up to one tick late and never early.
"""

import heapq
from typing import Generic, TypeVar

from ondol.model.time import MILLISECOND, Instant

K = TypeVar("K")


class TimerWheel(Generic[K]):
    """Timers by the tick that they are due in. Setting a timer does not replace another of the same key: keys that
    carry a generation tell a stale one."""

    __slots__ = ("_due", "_slots", "_tick")

    def __init__(self, tick: int = 5 * MILLISECOND) -> None:
        self._tick = tick
        self._due: dict[int, list[K]] = {}
        self._slots: list[int] = []

    def set(self, key: K, at: Instant) -> None:
        slot = -(-at // self._tick)
        due = self._due.get(slot)
        if due is None:
            self._due[slot] = [key]
            heapq.heappush(self._slots, slot)
        else:
            due.append(key)

    def advance(self, now: Instant) -> list[K]:
        """All timers that are due, earliest tick first."""
        last = now // self._tick
        fired: list[K] = []
        while self._slots and self._slots[0] <= last:
            fired += self._due.pop(heapq.heappop(self._slots))
        return fired

    @property
    def next_tick(self) -> Instant | None:
        """When `advance` will have something to say."""
        return Instant(self._slots[0] * self._tick) if self._slots else None

    def __len__(self) -> int:
        return sum(len(due) for due in self._due.values())
