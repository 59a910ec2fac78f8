"""How an event goes on after an attempt, and which queue it waits in. Pure.

Source: developer guide, "Error handling for asynchronous invocation", "Retaining records of asynchronous invocations".
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from ondol.events.api import Event, Failed, Outcome, Refused, Succeeded
from ondol.events.lineage import MOST_PASSES, times_passed
from ondol.events.records import Condition, Delivery, dead_letter, destination_record
from ondol.model.function import EventSettings, FunctionKey
from ondol.model.limits import EventSchedule
from ondol.model.time import MILLISECOND, SECOND, WallTime

QUEUES = 100
SHARD = 5
"""Of 100 queues 5 can be chosen in 75,287,520 ways: hardly any two functions share all of theirs."""

RECURSION = "The function was stopped because it had been invoked by itself, directly or through others, 16 times."
GONE = 404
MISMATCHED = 400
"""Its function does not take what it is, and will not at another attempt."""


class Finished(msgspec.Struct, frozen=True, gc=False):
    """No more attempts; so much is to be told."""

    deliveries: tuple[Delivery, ...] = ()


class Retry(msgspec.Struct, frozen=True, gc=False):
    """The function failed: another attempt, in `delay` nanoseconds."""

    event: Event
    delay: int


class Wait(msgspec.Struct, frozen=True, gc=False):
    """The same attempt again, in `delay` nanoseconds."""

    delay: int


Decision = Finished | Retry | Wait


def before(event: Event, settings: EventSettings, switched_off: bool, now: WallTime) -> Finished | None:
    """Why no attempt is made any more; None if one is."""
    if switched_off:
        return _given_up(event, settings, Condition.SWITCHED_OFF, None, now)
    if now > _latest(event, settings):
        return _given_up(event, settings, Condition.TOO_OLD, None, now)
    if not settings.may_loop and times_passed(event.trace, event.function) >= MOST_PASSES:
        return _given_up(event, settings, Condition.RECURSIVE, Refused(400, RECURSION), now)
    return None


def after(
    event: Event,
    settings: EventSettings,
    outcome: Outcome,
    *,
    put_back: int,
    schedule: EventSchedule,
    chance: float,
    now: WallTime,
) -> Decision:
    """What becomes of an event whose attempt had this outcome. `put_back`: how often this attempt was put off before.

    An event that would be too old by its next attempt is given up at once, while it is known how the last one ended.
    """
    match outcome:
        case Succeeded():
            if settings.on_success is None:
                return Finished()
            return Finished((destination_record(event, settings.on_success, Condition.SUCCESS, outcome, now),))
        case Failed():
            failures = event.failures + 1
            if failures > settings.max_retries:
                return _given_up(event, settings, Condition.EXHAUSTED, outcome, now)
            delay = failures * schedule.retry
            if now + delay // MILLISECOND > _latest(event, settings):
                return _given_up(event, settings, Condition.TOO_OLD, outcome, now)
            return Retry(replace(event, failures=failures, settings=settings), delay)
        case Refused(status, _):
            if status in {GONE, MISMATCHED}:
                return _given_up(event, settings, Condition.EXHAUSTED, outcome, now)
            delay = backoff(put_back, schedule, chance)
            if now + delay // MILLISECOND > _latest(event, settings):
                return _given_up(event, settings, Condition.TOO_OLD, outcome, now)
            return Wait(delay)


def backoff(times: int, schedule: EventSchedule, chance: float) -> int:
    """How long to wait, in nanoseconds, what was put off so often before.

    It doubles each time, and is up to half as long again, so that what was refused together does not come together.
    """
    # 2 to the 40th of anything is more than the longest.
    doubled = schedule.backoff << min(times, 40)
    return min(schedule.longest_backoff, doubled + int(doubled * chance / 2))


@lru_cache(maxsize=8192)
def shard_of(function: FunctionKey, queues: int = QUEUES, size: int = SHARD) -> tuple[int, ...]:
    """The numbers of the queues that this function's events are put into: always the same ones.

    Source: C. MacCarthaigh, "Workload isolation using shuffle-sharding", Amazon Builders' Library.
    """
    drawn = int.from_bytes(hashlib.blake2b(function.arn.encode(), digest_size=32).digest())
    left = list(range(queues))
    shard = []
    for _ in range(size):
        drawn, index = divmod(drawn, len(left))
        shard.append(left.pop(index))
    return tuple(shard)


def shortest(shard: tuple[int, ...], load: Callable[[int], int]) -> int:
    """The queue of the shard with the least before it."""
    return min(shard, key=load)


def _latest(event: Event, settings: EventSettings) -> WallTime:
    return WallTime(event.accepted + settings.max_age_s * SECOND // MILLISECOND)


def _given_up(
    event: Event, settings: EventSettings, condition: Condition, last: Failed | Refused | None, now: WallTime
) -> Finished:
    """A dead-letter queue is told in addition to a destination (API reference, PutFunctionEventInvokeConfig)."""
    deliveries = []
    if settings.on_failure is not None:
        deliveries.append(destination_record(event, settings.on_failure, condition, last, now))
    if settings.dead_letter is not None:
        deliveries.append(dead_letter(event, settings.dead_letter, condition, last, now))
    return Finished(tuple(deliveries))
