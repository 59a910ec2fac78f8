"""Events' shell: takes steps out of queues, has them run, and writes what follows from how they ended."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from ondol.background import Background
from ondol.events.api import Event, Failed, Letter, Outcome, Refused, Runner
from ondol.events.deliveries import Courier, Deliveries, NotDelivered
from ondol.events.lineage import passed_on
from ondol.events.machine import Dispatch
from ondol.events.policy import (
    GONE,
    MISMATCHED,
    QUEUES,
    Finished,
    Retry,
    Wait,
    after,
    backoff,
    before,
    shard_of,
    shortest,
)
from ondol.events.records import Condition, Delivery, dead_letter
from ondol.events.steps import Step, decode, encode
from ondol.model import errors
from ondol.model.arn import parse_function_arn
from ondol.model.errors import CallerError, InvalidParameterValue, InvariantError, PlatformError, ResourceNotFound
from ondol.model.function import EventSettings, FunctionKey
from ondol.model.ids import RequestId
from ondol.model.limits import EventSchedule
from ondol.model.time import SECOND, Clock
from ondol.store.protocol import Message, Queues, StoreError
from ondol.waiting import happens

_log = logging.getLogger(__name__)

UNAVAILABLE = 500
"""The status of an attempt that could not be made for reasons of the platform's."""


def queue_name(number: int) -> str:
    return f"events/{number}"


class EventsService:
    """Accepts events at once, and runs them when `open` has been called."""

    def __init__(
        self,
        *,
        queues: Queues,
        clock: Clock,
        schedule: EventSchedule,
        runner: Runner,
        courier: Courier,
        chance: Callable[[], float],
        new_id: Callable[[], str],
        shard: Callable[[FunctionKey], tuple[int, ...]] = shard_of,
    ) -> None:
        self._queues = queues
        self._clock = clock
        self._schedule = schedule
        self._runner = runner
        self._chance = chance
        self._new_id = new_id
        self._shard = shard
        self._dispatch = Dispatch()
        self._deliveries = Deliveries(queues, schedule, chance, courier, self._invoke)
        self._takers = Background("taking events from their queues")
        self._released = {queue_name(number): asyncio.Event() for number in range(QUEUES)}
        self._aging: asyncio.TimerHandle | None = None
        self._under_way: set[int] = set()
        self._nothing_under_way = asyncio.Event()
        self._closed = False
        self._background = Background("writing what follows from an event")

    def open(self) -> None:
        """Begin with what waits."""
        for queue in self._released:
            self._takers.spawn(self._take(queue))
        self._deliveries.open()

    async def pause(self) -> None:
        """Begin no more steps; events are accepted still."""
        self._takers.cancel()
        await self._takers.finished()

    async def close(self, timeout_s: float) -> None:
        """Steps under way have so long to end; what has not is begun again after the next start."""
        await self.pause()
        if self._under_way:
            self._nothing_under_way.clear()
            await happens(self._nothing_under_way, timeout_s)
        self._closed = True
        if self._aging is not None:
            self._aging.cancel()
        await self._deliveries.close()

    async def accept(self, event: Event) -> None:
        try:
            await self._put(event, 0)
        except StoreError as error:
            raise PlatformError(f"The event could not be kept: {error}", errors.Outcome.NOT_STARTED) from error

    async def send(self, letter: Letter) -> None:
        delivery = Delivery(
            request_id=RequestId(self._new_id()),
            function=letter.function,
            source=letter.source,
            destination=letter.queue,
            body=letter.body,
            at=self._clock.wall(),
            attributes=letter.attributes,
        )
        try:
            await self._deliveries.put(delivery)
        except StoreError as error:
            raise PlatformError(f"The message could not be kept: {error}", errors.Outcome.NOT_STARTED) from error

    async def bury(self, event: Event, failure: Failed) -> None:
        queue = event.settings.dead_letter
        if queue is None:
            return
        try:
            await self._deliveries.put(dead_letter(event, queue, Condition.EXHAUSTED, failure, self._clock.wall()))
        except StoreError as error:
            raise PlatformError(f"The dead letter could not be kept: {error}", errors.Outcome.NOT_STARTED) from error

    async def forget_all(self) -> None:
        try:
            await asyncio.gather(
                *(self._queues.purge(queue) for queue in self._released), self._deliveries.forget_all()
            )
        except StoreError as error:
            raise PlatformError(f"Events could not be forgotten: {error}", errors.Outcome.UNKNOWN) from error

    def status(self) -> dict[str, int]:
        """How much there is to do."""
        waiting = sum(self._queues.length(queue) for queue in self._released)
        return {"waiting": waiting, "under_way": len(self._under_way), "undelivered": self._deliveries.waiting}

    # Inside

    async def _put(self, event: Event, delay: int) -> None:
        queue = queue_name(shortest(self._shard(event.function), self._load))
        await self._queues.put(queue, encode(event), delay)

    def _load(self, number: int) -> int:
        queue = queue_name(number)
        return self._queues.length(queue) + self._dispatch.young(queue)

    async def _take(self, queue: str) -> None:
        released = self._released[queue]
        while True:
            while (room := self._dispatch.room(queue)) == 0:
                released.clear()
                self._watch_age()
                await released.wait()
            for message in await self._queues.take(queue, room):
                self._dispatch.began(message.id, queue)
                self._under_way.add(message.id)
                try:
                    await self._begin(message)
                except asyncio.CancelledError:
                    # It has not begun, so that nobody need wait for it.
                    self._over(message)
                    raise

    async def _begin(self, message: Message) -> None:
        event = decode(message.body)
        if not isinstance(event, Event):
            raise InvariantError(f"message {message.id} of {message.queue} is no event")
        try:
            runnable = await self._runner.find(event.function, event.qualifier, event.tenant)
        except ResourceNotFound as error:
            self._ended(message, event, event.settings, Refused(GONE, error.message))
        except InvalidParameterValue as error:
            self._ended(message, event, event.settings, Refused(MISMATCHED, error.message))
        except (CallerError, PlatformError) as error:
            # Not ready, or not to be had just now.
            self._ended(message, event, event.settings, Refused(UNAVAILABLE, error.message))
        else:
            settings = runnable.settings
            given_up = before(event, settings, runnable.switched_off, self._clock.wall())
            if given_up is not None:
                self._finish(message, given_up)
            else:
                attempt = _Attempt(self, message, event, settings)
                runnable.run(event.request_id, event.payload, passed_on(event), attempt)

    def _running(self, message: Message) -> None:
        self._dispatch.running(message.id, self._clock.now())
        self._watch_age()

    def _ended(self, message: Message, event: Event, settings: EventSettings, outcome: Outcome) -> None:
        decision = after(
            event,
            settings,
            outcome,
            put_back=message.put_back,
            schedule=self._schedule,
            chance=self._chance(),
            now=self._clock.wall(),
        )
        match decision:
            case Wait(delay):
                self._put_back(message, delay)
            case Retry(again, delay):
                self._background.spawn(self._follow(message, (again,), delay))
            case Finished():
                self._finish(message, decision)

    def _finish(self, message: Message, finished: Finished) -> None:
        if finished.deliveries:
            self._background.spawn(self._follow(message, finished.deliveries))
        else:
            self._acknowledge(message)

    async def _follow(self, message: Message, steps: Sequence[Step], delay: int = 0) -> None:
        """Write what comes next, and only then have done with what was before."""
        try:
            for step in steps:
                if isinstance(step, Event):
                    await self._put(step, delay)
                else:
                    await self._deliveries.put(step)
        except StoreError as error:
            _log.error("what follows from message %s of %s could not be written: %s", message.id, message.queue, error)
            self._put_back(message, backoff(message.put_back, self._schedule, self._chance()))
        else:
            self._acknowledge(message)

    def _acknowledge(self, message: Message) -> None:
        if not self._closed:
            self._queues.acknowledge(message)
            self._release(self._dispatch.ended(message.id, self._clock.now()))
            self._over(message)

    def _put_back(self, message: Message, delay: int) -> None:
        if not self._closed:
            self._queues.put_back(message, delay)
            self._dispatch.refused(message.id, self._clock.now())
            self._watch_age()
            self._over(message)

    def _over(self, message: Message) -> None:
        self._under_way.discard(message.id)
        if not self._under_way:
            self._nothing_under_way.set()

    def _release(self, queues: Iterable[str]) -> None:
        for queue in queues:
            self._released[queue].set()

    def _watch_age(self) -> None:
        """Somebody waits for steps to get old."""
        at = self._dispatch.ages_at
        if at is not None and self._aging is None:
            delay_s = (at - self._clock.now()) / SECOND
            self._aging = asyncio.get_running_loop().call_later(delay_s, self._age)

    def _age(self) -> None:
        self._aging = None
        self._release(self._dispatch.aged(self._clock.now()))
        self._watch_age()

    async def _invoke(self, delivery: Delivery) -> None:
        """Give a record to the function that is its destination, as an event of its own."""
        arn = parse_function_arn(delivery.destination)
        if arn is None:
            raise NotDelivered("it is not the ARN of a function")
        function = FunctionKey(arn.account, arn.region, arn.name)
        payload = delivery.body.encode()
        event = Event(
            RequestId(self._new_id()), function, arn.qualifier, payload, self._clock.wall(), trace=delivery.trace
        )
        try:
            await self._put(event, 0)
        except StoreError as error:
            raise NotDelivered(str(error)) from error


class _Attempt:
    """An attempt under way: its `Observer`."""

    __slots__ = ("_event", "_message", "_service", "_settings")

    def __init__(self, service: EventsService, message: Message, event: Event, settings: EventSettings) -> None:
        self._service = service
        self._message = message
        self._event = event
        self._settings = settings

    def running(self) -> None:
        self._service._running(self._message)

    def ended(self, outcome: Outcome) -> None:
        self._service._ended(self._message, self._event, self._settings, outcome)
