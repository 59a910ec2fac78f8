"""A rate as a token bucket, in integers: no drift, no clock of its own."""

from ondol.model.time import SECOND, Instant


class TokenBucket:
    """Holds at most `capacity` tokens and gains `per_second` of them; starts full.

    Tokens are kept in units of a token's nanosecond, so that any rate divides evenly.
    """

    __slots__ = ("_capacity", "_level", "_rate", "_updated")

    def __init__(self, capacity: int, per_second: int, now: Instant) -> None:
        self._capacity = capacity * SECOND
        self._rate = per_second
        self._level = self._capacity
        self._updated = now

    def take(self, now: Instant, n: int = 1) -> bool:
        """Take `n` tokens if there are so many."""
        elapsed = now - self._updated
        if elapsed > 0:
            self._level = min(self._capacity, self._level + elapsed * self._rate)
            self._updated = now
        if self._level < n * SECOND:
            return False
        self._level -= n * SECOND
        return True

    def resize(self, capacity: int, per_second: int, now: Instant) -> None:
        """Another rate from now on; what was saved up is kept as far as it fits."""
        elapsed = max(0, now - self._updated)
        self._level = min(capacity * SECOND, self._level + elapsed * self._rate)
        self._capacity = capacity * SECOND
        self._rate = per_second
        self._updated = now

    @property
    def full_at(self) -> Instant:
        """When it will be full if nothing is taken: from then on it tells nothing that a new one would not."""
        missing = self._capacity - self._level
        return Instant(self._updated + (missing // self._rate if self._rate else 0))
