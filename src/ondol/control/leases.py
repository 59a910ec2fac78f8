"""Whose word control still waits for before an update counts as done.

A holder decides by its views only while it has a lease on them, and stops by itself when that has run out. So
control sends each change to all, and waits for each answer until the lease that the holder had then must be over.
Who has let a lease run out is not waited for again until it has answered all that it owes.
"""

from itertools import count

from ondol.model.time import Instant


class HolderLeases:
    """What each holder was sent and has not acknowledged. `ttl` is the longest that a holder's lease lasts."""

    def __init__(self, ttl: int) -> None:
        self._ttl = ttl
        self._numbers = count(1)
        self._owed: dict[str, dict[int, Instant]] = {}

    def joined(self, holder: str) -> None:
        """A holder begins, or begins anew, without any view."""
        self._owed[holder] = {}

    def sent(self, holder: str, now: Instant) -> int:
        """A change is on its way; the answer numbers it."""
        number = next(self._numbers)
        self._owed[holder][number] = Instant(now + self._ttl)
        return number

    def acknowledged(self, holder: str, number: int) -> None:
        self._owed[holder].pop(number, None)

    def lapsed(self, holder: str, now: Instant) -> bool:
        """Its lease has run out: it may decide nothing by what it holds."""
        return any(deadline <= now for deadline in self._owed[holder].values())

    def owing(self, numbers: dict[str, int], now: Instant) -> int:
        """For how long, at most, in nanoseconds, must be waited for the acknowledgements of these changes."""
        waits = [
            self._owed[holder][number] - now
            for holder, number in numbers.items()
            if number in self._owed[holder] and not self.lapsed(holder, now)
        ]
        return max(waits, default=0)
