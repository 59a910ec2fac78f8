"""What was seen of one event, and what of that must not be: the invariants that both campaigns hold. Pure.

A *disturbance* is a moment at which the platform died, or its disk refused a write, with the event in hand: what was
begun may then be done again, from where it was last written. Without one, everything is exact.
"""

from collections import Counter
from collections.abc import Iterator

import msgspec

from ondol.model.function import EventSettings
from ondol.model.limits import EventSchedule
from ondol.model.time import MILLISECOND, SECOND, WallTime


class Attempt(msgspec.Struct):
    """One run of the function. Times are monotonic nanoseconds of whoever watches."""

    began: int
    ended: int | None = None
    """When the platform was told; None if it never was."""

    failed: bool = False


class Story:
    """Of one event: told by clients, functions and destinations, never by the platform itself."""

    def __init__(self, number: int, settings: EventSettings, accepted_at: WallTime) -> None:
        self.number = number
        self.settings = settings
        self.accepted_at = accepted_at
        self.acknowledged = False
        """A client has its 202."""

        self.attempts: list[Attempt] = []
        self.told: Counter[str] = Counter()
        """How often each destination has heard of it."""

        self.disturbances = 0
        self.unrunnable = False
        """Its function was gone, or switched off, while it waited: it may end without an attempt."""

    @property
    def most_attempts(self) -> int:
        return self.settings.max_retries + 1

    @property
    def latest(self) -> WallTime:
        return WallTime(self.accepted_at + self.settings.max_age_s * SECOND // MILLISECOND)

    @property
    def failures(self) -> int:
        return sum(attempt.failed for attempt in self.attempts)

    @property
    def successes(self) -> int:
        return sum(attempt.ended is not None and not attempt.failed for attempt in self.attempts)


def lost(story: Story, latest_seen: WallTime, schedule: EventSchedule) -> str | None:
    """Why an acknowledged event that waits nowhere is lost; None if it has come to a good end.

    `latest_seen`: the latest that any clock has shown since it was accepted.
    """
    settings = story.settings
    if not story.acknowledged:
        return None
    of_success = {settings.on_success} - {None}
    of_failure = {settings.on_failure, settings.dead_letter} - {None}
    if story.successes and of_success <= story.told.keys():
        return None
    longest = max(schedule.longest_backoff, story.settings.max_retries * schedule.retry) // MILLISECOND
    may_end = story.failures >= story.most_attempts or story.unrunnable or latest_seen + longest > story.latest
    if may_end and of_failure <= story.told.keys():
        return None
    return (
        f"event {story.number} is lost: {len(story.attempts)} of {story.most_attempts} attempts, {story.failures} "
        f"failed, told {dict(story.told)}, to be told {sorted(of_success)} or {sorted(of_failure)}"
    )


def excesses(story: Story, schedule: EventSchedule) -> Iterator[str]:
    """What was done too often, or too early."""
    name = f"event {story.number}, disturbed {story.disturbances} times,"
    if len(story.attempts) > story.most_attempts * (1 + story.disturbances):
        yield f"{name} was tried {len(story.attempts)} times, {story.most_attempts} are allowed"
    if story.disturbances:
        return
    if story.successes > 1:
        yield f"{name} has succeeded {story.successes} times"
    settings = story.settings
    roles = Counter([settings.on_success, settings.on_failure, settings.dead_letter])
    for destination, times in story.told.items():
        if times > roles[destination]:
            yield f"{name} was told to {destination} {times} times"
    for number, (before, after) in enumerate(zip(story.attempts, story.attempts[1:], strict=False), 1):
        if before.ended is None or after.began - before.ended < number * schedule.retry - MILLISECOND:
            yield f"{name} had attempt {number + 1} only {after.began - (before.ended or 0)} ns after the one before"
