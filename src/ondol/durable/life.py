"""The life of one execution: what its machine decides is written, and what follows from what is written is done.

One thing at a time changes it. A step that cannot be written changes nothing: whoever asked is told, and what nobody
asked for (time that has passed, an invocation that has ended) is tried until it can.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Protocol, TypeVar

from ondol.background import SLOW_BYTES, Background
from ondol.durable.api import Ended, Ran, Run, Runner, RunOutcome
from ondol.durable.function_answers import read_answer
from ondol.durable.invocation_input import invocation_input
from ondol.durable.journal import Journal
from ondol.durable.machine import Answered, Checkpoint, Decision, Ending, Execution, Turn, replayed
from ondol.durable.records import Operation
from ondol.model.errors import Outcome, PlatformError
from ondol.model.ids import RequestId
from ondol.model.time import Clock, WallTime
from ondol.store.protocol import RevisionConflict, StoreError

T = TypeVar("T")

_LONGEST_REST_S = 5.0
"""Between attempts to write."""

_log = logging.getLogger(__name__)


class Surroundings(Protocol):
    """What lives have in common."""

    journal: Journal
    runner: Runner
    clock: Clock
    background: Background
    stopping: bool
    """ondol ends: nothing more is begun."""

    closed: bool
    """Nor is anything written."""

    def new_id(self) -> str: ...

    def chance(self) -> float: ...

    def wake(self, execution: str, at: WallTime | None) -> None: ...

    def chain(self, life: "Life", operation: Operation) -> Coroutine[None, None, None]:
        """See to it that another function answers."""
        ...

    def ended(self, life: "Life") -> Coroutine[None, None, None]: ...


class Life:
    def __init__(self, execution: Execution, around: Surroundings) -> None:
        self.execution = execution
        self._around = around
        self._lock = asyncio.Lock()
        self._waiters: list[asyncio.Future[Ended]] = []
        self._chaining: set[str] = set()
        self._over = False
        self.settled = asyncio.Event()
        """Its end is kept, and told to whoever must know."""

    async def act(self, decide: Callable[[Execution, WallTime], Decision[T]], asked: Checkpoint | None = None) -> T:
        """Decide, write, make it true, and begin what follows. Raises what `decide` raises, and `PlatformError`.

        Not to be cancelled: what is written must become true.
        """
        execution, around = self.execution, self._around
        async with self._lock:
            decision = decide(execution, around.clock.wall())
            if decision.step is not None:
                try:
                    await around.journal.append(execution.head.id, execution.steps, decision.step)
                except (StoreError, RevisionConflict) as error:
                    raise PlatformError(
                        f"{execution.head.arn} was not changed: {error}", Outcome.NOT_STARTED
                    ) from error
            answer = execution.commit(decision, asked)
        self.advance()
        return answer

    async def insist(self, decide: Callable[[Execution, WallTime], Decision[T]]) -> None:
        """As `act`, until it is written."""
        rest_s = 0.1
        while not self._around.closed:
            try:
                await self.act(decide)
            except PlatformError as error:
                _log.error("%s", error)
                await asyncio.sleep(rest_s)
                rest_s = min(_LONGEST_REST_S, 2 * rest_s)
            else:
                return

    def advance(self) -> None:
        """Begin whatever follows from what it has come to, unless that is under way."""
        execution, around = self.execution, self._around
        if around.stopping or self._over:
            return
        if execution.closed:
            self._over = True
            around.wake(execution.head.id, None)
            around.background.spawn(around.ended(self))
            return
        if execution.may_run(around.clock.wall()):
            self._begin()
        for operation in execution.chained():
            if operation.id not in self._chaining:
                self._chaining.add(operation.id)
                around.background.spawn(around.chain(self, operation))
        around.wake(execution.head.id, execution.wake_at())

    def drop(self) -> None:
        """It is forgotten: begin nothing more."""
        self._over = True

    # Who waits for its end

    async def end(self) -> Ended:
        """Raises `PlatformError` when ondol stops before."""
        waiter: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return await waiter

    def tell(self, ended: Ended | PlatformError) -> None:
        """Answer whoever waits."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if waiter.done():
                continue
            if isinstance(ended, Ended):
                waiter.set_result(ended)
            else:
                waiter.set_exception(ended)

    # Its invocations

    def _begin(self) -> None:
        execution, around = self.execution, self._around
        updated = execution.untold()
        turn = Turn(RequestId(around.new_id()), around.clock.wall())
        token = execution.begin(turn)
        operations = list(replayed(execution.operations.values()))
        around.background.spawn(self._run(turn, token, operations, updated))

    async def _run(self, turn: Turn, token: str, operations: list[Operation], updated: list[str]) -> None:
        head, around = self.execution.head, self._around
        if self.execution.progress.stored > SLOW_BYTES or len(operations) > 100:
            payload = await asyncio.to_thread(invocation_input, head.arn, token, operations, updated)
        else:
            payload = invocation_input(head.arn, token, operations, updated)
        outcome = await around.runner.run(Run(head.function, head.version, payload, turn.id, head.trace))
        ending = await _ending(outcome)
        chance = around.chance()
        await self.insist(lambda execution, now: execution.invocation_ended(ending, now, chance))


async def _ending(outcome: RunOutcome) -> Ending:
    if not isinstance(outcome, Ran):
        return outcome
    if len(outcome.payload) > SLOW_BYTES:
        return Answered(await asyncio.to_thread(read_answer, outcome.payload))
    return Answered(read_answer(outcome.payload))
