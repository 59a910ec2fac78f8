"""What the live campaign knows of its events, and how each is to go. For several threads."""

import threading
import time
from collections.abc import Callable

import msgspec

from campaign.story import Attempt, Story, excesses, lost
from ondol.model.function import EventSettings
from ondol.model.limits import EventSchedule
from ondol.model.time import SECOND, WallTime

LATELY = 2 * SECOND
"""What was seen of an event so shortly before a kill may not be on disk: that comes soon, not at once."""

DONE, FAIL, EXIT = "done", "fail", "exit"


class Kind(msgspec.Struct, frozen=True):
    """A function of the campaign."""

    name: str
    settings: EventSettings
    ends: Callable[[int, int], str]
    """How an attempt ends, by the event's number and how many attempts there were before."""

    reserved: int | None = None
    """Its concurrency: so narrow that events are throttled."""


class Ledger:
    def __init__(self, kinds: list[Kind], schedule: EventSchedule, sink: str) -> None:
        """`sink`: the ARN of the function that is a destination."""
        self._kinds = {kind.name: kind for kind in kinds}
        self._schedule = schedule
        self._sink = sink
        self._lock = threading.Lock()
        self._seen_one = threading.Condition(self._lock)
        self._stories: dict[int, Story] = {}
        self._unresolved: set[int] = set()
        self._seen: dict[int, int] = {}
        self._effects = 0

    def sent(self, kind: str) -> int:
        """A new event is on its way: its number."""
        with self._lock:
            number = len(self._stories) + 1
            self._stories[number] = Story(number, self._kinds[kind].settings, WallTime(0))
            return number

    def acknowledged(self, number: int) -> None:
        with self._lock:
            self._stories[number].acknowledged = True
            self._unresolved.add(number)
            self._settle(number)

    def answer(self, function: str, number: int) -> str:
        """A function has this event: how it is to end."""
        now = time.monotonic_ns()
        with self._lock:
            story = self._stories[number]
            if function not in self._kinds:
                story.told[self._sink] += 1
                end = DONE
            else:
                end = self._kinds[function].ends(number, len(story.attempts))
                story.attempts.append(Attempt(now, now, end != DONE))
            self._look(number)
            return end

    def told(self, destination: str, number: int) -> None:
        with self._lock:
            self._stories[number].told[destination] += 1
            self._look(number)

    def killed(self) -> None:
        """ondol was, just now: whatever is not over may be done again."""
        since = time.monotonic_ns() - LATELY
        with self._lock:
            for number, story in self._stories.items():
                if number in self._unresolved or not story.acknowledged or self._seen.get(number, 0) > since:
                    story.disturbances += 1

    def wait_for(self, effects: int, most_s: float) -> None:
        """Until so many more attempts and records were seen, or so long."""
        with self._lock:
            wanted = self._effects + effects
            self._seen_one.wait_for(lambda: self._effects >= wanted, most_s)

    def unresolved(self) -> int:
        """How many acknowledged events have not come to a good end yet."""
        with self._lock:
            return len(self._unresolved)

    def losses(self) -> list[str]:
        with self._lock:
            return [loss for number in sorted(self._unresolved) if (loss := self._loss(number))]

    def excesses(self) -> list[str]:
        with self._lock:
            return [excess for story in self._stories.values() for excess in excesses(story, self._schedule)]

    def figures(self) -> dict[str, int]:
        with self._lock:
            stories = self._stories.values()
            return {
                "accepted": sum(story.acknowledged for story in stories),
                "attempts": sum(len(story.attempts) for story in stories),
                "told to destinations": sum(story.told.total() for story in stories),
                "in hand at a kill": sum(story.disturbances > 0 for story in stories),
            }

    def _look(self, number: int) -> None:
        self._seen[number] = time.monotonic_ns()
        self._effects += 1
        self._seen_one.notify_all()
        self._settle(number)

    def _settle(self, number: int) -> None:
        if number in self._unresolved and not self._loss(number):
            self._unresolved.discard(number)

    def _loss(self, number: int) -> str | None:
        return lost(self._stories[number], WallTime(0), self._schedule)
