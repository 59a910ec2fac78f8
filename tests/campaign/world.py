"""What is around the events service in the simulator: clients, functions, destinations and clocks that misbehave.

Everything is drawn from one seed. Whatever is seen of an event is written into its `Story`.
"""

from collections.abc import Iterable, Sequence
from itertools import count
from random import Random

import msgspec

from campaign.disk import Disk
from campaign.story import Attempt, Story, excesses, lost
from ondol.events.api import Event
from ondol.events.steps import decode
from ondol.model.function import EventSettings, FunctionKey
from ondol.model.ids import AccountId, Region, RequestId
from ondol.model.limits import EventSchedule
from ondol.model.time import MILLISECOND, WallTime
from ondol.simulator.virtual_time import VirtualClock, VirtualTimeLoop

ACCOUNT, REGION = AccountId("123456789012"), Region("eu-west-1")
SCHEDULE = EventSchedule()
SINK = FunctionKey(ACCOUNT, REGION, "sink")
"""A destination that is a function."""

DESTINATIONS = (
    "arn:aws:sqs:eu-west-1:123456789012:queue",
    "arn:aws:sns:eu-west-1:123456789012:topic",
    "arn:aws:s3:::bucket",
    SINK.arn,
)
DEAD_LETTERS = DESTINATIONS[:2]


class JumpingClock(VirtualClock):
    """People set the wall clock, forward and back."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__(loop)
        self._offset_ms = 0
        self.jumps = 0
        self.latest = super().wall()
        """The latest that was ever shown."""

    def jump(self, by_ms: int) -> None:
        self._offset_ms += by_ms
        self.jumps += 1

    def wall(self) -> WallTime:
        shown = WallTime(super().wall() + self._offset_ms)
        self.latest = max(self.latest, shown)
        return shown


class Nature(msgspec.Struct, frozen=True):
    """How a function behaves."""

    key: FunctionKey
    settings: EventSettings
    fails: float
    """How likely an attempt does,"""

    refused: float
    """is not made for reasons of the platform's,"""

    absent: float
    """or finds that there is no such function now, or one that is switched off."""

    takes_s: float
    """On average."""

    most_at_once: int
    """Whoever comes on top is throttled."""


def drawn_nature(number: int, chance: Random) -> Nature:
    def maybe(choices: Sequence[str]) -> str | None:
        return chance.choice(choices) if chance.random() < 0.6 else None

    settings = EventSettings(
        max_retries=chance.randrange(3),
        max_age_s=chance.choice([60, 300, 3_600, 21_600]),
        on_success=maybe(DESTINATIONS),
        on_failure=maybe(DESTINATIONS),
        dead_letter=maybe(DEAD_LETTERS),
    )
    return Nature(
        FunctionKey(ACCOUNT, REGION, f"fn-{number}"),
        settings,
        fails=chance.choice([0.0, 0.3, 1.0]),
        refused=chance.choice([0.0, 0.0, 0.3]),
        absent=chance.choice([0.0, 0.0, 0.05]),
        takes_s=chance.choice([0.005, 0.2, 30.0]),
        most_at_once=chance.choice([1, 3, 1_000]),
    )


class World:
    """Outlives all lives of the service: what is on disk, what was seen, and what goes wrong."""

    def __init__(self, chance: Random, clock: JumpingClock) -> None:
        self.chance = chance
        self.clock = clock
        self.disk = Disk()
        self.natures = [drawn_nature(number, chance) for number in range(chance.randint(2, 5))]
        self.stories: dict[RequestId, Story] = {}
        self.healed = False
        """Nothing goes wrong any more."""

        self.wrong: list[str] = []
        self._numbers = count()
        self._refused: dict[RequestId, tuple[int, int, int]] = {}
        """How often in a row, when last, and how often the clock had jumped by then."""

    def happens(self, probability: float) -> bool:
        return not self.healed and self.chance.random() < probability

    def new_event(self) -> tuple[Event, Story]:
        nature = self.chance.choice(self.natures)
        number = next(self._numbers)
        request, now = RequestId(f"event-{number}"), self.clock.wall()
        story = self.stories[request] = Story(number, nature.settings, now)
        return Event(request, nature.key, None, b'"payload"', now, nature.settings), story

    def absent(self, function: FunctionKey) -> None:
        """Somebody was told that there is none: those of its events that wait may end without an attempt."""
        for row in self.disk.rows.values():
            step = decode(row.body)
            if isinstance(step, Event) and step.function == function:
                self.stories[step.request_id].unrunnable = True

    def disturb(self, bodies: Iterable[bytes]) -> None:
        for body in bodies:
            self.stories[_concerned(body)].disturbances += 1

    # What functions tell

    def runs(self, request: RequestId) -> Attempt:
        story, now = self.stories[request], self.clock.now()
        if self.clock.wall() > story.latest:
            self.wrong.append(f"event {story.number} ran {self.clock.wall() - story.latest} ms after its age limit")
        self._check_backoff(request, story)
        self._refused.pop(request, None)
        attempt = Attempt(now)
        story.attempts.append(attempt)
        return attempt

    def refuses(self, request: RequestId) -> None:
        story = self.stories[request]
        self._check_backoff(request, story)
        times = self._refused.get(request, (0, 0, 0))[0]
        self._refused[request] = times + 1, self.clock.now(), self.clock.jumps

    def _check_backoff(self, request: RequestId, story: Story) -> None:
        """What was refused comes again no earlier than the schedule has it."""
        times, since, jumps = self._refused.get(request, (0, 0, 0))
        if times and not story.disturbances and jumps == self.clock.jumps:
            waited = self.clock.now() - since
            if waited < min(SCHEDULE.longest_backoff, SCHEDULE.backoff << (times - 1)) - MILLISECOND:
                self.wrong.append(f"event {story.number} was tried {waited} ns after refusal {times}")

    # What must not be

    def check_nothing_is_lost(self) -> None:
        waiting = {_concerned(row.body) for row in self.disk.rows.values()}
        for request, story in self.stories.items():
            if request not in waiting and (loss := lost(story, self.clock.latest, SCHEDULE)):
                self.wrong.append(loss)

    def check_excesses(self) -> None:
        if self.clock.jumps == 0:
            for story in self.stories.values():
                self.wrong += excesses(story, SCHEDULE)


def _concerned(body: bytes) -> RequestId:
    """The event of a client's that a message is about."""
    step = decode(body)
    return original_of(step.payload) if isinstance(step, Event) and step.function == SINK else step.request_id


class _Context(msgspec.Struct):
    requestId: str


class _Record(msgspec.Struct):
    requestContext: _Context


_records = msgspec.json.Decoder(_Record)


def original_of(payload: bytes) -> RequestId:
    """The event whose record this is."""
    return RequestId(_records.decode(payload).requestContext.requestId)
