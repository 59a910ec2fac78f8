"""Counting's shell: answers, recalls, and the clock that ends what nobody renews."""

import asyncio
from collections.abc import Mapping, Sequence

from ondol.background import Background
from ondol.counting.api import Grant, PermitHolder, Pool, Refusal
from ondol.counting.machine import GRANT_TTL, Answer, Command, CountingMachine, Recall
from ondol.model.function import FunctionKey
from ondol.model.ids import FrontendId, VersionId, WorkerId
from ondol.model.limits import AccountLimits
from ondol.model.time import SECOND, Clock

SWEEP_S = GRANT_TTL / SECOND / 3


class CountingService:
    """Performs the machine's commands; every decision is the machine's."""

    def __init__(self, limits: AccountLimits, clock: Clock) -> None:
        self._machine = CountingMachine(limits)
        self._clock = clock
        self._holders: dict[FrontendId, PermitHolder] = {}
        self._answers: dict[int, asyncio.Future[Grant | Refusal]] = {}
        self._requests = 0
        self._background = Background("the sweep of grants")

    async def open(self) -> None:
        self._background.spawn(self._sweep_for_ever())

    async def close(self) -> None:
        self._background.cancel()

    def register(self, holder: PermitHolder) -> None:
        self._holders[holder.id] = holder
        self._machine.joined(holder.id)

    async def grant(self, holder: FrontendId, pool: Pool, n: int) -> Grant | Refusal:
        self._requests += 1
        number = self._requests
        answer: asyncio.Future[Grant | Refusal] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        await self._perform(self._machine.asked(number, holder, pool, n, self._clock.now()))
        return await answer

    async def give_back(self, holder: FrontendId, grant: int, n: int) -> None:
        self._machine.given_back(grant, n)

    async def renew(self, holder: FrontendId, grants: list[int]) -> frozenset[int]:
        return self._machine.renewed(holder, grants, self._clock.now())

    async def running(self, worker: WorkerId, permits: dict[int, int]) -> frozenset[int]:
        return self._machine.reported(worker, permits, self._clock.now())

    async def may_grow(self, function: FunctionKey) -> bool:
        return self._machine.may_grow(function, self._clock.now())

    async def reserve(
        self, function: FunctionKey, concurrency: int | None, provisioned: Mapping[VersionId, int]
    ) -> None:
        await self._perform(self._machine.reserve(function, concurrency, provisioned))

    async def _perform(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Answer(request, outcome):
                    self._answers.pop(request).set_result(outcome)
                case Recall(holder, pool, n, owe, request):
                    returned = await self._holders[holder].recall_permits(pool, n, owe)
                    await self._perform(self._machine.recalled(returned, request, self._clock.now()))

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now = self._clock.now()
            self._machine.expire(now)
            self._machine.forget_growth(now)
