"""How much of one streamed result may go to its client, and when.

A burst leaves at once, what follows at a steady rate, and no more than a limit at all (developer guide, "Response
streaming for Lambda functions"). As in AWS's own limiter the burst refills at that rate, so that a function which
writes seldom is never held up. Pure, and in integers: nothing drifts.
"""

import msgspec

from ondol.model.limits import StreamedResponse
from ondol.model.time import SECOND, Instant


class Share(msgspec.Struct, frozen=True, gc=False):
    """What may go of a piece that the function wrote."""

    size: int
    """So many of its first; fewer than it has when the result has reached its limit."""

    wait_ns: int
    """They may go after so long."""


class Allowance:
    """Of one streamed result, from its first piece on: by any moment no more has gone than burst and rate allow."""

    __slots__ = ("_debt", "_left", "_limits", "_updated")

    def __init__(self, limits: StreamedResponse, now: Instant) -> None:
        self._limits = limits
        self._left = limits.total_bytes
        self._debt = 0
        """Bytes that the rate has not made good yet, in units of a byte's nanosecond: so any rate divides evenly."""

        self._updated = now

    def take(self, size: int, now: Instant) -> Share:
        """Take what may go of a piece of `size` bytes."""
        limits = self._limits
        allowed = min(size, self._left)
        self._left -= allowed
        self._debt = max(0, self._debt - (now - self._updated) * limits.bytes_per_s) + allowed * SECOND
        self._updated = now
        excess = max(0, self._debt - limits.burst_bytes * SECOND)
        return Share(allowed, -(-excess // limits.bytes_per_s))
