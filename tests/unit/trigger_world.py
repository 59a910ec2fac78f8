"""Triggers with their neighbours, in virtual time: one function, and events that are kept in a list."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec

from ondol.control.api import Control
from ondol.events.api import Event, Letter
from ondol.model.errors import Outcome, PlatformError
from ondol.model.function import FunctionKey, FunctionVersion, FunctionView
from ondol.model.ids import AccountId, Region
from ondol.model.policy import parse_policy
from ondol.simulator.virtual_time import VirtualClock, VirtualTimeLoop, run
from ondol.store.memory import MemoryStore
from ondol.triggers.api import Owner
from ondol.triggers.service import TriggersService

ACCOUNT, REGION = AccountId("123456789012"), Region("eu-west-1")
OWNER = Owner(ACCOUNT, REGION)
FUNCTION = FunctionKey(ACCOUNT, REGION, "fn")
PERMITTED = (
    '{"Statement": {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*", "Principal": {"Service": '
    '["events.amazonaws.com", "s3.amazonaws.com", "sns.amazonaws.com"]}}}'
)


class Neighbours:
    """Control, of which only views are asked, and events."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self.accepted: list[tuple[float, Event]] = []
        self.letters: list[Letter] = []
        self.broken = False
        self.policy = PERMITTED

    async def view(self, function: FunctionKey) -> FunctionView | None:
        if function != FUNCTION:
            return None
        policies = {"$LATEST": parse_policy(self.policy)}
        return FunctionView(FUNCTION, 1, {"$LATEST": cast(FunctionVersion, None)}, {}, policies=policies)

    async def accept(self, event: Event) -> None:
        if self.broken:
            raise PlatformError("the disk is full", Outcome.NOT_STARTED)
        self.accepted.append((self._loop.time(), event))

    async def send(self, letter: Letter) -> None:
        self.letters.append(letter)

    async def forget_all(self) -> None:
        raise AssertionError("events are forgotten by whoever forgets triggers too")


class World:
    """`service` with its neighbours; `restart` is what follows a kill."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        self.clock = VirtualClock(loop)
        self.store = MemoryStore()
        self.neighbours = Neighbours(loop)
        self.service = self._service()

    def _service(self) -> TriggersService:
        ids = iter(f"id-{number}" for number in range(100_000))
        return TriggersService(
            store=self.store,
            control=cast(Control, self.neighbours),
            clock=self.clock,
            chance=lambda: 0.5,
            new_id=ids.__next__,
        )

    async def open(self) -> None:
        await self.service.open(self.neighbours)

    async def restart(self, down_s: float) -> None:
        await self.service.close()
        await asyncio.sleep(down_s)
        self.service = self._service()
        await self.open()

    async def events(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return await self.service.perform("events", operation, OWNER, parameters)

    async def scheduler(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return await self.service.perform("scheduler", operation, OWNER, parameters)

    @property
    def times(self) -> list[float]:
        """Of each invocation, in seconds since the beginning."""
        return [round(at, 3) for at, _ in self.neighbours.accepted]

    @property
    def payloads(self) -> list[Any]:
        return [msgspec.json.decode(event.payload) for _, event in self.neighbours.accepted]


def scenario(test: Callable[[World], Awaitable[None]]) -> Callable[[], None]:
    """A test in virtual time, with triggers that are open."""

    def runs() -> None:
        async def whole() -> None:
            world = World()
            await world.open()
            await test(world)
            await world.service.close()

        run(whole())

    runs.__name__ = test.__name__
    return runs
