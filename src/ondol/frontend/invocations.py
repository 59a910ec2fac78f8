"""The way of an invocation through the frontend: performs what assignment commands.

A warm invocation waits for nobody: it is with its worker when `begin` returns, and the worker calls back.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from ondol.background import Background
from ondol.counting.api import Counting, Grant, Pool
from ondol.frontend.directory import Target
from ondol.frontend.machine import (
    AskPermits,
    Assignment,
    Command,
    Fail,
    GiveBackEnvironment,
    GiveBackPermit,
    Reconsider,
    Refuse,
    Run,
    Want,
)
from ondol.model.errors import OndolError, Outcome, PlatformError, TooManyRequests
from ondol.model.ids import EnvironmentId, FrontendId, RequestId, VersionId, WorkerId
from ondol.model.invocation import FunctionFailure, ThrottleReason
from ondol.model.time import SECOND, Clock
from ondol.waiting import happens
from ondol.worker.api import GrantDead, InvocationHead, NotTaken, PayloadDoor, PayloadSource
from ondol.worker_manager.api import Environment, NoRoom, StartFailure, WorkerManager

RENEW_S = 5.0
"""Grants live for three times as long."""


class Client(Protocol):
    """Who waits for the result of an invocation. Told is `finish` or `refuse`, once."""

    def begin_stream(self, content_type: str) -> None:
        """The result streams, and is of this type. Said before its first piece, and of no other result."""
        ...

    def write(self, piece: bytes) -> None:
        """The next piece of a streamed result, else the whole of it."""
        ...

    async def drain(self) -> None:
        """Wait until there is room for more."""
        ...

    def finish(self, failure: FunctionFailure | None, log_tail: bytes) -> None:
        """The function answered, or failed: what was written before a failure counts only if it streamed."""
        ...

    def refuse(self, error: OndolError) -> None:
        """`TooManyRequests`, or `PlatformError` with what is known of the outcome."""
        ...


class Invocation(msgspec.Struct, frozen=True, eq=False):
    """An invocation as the frontend takes it to a worker."""

    request_id: RequestId
    target: Target
    payload_bytes: int
    source: PayloadSource
    client: Client
    client_context: str | None = None
    trace: str | None = None
    want_tail: bool = False
    stream: bool = False
    """The client takes the result piece by piece."""


class Invocations:
    """Runs invocations; to counting and the worker manager it is the frontend that holds permits and environments."""

    def __init__(
        self,
        id: FrontendId,
        *,
        counting: Counting,
        manager: WorkerManager,
        workers: Callable[[WorkerId], PayloadDoor],
        clock: Clock,
    ) -> None:
        self.id = id
        self._assignment = Assignment()
        self._counting = counting
        self._manager = manager
        self._workers = workers
        self._clock = clock
        self._waiting: dict[RequestId, Invocation] = {}
        self._running: set[_Running] = set()
        self._nobody_runs: asyncio.Event | None = None
        self._background = Background("asking another service")
        self._renewing = Background("the renewal of grants")

    async def open(self) -> None:
        self._counting.register(self)
        self._manager.register(self)
        self._renewing.spawn(self._renew_for_ever())

    async def drain(self, timeout_s: float) -> None:
        """What runs has so long to end, whether or not its client still waits."""
        self._nobody_runs = asyncio.Event()
        if self._running:
            await happens(self._nobody_runs, timeout_s)

    async def close(self) -> None:
        self._renewing.cancel()

    def begin(self, invocation: Invocation) -> None:
        """Run it as soon as it may; its client is told how it went, perhaps before this returns."""
        request, target = invocation.request_id, invocation.target
        self._waiting[request] = invocation
        now = self._clock.now()
        self._perform(self._assignment.arrived(request, target.version.id, target.pool, now, target.provisioned))

    def client_gone(self, invocation: Invocation) -> None:
        """Nobody waits for the answer: what has not begun is dropped; what runs goes on, as on AWS."""
        request = invocation.request_id
        if self._waiting.pop(request, None) is not None:
            self._perform(self._assignment.gave_up(request, invocation.target.version.id, self._clock.now()))
            # It may have closed one direction only; and an answer is what lets its connection end.
            invocation.client.refuse(PlatformError("the client went away", Outcome.NOT_STARTED))

    # As a holder of permits

    async def recall_permits(self, pool: Pool, n: int, owe: bool) -> dict[int, int]:
        return self._assignment.recall_permits(pool, n, owe)

    # As a holder of environments

    def lend(self, environment: Environment) -> None:
        self._perform(self._assignment.lent(environment, self._clock.now()))

    def offer(self, environment: Environment) -> None:
        self._perform(self._assignment.offered(environment, self._clock.now()))

    def start_failed(self, request: RequestId, version: VersionId, failure: StartFailure) -> None:
        self._perform(self._assignment.start_failed(request, version, failure, self._clock.now()))

    async def recall_environment(self, environment: EnvironmentId, idle_for: int) -> int | None:
        return self._assignment.recall_environment(environment, idle_for, self._clock.now())

    # Inside

    def _perform(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Run():
                    self._run(self._waiting.pop(command.request), command)
                case Fail(request, failure):
                    _give_up(self._waiting.pop(request), failure)
                case Refuse(request, reason):
                    self._waiting.pop(request).client.refuse(throttled(reason))
                case AskPermits(pool, n):
                    self._background.spawn(self._ask_permits(pool, n))
                case Want(request, _):
                    version = self._waiting[request].target.version
                    self._background.spawn(self._manager.want(self.id, request, version))
                case Reconsider(version, at):
                    delay_s = (at - self._clock.now()) / SECOND
                    asyncio.get_running_loop().call_later(delay_s, self._reconsider, version)
                case GiveBackPermit(grant):
                    self._background.spawn(self._counting.give_back(self.id, grant, 1))
                case GiveBackEnvironment(environment):
                    self._background.spawn(self._manager.given_back(environment))

    def _run(self, invocation: Invocation, turn: Run) -> None:
        running = _Running(self, invocation, turn)
        self._running.add(running)
        head = InvocationHead(
            invocation.request_id,
            turn.environment.id,
            turn.permit.grant,
            invocation.target.invoked_arn,
            invocation.payload_bytes,
            invocation.client_context,
            invocation.trace,
            invocation.want_tail,
            invocation.stream,
        )
        self._workers(turn.environment.worker).invoke(head, invocation.source, running)

    def _reconsider(self, version: VersionId) -> None:
        self._perform(self._assignment.reconsidered(version, self._clock.now()))

    def _answered(self, environment: Environment) -> None:
        self._assignment.answered(environment, self._clock.now())

    def _over(self, running: "_Running", reusable: bool) -> None:
        self._running.discard(running)
        turn = running.turn
        self._perform(self._assignment.finished(turn.request, turn.environment, reusable, self._clock.now()))
        if self._nobody_runs is not None and not self._running:
            self._nobody_runs.set()

    def _not_taken(self, running: "_Running", error: NotTaken) -> None:
        """Have it run elsewhere. Called in a turn of its own, for the next worker may refuse it just so."""
        self._running.discard(running)
        request, environment = running.turn.request, running.turn.environment
        self._waiting[request] = running.invocation
        if isinstance(error, GrantDead):
            self._assignment.lost(running.turn.permit)
            self._perform(self._assignment.finished(request, environment, True, self._clock.now()))
            target, now = running.invocation.target, self._clock.now()
            self._perform(self._assignment.arrived(request, target.version.id, target.pool, now, target.provisioned))
        else:
            self._background.spawn(self._manager.given_back(environment.id))
            self._perform(self._assignment.bounced(request, environment, self._clock.now()))

    async def _ask_permits(self, pool: Pool, n: int) -> None:
        answer = await self._counting.grant(self.id, pool, n)
        if isinstance(answer, Grant):
            self._perform(self._assignment.granted(answer, self._clock.now()))
        else:
            self._perform(self._assignment.refused(answer, self._clock.now()))

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            lost = await self._counting.renew(self.id, self._assignment.grants())
            self._assignment.renewed(lost, self._clock.now())


class _Running:
    """An invocation that a worker has: the sink of its result."""

    __slots__ = ("_frontend", "invocation", "turn")

    def __init__(self, frontend: Invocations, invocation: Invocation, turn: Run) -> None:
        self._frontend = frontend
        self.invocation = invocation
        self.turn = turn

    def begin_stream(self, content_type: str) -> None:
        self.invocation.client.begin_stream(content_type)

    def write(self, piece: bytes) -> None:
        self.invocation.client.write(piece)

    async def drain(self) -> None:
        await self.invocation.client.drain()

    def finish(self, failure: FunctionFailure | None, log_tail: bytes) -> None:
        self.invocation.client.finish(failure, log_tail)
        self._frontend._answered(self.turn.environment)

    def over(self, reusable: bool) -> None:
        self._frontend._over(self, reusable)

    def failed(self, error: NotTaken | PlatformError) -> None:
        if isinstance(error, NotTaken):
            asyncio.get_running_loop().call_soon(self._frontend._not_taken, self, error)
        else:
            self.invocation.client.refuse(error)
            self._frontend._over(self, reusable=False)


def throttled(reason: ThrottleReason) -> TooManyRequests:
    return TooManyRequests("Rate Exceeded.", Type="User", Reason=reason.value)


def _give_up(invocation: Invocation, failure: StartFailure) -> None:
    """No environment came: say so in the form that fits why."""
    if isinstance(failure, FunctionFailure):
        invocation.client.finish(failure, failure.log_tail if invocation.want_tail else b"")
    elif isinstance(failure, ThrottleReason):
        invocation.client.refuse(throttled(failure))
    elif isinstance(failure, NoRoom):
        text = f"No worker has room for another environment: {failure.reason}"
        invocation.client.refuse(PlatformError(text, Outcome.NOT_STARTED))
    else:
        invocation.client.refuse(PlatformError(failure.reason, Outcome.NOT_STARTED))
