"""The campaign in the simulator: the very events service, in virtual time, over a disk that crashes; one for a seed."""

import asyncio
from random import Random

import msgspec

from campaign.disk import CrashingQueues
from campaign.story import Attempt
from campaign.world import SCHEDULE, SINK, JumpingClock, Nature, World, original_of
from ondol.events.api import Failed, Observer, Refused, Succeeded
from ondol.events.deliveries import NotDelivered
from ondol.events.records import Delivery
from ondol.events.service import EventsService
from ondol.model.errors import PlatformError, ResourceConflict, ResourceNotFound
from ondol.model.function import EventSettings, FunctionKey
from ondol.model.ids import RequestId
from ondol.simulator.virtual_time import VirtualTimeLoop, run

DAY_S = 86_400
LOOK_S = 60
SUCCEEDED = Succeeded("$LATEST", b"null")
FAILED = Failed("$LATEST", b'{"errorMessage": "no"}')
THROTTLED = Refused(429, "Rate Exceeded.")
CLIENTS = 3


class Figures(msgspec.Struct):
    """What came of seeds."""

    kills: int = 0
    accepted: int = 0
    attempts: int = 0
    told: int = 0
    disturbed: int = 0

    def add(self, other: "Figures") -> None:
        for field in self.__struct_fields__:
            setattr(self, field, getattr(self, field) + getattr(other, field))

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.accepted} events accepted, {self.disturbed} of them in hand at a kill or while "
            f"the disk was full, {self.attempts} attempts, {self.told} records and dead letters"
        )


class Wrong(AssertionError):
    """An invariant does not hold."""


def campaign(seed: int, service: type[EventsService] = EventsService) -> Figures:
    """All that one seed brings; with a service that is broken on purpose, to see that it is noticed. Raises `Wrong`."""
    return run(_campaign(seed, service))


async def _campaign(seed: int, service: type[EventsService]) -> Figures:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    chance = Random(seed)
    world = World(chance, JumpingClock(loop))
    loop.set_exception_handler(lambda _, context: world.wrong.append(repr(context.get("exception", context))))
    figures = Figures()
    for _ in range(chance.randint(2, 5)):
        figures.kills += await Life(world, service).live()
        if chance.random() < 0.3:
            world.clock.jump(chance.choice([-1, 1]) * chance.choice([500, 60_000, 3_600_000]))
        await asyncio.sleep(chance.choice([0, 10, 1_000]))
    world.healed = True
    world.disk.full = False
    await Life(world, service).live_until_all_is_done()
    world.check_excesses()
    if world.wrong:
        raise Wrong("; ".join(world.wrong[:5]))
    stories = world.stories.values()
    figures.accepted = sum(story.acknowledged for story in stories)
    figures.attempts = sum(len(story.attempts) for story in stories)
    figures.told = sum(story.told.total() for story in stories)
    figures.disturbed = sum(story.disturbances > 0 for story in stories)
    return figures


class Life:
    """The service between a start and a kill, or a stop: also its `Runner` and its `Courier`."""

    def __init__(self, world: World, service: type[EventsService]) -> None:
        self._world = world
        self._chance = chance = world.chance
        self._dead = False
        self._died = asyncio.Event()
        self._fuse = chance.choice([0, chance.randrange(10), chance.randrange(200)])
        """It is killed with the write that burns it down; never by that if it begins at 0."""

        self._queues = CrashingQueues(world.disk, world.clock, chance, self._burn)
        self._queues.on_refusal = lambda body: world.disturb([body])
        self._running: dict[FunctionKey, int] = {}
        self._others = asyncio.all_tasks()
        self._service = service(
            queues=self._queues,
            clock=world.clock,
            schedule=SCHEDULE,
            runner=self,
            courier=self,
            chance=chance.random,
            new_id=lambda: f"made-{world.disk.last_id}-{chance.random()}",
        )

    async def live(self) -> bool:
        """Until it is killed, or has stopped in peace: whether it was killed."""
        chance = self._chance
        self._service.open()
        span_s = chance.choice([0.02, 1.0, 100.0, 3_000.0]) * chance.random()
        clients = [asyncio.create_task(self._send(span_s)) for _ in range(CLIENTS)]
        troubles = asyncio.create_task(self._make_trouble(span_s))
        try:
            async with asyncio.timeout(span_s):
                await self._died.wait()
        except TimeoutError:
            pass
        stopped = False
        if not self._dead and chance.random() < 0.3:
            for task in (*clients, troubles):
                task.cancel()
            patience_s = chance.choice([0.0, 1.0, 30.0])
            closing = asyncio.create_task(self._service.close(patience_s))
            await asyncio.wait([closing], timeout=chance.choice([0.001, patience_s + 1.0]))
            stopped = closing.done() and not self._dead
        await self._end()
        return not stopped

    async def live_until_all_is_done(self) -> None:
        self._service.open()
        rows = self._world.disk.rows
        for _ in range(DAY_S // LOOK_S):
            if not rows:
                break
            await asyncio.sleep(LOOK_S)
        if rows:
            self._world.wrong.append(f"{len(rows)} messages are not done with after a day without trouble")
        await self._end()

    async def _end(self) -> None:
        self._die()
        tasks = asyncio.all_tasks() - self._others - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._world.check_nothing_is_lost()

    def _burn(self) -> None:
        self._fuse -= 1
        if self._fuse == 0 and not self._world.healed:
            self._die()

    def _die(self) -> None:
        if not self._dead:
            self._dead = True
            self._world.disturb(self._queues.in_hand())
            self._queues.crash()
            self._died.set()

    async def _send(self, span_s: float) -> None:
        pause_s = self._chance.choice([0.001, span_s / 5, span_s])
        for _ in range(self._chance.randrange(6)):
            await asyncio.sleep(self._chance.random() * pause_s)
            event, story = self._world.new_event()
            try:
                await self._service.accept(event)
            except PlatformError:
                continue
            story.acknowledged = True

    async def _make_trouble(self, span_s: float) -> None:
        while True:
            await asyncio.sleep(self._chance.random() * span_s)
            if self._chance.random() < 0.3:
                self._world.disk.full = True
                await asyncio.sleep(self._chance.random() * span_s / 5)
                self._world.disk.full = False

    # As `Runner`

    async def find(self, function: FunctionKey, qualifier: str | None, tenant: str | None = None) -> "_Function":
        world = self._world
        if world.happens(0.2):
            await asyncio.sleep(self._chance.random() / 100)
        if function == SINK:
            return _Sink(self)
        nature = next(nature for nature in world.natures if nature.key == function)
        if world.happens(nature.absent / 2):
            world.absent(function)
            raise ResourceNotFound("Function not found")
        if world.happens(nature.absent):
            raise ResourceConflict("The function is being made")
        switched_off = world.happens(nature.absent / 2)
        if switched_off:
            world.absent(function)
        return _Function(self, nature, switched_off)

    # As `Courier`

    async def send(self, delivery: Delivery) -> None:
        world = self._world
        await asyncio.sleep(self._chance.random() * self._chance.choice([0.001, 1.0]))
        if world.happens(0.02):
            await asyncio.Event().wait()
        if world.happens(0.1):
            raise NotDelivered("nobody is there")
        self._tell(delivery.request_id, delivery.destination)
        if world.happens(0.1):
            world.stories[delivery.request_id].disturbances += 1
            raise NotDelivered("its answer was not heard")

    # What functions do

    def run(self, request: RequestId, nature: Nature, observer: Observer) -> None:
        world, at_once = self._world, self._running.get(nature.key, 0)
        if not world.healed and at_once >= nature.most_at_once:
            world.refuses(request)
            observer.ended(THROTTLED)
        elif world.happens(nature.refused):
            world.refuses(request)
            observer.ended(Refused(500, "no room"))
        else:
            self._running[nature.key] = at_once + 1
            attempt = world.runs(request)
            observer.running()
            takes_s = self._chance.expovariate(1 / nature.takes_s)
            asyncio.get_running_loop().call_later(takes_s, self._over, nature, attempt, observer)

    def run_sink(self, original: RequestId, observer: Observer) -> None:
        if self._world.happens(0.2):
            observer.ended(THROTTLED)
        else:
            self._tell(original, SINK.arn)
            observer.ended(SUCCEEDED)

    def _over(self, nature: Nature, attempt: Attempt, observer: Observer) -> None:
        if self._dead:
            return
        self._running[nature.key] -= 1
        attempt.ended = self._world.clock.now()
        attempt.failed = self._world.happens(nature.fails)
        observer.ended(FAILED if attempt.failed else SUCCEEDED)

    def _tell(self, request: RequestId, destination: str) -> None:
        if not self._dead:
            self._world.stories[request].told[destination] += 1


class _Function:
    """A `Runnable`: what a function of this nature does, as of now."""

    def __init__(self, life: Life, nature: Nature, switched_off: bool) -> None:
        self.settings = nature.settings
        self.switched_off = switched_off
        self._life = life
        self._nature = nature

    def run(self, request: RequestId, payload: bytes, trace: str | None, observer: Observer) -> None:
        self._life.run(request, self._nature, observer)


class _Sink:
    """The function that is a destination: it is refused at times, and never fails."""

    settings = EventSettings(max_age_s=30 * DAY_S)
    switched_off = False

    def __init__(self, life: Life) -> None:
        self._life = life

    def run(self, request: RequestId, payload: bytes, trace: str | None, observer: Observer) -> None:
        self._life.run_sink(original_of(payload), observer)
