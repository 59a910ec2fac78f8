"""Which occurrence of a schedule is to be acted on next, those missed while nobody looked included.

```
      since                     fired              now
 ───────┼──o────o────o────o────o──┼──x────x────x────┼────o────▶
        does not count before      missed: the last of them is made up for, once
```
Pure. An occurrence counts as missed when its flexible window is over. AWS is never down, so that it misses none; a
machine that slept over the weekend should not run three days of minutes at once. Hence of several that were missed only
the last one is made up for, and that only if it is no older than AWS would still try to deliver it (ADR 13).
"""

from zoneinfo import ZoneInfo

import msgspec

from ondol.model.time import WallTime
from ondol.triggers.expressions import MINUTE_MS, Expression, next_time


class Timing(msgspec.Struct, frozen=True):
    """When something is due. Times are in milliseconds."""

    expression: Expression
    zone: ZoneInfo
    anchor: WallTime
    """The first time of a rate."""

    since: WallTime
    """Earlier occurrences do not count."""

    fired: WallTime
    """The last occurrence that was acted on, or any earlier time."""

    longest_delay: int
    """What is older is not made up for."""

    end: WallTime | None = None
    """Later ones do not count."""

    window: int = 0
    """So long after its time it may be acted on as well."""


def next_occurrence(timing: Timing, now: WallTime) -> WallTime | None:
    """The time that the occurrence is for; None when there are no more."""
    first = _after(timing, max(timing.fired, timing.since - 1))
    if first is None or first + timing.window >= now:
        return first
    missed = _last_before(timing, first, now - timing.window)
    return missed if now - missed <= timing.longest_delay else _after(timing, missed)


def _after(timing: Timing, time: int) -> WallTime | None:
    found = next_time(timing.expression, timing.zone, timing.anchor, WallTime(time))
    return None if found is None or (timing.end is not None and found > timing.end) else found


def _last_before(timing: Timing, first: WallTime, before: int) -> WallTime:
    """The last occurrence earlier than `before`, of which `first` is one: looked for backwards, ever further."""
    found = first
    reach = MINUTE_MS
    while before - reach > first:
        candidate = _after(timing, before - reach - 1)
        if candidate is not None and candidate < before:
            found = candidate
            break
        reach *= 2
    while (following := _after(timing, found)) is not None and following < before:
        found = following
    return found
