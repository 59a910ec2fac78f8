"""The events service in virtual time: when it runs what, and that it writes what follows before it acknowledges."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ondol.events.api import Event, Failed, Observer, Outcome, Refused, Succeeded
from ondol.events.deliveries import NotDelivered
from ondol.events.records import Delivery
from ondol.events.service import EventsService
from ondol.events.steps import decode
from ondol.model.errors import (
    AccessDenied,
    InvalidParameterValue,
    InvariantError,
    OndolError,
    PlatformError,
    ResourceConflict,
    ResourceNotFound,
)
from ondol.model.errors import Outcome as ErrorOutcome
from ondol.model.function import EventSettings, FunctionKey
from ondol.model.ids import AccountId, Region, RequestId
from ondol.model.limits import EventSchedule
from ondol.model.time import SECOND
from ondol.simulator.virtual_time import VirtualClock, VirtualTimeLoop, run
from ondol.store.memory_queues import MemoryQueues
from ondol.store.protocol import Message, StoreError

FUNCTION = FunctionKey(AccountId("123456789012"), Region("eu-west-1"), "fn")
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:queue"
HANGS = "arn:aws:sqs:eu-west-1:123456789012:stuck"
TOPICS = [f"arn:aws:sns:eu-west-1:123456789012:topic-{number}" for number in range(20)]
SUCCEEDED = Succeeded("$LATEST", b"1")
FAILED = Failed("$LATEST", b'{"errorMessage": "no"}')
THROTTLED = Refused(429, "Rate Exceeded.")


class WatchedQueues(MemoryQueues):
    """Says what is written, in order; `broken` makes the disk full."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.written: list[str] = []
        self.broken = False

    async def put(self, queue: str, body: bytes, delay: int = 0) -> None:
        if self.broken:
            raise StoreError("the disk is full")
        await asyncio.sleep(0.01)
        self.written.append(f"put {type(decode(body)).__name__}")
        await super().put(queue, body, delay)

    def acknowledge(self, message: Message) -> None:
        self.written.append(f"acknowledge {type(decode(message.body)).__name__}")
        super().acknowledge(message)

    def put_back(self, message: Message, delay: int) -> None:
        self.written.append("put back")
        super().put_back(message, delay)


class World:
    """The service with its neighbours: functions that end as `outcomes` say (then succeed), and a destination."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        self.clock = VirtualClock(loop)
        self.queues = WatchedQueues(self.clock)
        self.outcomes: list[Outcome] = []
        self.duration_s = 0.001
        self.settings = EventSettings()
        self.exists = True
        self.unready: list[OndolError] = []
        """What is said of the function, before it is to be had."""

        self.found_after_s = 0.0
        self.switched_off = False
        self.runs: list[tuple[RequestId, float]] = []
        self.delivered: list[Delivery] = []
        self.refusals = 0
        self.service = EventsService(
            queues=self.queues,
            clock=self.clock,
            schedule=EventSchedule(),
            runner=self,
            courier=self,
            chance=lambda: 0.0,
            new_id=lambda: "made-here",
        )

    async def accept(self, number: int = 0) -> Event:
        event = Event(RequestId(f"r{number}"), FUNCTION, None, b"1", self.clock.wall(), self.settings)
        await self.service.accept(event)
        return event

    async def find(self, function: FunctionKey, qualifier: str | None, tenant: str | None = None) -> "World":
        if self.found_after_s:
            await asyncio.sleep(self.found_after_s)
        if not self.exists:
            raise ResourceNotFound("Function not found")
        if self.unready:
            raise self.unready.pop(0)
        if tenant is not None:
            raise InvalidParameterValue("The invoked function is not enabled with tenancy configuration.")
        return self

    def run(self, request: RequestId, payload: bytes, trace: str | None, observer: Observer) -> None:
        self.runs.append((request, self.clock.now() / SECOND))
        outcome = self.outcomes.pop(0) if self.outcomes else SUCCEEDED
        if isinstance(outcome, Refused):
            observer.ended(outcome)
            return
        observer.running()
        asyncio.get_running_loop().call_later(self.duration_s, observer.ended, outcome)

    async def send(self, delivery: Delivery) -> None:
        if delivery.destination == HANGS:
            await asyncio.Event().wait()
        if self.refusals:
            self.refusals -= 1
            raise NotDelivered("nobody is there")
        self.delivered.append(delivery)

    def seconds(self) -> list[int]:
        """When attempts began."""
        return [round(at) for _, at in self.runs]


def test(scenario: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        world = World()
        world.service.open()
        await scenario(world)
        await world.service.close(0)

    run(main())


test.__test__ = False  # type: ignore[attr-defined]


def test_a_failing_function_is_tried_three_times_under_one_request_id() -> None:
    async def scenario(world: World) -> None:
        world.outcomes = [FAILED] * 3
        world.settings = EventSettings(on_failure=QUEUE)
        await world.accept()
        await asyncio.sleep(3600)
        assert world.seconds() == [0, 60, 180]
        assert {request for request, _ in world.runs} == {"r0"}
        [delivery] = world.delivered
        assert delivery.destination == QUEUE
        assert world.service.status() == {"waiting": 0, "under_way": 0, "undelivered": 0}

    test(scenario)


def test_a_throttled_event_waits_ever_longer_and_runs_in_the_end() -> None:
    async def scenario(world: World) -> None:
        world.outcomes = [THROTTLED, Refused(500, "no room"), THROTTLED, THROTTLED]
        await world.accept()
        await asyncio.sleep(3600)
        assert world.seconds() == [0, 1, 3, 7, 15]

    test(scenario)


def test_a_throttled_event_is_given_up_after_six_hours() -> None:
    async def scenario(world: World) -> None:
        world.outcomes = [THROTTLED] * 1000
        world.settings = EventSettings(on_failure=QUEUE)
        await world.accept()
        await asyncio.sleep(7 * 3600)
        assert 6 * 3600 - 301 < world.seconds()[-1] < 6 * 3600
        assert '"EventAgeExceeded"' in world.delivered[0].body

    test(scenario)


def test_what_follows_is_written_before_an_attempt_is_acknowledged() -> None:
    async def scenario(world: World) -> None:
        world.outcomes = [FAILED, SUCCEEDED]
        world.settings = EventSettings(on_success=QUEUE, dead_letter=QUEUE)
        await world.accept()
        await asyncio.sleep(3600)
        first = ["put Event", "put Event", "acknowledge Event"]
        assert world.queues.written[:4] == [*first, "put Delivery"]
        assert sorted(world.queues.written[4:]) == ["acknowledge Delivery", "acknowledge Event"]

    test(scenario)


def test_while_the_disk_is_full_events_are_refused_and_those_that_ran_run_again() -> None:
    async def scenario(world: World) -> None:
        world.outcomes = [FAILED, FAILED, FAILED]
        await world.accept()
        world.queues.broken = True
        with pytest.raises(PlatformError, match="disk is full"):
            await world.accept(1)
        await asyncio.sleep(2)
        assert world.seconds() == [0, 1]
        world.queues.broken = False
        await asyncio.sleep(3600)
        assert world.seconds() == [0, 1, 3, 63]
        assert world.service.status()["waiting"] == 0

    test(scenario)


def test_a_record_is_sent_until_its_destination_has_it() -> None:
    async def scenario(world: World) -> None:
        world.settings = EventSettings(on_success=QUEUE)
        world.refusals = 5
        await world.accept()
        await asyncio.sleep(30)
        assert world.delivered == [] and world.service.status()["undelivered"] == 1
        await asyncio.sleep(5)
        assert len(world.delivered) == 1 and world.service.status()["undelivered"] == 0

    test(scenario)


def test_a_server_that_hangs_holds_up_neither_events_nor_records_to_others() -> None:
    async def scenario(world: World) -> None:
        world.settings = EventSettings(on_success=HANGS)
        for number in range(50):
            await world.accept(number)
        await asyncio.sleep(1)
        assert len(world.runs) == 50
        for number, topic in enumerate(TOPICS):
            world.settings = EventSettings(on_success=topic)
            await world.accept(50 + number)
        await asyncio.sleep(1)
        assert sorted(delivery.destination for delivery in world.delivered) == sorted(TOPICS)

    test(scenario)


def test_events_of_a_function_that_is_gone_or_switched_off_go_to_their_destination_unrun() -> None:
    async def scenario(world: World) -> None:
        world.settings = EventSettings(on_failure=QUEUE)
        world.exists = False
        await world.accept(1)
        await asyncio.sleep(1)
        world.exists, world.switched_off = True, True
        await world.accept(2)
        await asyncio.sleep(1)
        assert world.runs == []
        assert [delivery.request_id for delivery in world.delivered] == ["r1", "r2"]

    test(scenario)


def test_an_event_whose_function_is_not_to_be_had_yet_waits_for_it_whatever_is_said() -> None:
    async def scenario(world: World) -> None:
        world.unready = [
            PlatformError("the store was slow", ErrorOutcome.NOT_STARTED),
            ResourceConflict("The function is currently in the following state: Pending"),
            AccessDenied("not now"),
        ]
        await world.accept()
        await asyncio.sleep(3600)
        assert world.seconds() == [7]
        assert world.service.status() == {"waiting": 0, "under_way": 0, "undelivered": 0}

    test(scenario)


def test_an_event_for_a_tenant_of_a_function_that_runs_for_all_is_not_run() -> None:
    async def scenario(world: World) -> None:
        settings = EventSettings(on_failure=QUEUE)
        event = Event(RequestId("r1"), FUNCTION, None, b"1", world.clock.wall(), settings, tenant="blue")
        await world.service.accept(event)
        await asyncio.sleep(1)
        assert world.runs == []
        assert [delivery.request_id for delivery in world.delivered] == ["r1"]
        assert world.service.status() == {"waiting": 0, "under_way": 0, "undelivered": 0}

    test(scenario)


def test_a_burst_of_short_calls_is_served_by_few_and_long_ones_get_ever_more() -> None:
    async def scenario(world: World) -> None:
        world.duration_s = 60.0
        await asyncio.gather(*(world.accept(number) for number in range(300)))
        await asyncio.sleep(0.2)
        at_first = len(world.runs)
        assert 10 <= at_first <= 60
        await asyncio.sleep(5)
        assert len(world.runs) == 300

    test(scenario)


def test_a_paused_service_begins_nothing_and_keeps_everything() -> None:
    async def scenario(world: World) -> None:
        world.duration_s = 1.0
        await world.accept(1)
        await asyncio.sleep(0.1)
        await world.service.pause()
        await world.accept(2)
        await world.service.close(10)
        assert [request for request, _ in world.runs] == ["r1"]
        assert world.service.status() == {"waiting": 1, "under_way": 0, "undelivered": 0}

    test(scenario)


def test_what_is_forgotten_is_not_run() -> None:
    async def scenario(world: World) -> None:
        world.outcomes = [FAILED]
        world.settings = EventSettings(on_success=QUEUE)
        world.refusals = 1
        await world.accept(1)
        await world.accept(2)
        await asyncio.sleep(0.5)
        await world.service.forget_all()
        await asyncio.sleep(3600)
        assert len(world.runs) == 2 and world.delivered == []

    test(scenario)


def test_closing_waits_for_no_event_whose_function_is_still_looked_for() -> None:
    async def scenario(world: World) -> None:
        world.found_after_s = 60
        await world.accept()
        await asyncio.sleep(1)
        before = world.clock.now()
        await world.service.close(30)
        assert world.clock.now() == before
        assert world.runs == []

    test(scenario)


def test_a_taker_that_meets_what_nobody_foresaw_does_not_die_unheard() -> None:
    async def scenario(world: World) -> None:
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))

        async def find(function: FunctionKey, qualifier: str | None, tenant: str | None = None) -> World:
            raise ZeroDivisionError

        world.find = find  # type: ignore[method-assign]
        await world.accept()
        await asyncio.sleep(1)
        [error] = told
        assert isinstance(error, InvariantError)
        assert isinstance(error.__cause__, ZeroDivisionError)

    test(scenario)
