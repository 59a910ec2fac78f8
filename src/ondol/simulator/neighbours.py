"""What the events of one function do to those of the others: the real events service, in virtual time.

Functions are simulated by how long they run and how many of them at once; whoever comes on top is throttled. What is
measured is the age at which events begin to run.
"""

import asyncio
from collections.abc import Callable
from itertools import count
from random import Random

import msgspec

from ondol.events.api import Event, Observer, Refused, Succeeded
from ondol.events.deliveries import NotDelivered
from ondol.events.policy import shard_of
from ondol.events.records import Delivery
from ondol.events.service import EventsService
from ondol.model.function import EventSettings, FunctionKey
from ondol.model.ids import AccountId, Region, RequestId
from ondol.model.limits import EventSchedule
from ondol.model.time import MILLISECOND, SECOND, Instant
from ondol.simulator.virtual_time import VirtualClock, VirtualTimeLoop, run
from ondol.store.memory_queues import MemoryQueues

ACCOUNT, REGION = AccountId("123456789012"), Region("eu-west-1")


class Neighbour(msgspec.Struct, frozen=True):
    """A function and its load."""

    name: str
    events_per_s: float
    duration: int
    """Nanoseconds."""

    most_at_once: int = 1000

    @property
    def key(self) -> FunctionKey:
        return FunctionKey(ACCOUNT, REGION, self.name)


Ages = dict[str, list[int]]
"""By function, how old in nanoseconds each event was when it began to run."""


def ages(
    neighbours: list[Neighbour],
    span_s: float,
    seed: int,
    shard: Callable[[FunctionKey], tuple[int, ...]] = shard_of,
) -> Ages:
    """Let events come for so long, at random, and run; those that have not begun by the end count as begun then."""
    return run(_simulate(neighbours, span_s, seed, shard))


async def _simulate(
    neighbours: list[Neighbour], span_s: float, seed: int, shard: Callable[[FunctionKey], tuple[int, ...]]
) -> Ages:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    clock = VirtualClock(loop)
    functions = _Functions(neighbours, clock)
    ids = map(str, count())
    service = EventsService(
        queues=MemoryQueues(clock),
        clock=clock,
        schedule=EventSchedule(),
        runner=functions,
        courier=_NoCourier(),
        chance=Random(f"{seed}/backoff").random,
        new_id=ids.__next__,
        shard=shard,
    )
    service.open()
    async with asyncio.TaskGroup() as group:
        for neighbour in neighbours:
            group.create_task(functions.call(neighbour, service, span_s, Random(f"{seed}/{neighbour.name}")))
    result = functions.ages_at(clock.now())
    await service.close(0)
    return result


class _Functions:
    """A `Runner`."""

    def __init__(self, neighbours: list[Neighbour], clock: VirtualClock) -> None:
        self._runnable = {neighbour.key: _Function(neighbour, self) for neighbour in neighbours}
        self._ages: Ages = {neighbour.name: [] for neighbour in neighbours}
        self._clock = clock
        self._accepted: dict[RequestId, Instant] = {}

    async def call(self, neighbour: Neighbour, service: EventsService, span_s: float, random: Random) -> None:
        """As clients of their own mind do."""
        for number in count():
            await asyncio.sleep(random.expovariate(neighbour.events_per_s))
            if self._clock.now() > span_s * SECOND:
                return
            request = RequestId(f"{neighbour.name}/{number}")
            self._accepted[request] = self._clock.now()
            await service.accept(Event(request, neighbour.key, None, b"{}", self._clock.wall()))

    async def find(self, function: FunctionKey, qualifier: str | None, tenant: str | None = None) -> "_Function":
        return self._runnable[function]

    def begins(self, request: RequestId) -> None:
        self._ages[request.partition("/")[0]].append(self._clock.now() - self._accepted.pop(request))

    def ages_at(self, now: Instant) -> Ages:
        for request, accepted in self._accepted.items():
            self._ages[request.partition("/")[0]].append(now - accepted)
        return self._ages


class _Function:
    """A `Runnable`."""

    settings = EventSettings()
    switched_off = False

    def __init__(self, neighbour: Neighbour, functions: _Functions) -> None:
        self._neighbour = neighbour
        self._functions = functions
        self._running = 0

    def run(self, request: RequestId, payload: bytes, trace: str | None, observer: Observer) -> None:
        if self._running == self._neighbour.most_at_once:
            observer.ended(Refused(429, "Rate Exceeded."))
            return
        self._running += 1
        self._functions.begins(request)
        observer.running()
        asyncio.get_running_loop().call_later(self._neighbour.duration / SECOND, self._end, observer)

    def _end(self, observer: Observer) -> None:
        self._running -= 1
        observer.ended(Succeeded("$LATEST", b"null"))


class _NoCourier:
    async def send(self, delivery: Delivery) -> None:
        raise NotDelivered("nothing is delivered here")


def p99(values: list[int]) -> float:
    """In milliseconds."""
    return sorted(values)[int(len(values) * 0.99)] / MILLISECOND
