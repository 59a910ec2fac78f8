"""The way of an invocation through the frontend: performs what assignment commands.

A warm invocation awaits nobody here but the worker.
"""

import asyncio
from collections.abc import Callable, Sequence

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
    Refuse,
    Run,
    Want,
)
from ondol.model.errors import Outcome, PlatformError, TooManyRequests
from ondol.model.ids import EnvironmentId, FrontendId, RequestId, VersionId, WorkerId
from ondol.model.invocation import FunctionFailure, ThrottleReason
from ondol.model.time import Clock
from ondol.worker.api import EnvironmentBusy, GrantDead, InvocationHead, PayloadDoor, PayloadSink, PayloadSource
from ondol.worker_manager.api import Environment, NoRoom, StartFailure, WorkerManager

RENEW_S = 5.0
"""Grants live for three times as long."""


class Invocation(msgspec.Struct, frozen=True):
    """An invocation as the frontend takes it to a worker."""

    request_id: RequestId
    target: Target
    payload_bytes: int
    source: PayloadSource
    sink: PayloadSink
    client_context: str | None = None
    trace: str | None = None
    want_tail: bool = False

    @property
    def pool(self) -> Pool:
        """The pool that its permit comes from."""
        view = self.target.view
        own = view.key.name if view.reserved_concurrency is not None else None
        return Pool(view.key.account, view.key.region, own)


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
        self._waiting: dict[RequestId, tuple[Invocation, asyncio.Future[Run | StartFailure]]] = {}
        self._background = Background("asking another service")
        self._renewing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._counting.register(self)
        self._manager.register(self)
        self._renewing = asyncio.create_task(self._renew_for_ever(), name="renewal of grants")

    async def close(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()

    async def run(self, invocation: Invocation) -> None:
        """Run it to the end; its sink is told the result, often before this returns.

        Raises `TooManyRequests`, or `PlatformError` with what is known of the outcome.
        """
        request = invocation.request_id
        version = invocation.target.version
        commands = self._assignment.arrived(request, version.id, invocation.pool, self._clock.now())
        turn: Run | StartFailure
        first = commands[0] if commands else None
        turn = first if type(first) is Run else await self._turn(invocation, commands)
        while type(turn) is Run:
            environment = turn.environment
            door = self._workers(environment.worker)
            try:
                end = await door.invoke(_head(invocation, turn), invocation.source, invocation.sink)
            except EnvironmentBusy:
                self._background.spawn(self._manager.given_back(environment.id))
                turn = await self._turn(invocation, self._assignment.bounced(request, environment))
                continue
            except GrantDead:
                self._assignment.lost(turn.permit)
                self._finish(request, environment, reusable=True)
                again = self._assignment.arrived(request, version.id, invocation.pool, self._clock.now())
                turn = await self._turn(invocation, again)
                continue
            except PlatformError:
                self._finish(request, environment, reusable=False)
                raise
            self._finish(request, environment, end.reusable)
            return
        _give_up(invocation, turn)

    def client_gone(self, invocation: Invocation) -> None:
        """Nobody waits for the answer: what has not begun is dropped; what runs goes on, as on AWS."""
        waiting = self._waiting.pop(invocation.request_id, None)
        if waiting is not None:
            version = invocation.target.version.id
            self._perform(self._assignment.gave_up(invocation.request_id, version, self._clock.now()))
            waiting[1].set_exception(PlatformError("the client went away", Outcome.NOT_STARTED))

    # As a holder of permits

    async def recall_permits(self, pool: Pool, n: int, owe: bool) -> dict[int, int]:
        return self._assignment.recall_permits(pool, n, owe)

    # As a holder of environments

    def lend(self, environment: Environment) -> None:
        self._perform(self._assignment.lent(environment, self._clock.now()))

    def start_failed(self, request: RequestId, version: VersionId, failure: StartFailure) -> None:
        self._perform(self._assignment.start_failed(request, version, failure, self._clock.now()))

    async def recall_environment(self, environment: EnvironmentId, idle_for: int) -> int | None:
        return self._assignment.recall_environment(environment, idle_for, self._clock.now())

    # Inside

    async def _turn(self, invocation: Invocation, commands: Sequence[Command]) -> Run | StartFailure:
        """Wait until it may run, or cannot. Raises `TooManyRequests`."""
        turn: asyncio.Future[Run | StartFailure] = asyncio.get_running_loop().create_future()
        self._waiting[invocation.request_id] = (invocation, turn)
        self._perform(commands)
        return await turn

    def _finish(self, request: RequestId, environment: Environment, reusable: bool) -> None:
        commands = self._assignment.finished(request, environment, reusable, self._clock.now())
        if commands:
            self._perform(commands)

    def _perform(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Run(request):
                    self._waiting.pop(request)[1].set_result(command)
                case Fail(request, failure):
                    self._waiting.pop(request)[1].set_result(failure)
                case Refuse(request, reason):
                    self._waiting.pop(request)[1].set_exception(throttled(reason))
                case AskPermits(pool, n):
                    self._background.spawn(self._ask_permits(pool, n))
                case Want(request, _):
                    version = self._waiting[request][0].target.version
                    self._background.spawn(self._manager.want(self.id, request, version))
                case GiveBackPermit(grant):
                    self._background.spawn(self._counting.give_back(self.id, grant, 1))
                case GiveBackEnvironment(environment):
                    self._background.spawn(self._manager.given_back(environment))

    async def _ask_permits(self, pool: Pool, n: int) -> None:
        answer = await self._counting.grant(self.id, pool, n)
        if isinstance(answer, Grant):
            self._perform(self._assignment.granted(answer, self._clock.now()))
        else:
            self._perform(self._assignment.refused(answer))

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            lost = await self._counting.renew(self.id, self._assignment.grants())
            self._assignment.renewed(lost, self._clock.now())


def throttled(reason: ThrottleReason) -> TooManyRequests:
    return TooManyRequests("Rate Exceeded.", Type="User", Reason=reason.value)


def _head(invocation: Invocation, turn: Run) -> InvocationHead:
    return InvocationHead(
        invocation.request_id,
        turn.environment.id,
        turn.permit.grant,
        invocation.target.invoked_arn,
        invocation.payload_bytes,
        invocation.client_context,
        invocation.trace,
        invocation.want_tail,
    )


def _give_up(invocation: Invocation, failure: Run | StartFailure) -> None:
    """No environment came: say so in the form that fits why."""
    if isinstance(failure, FunctionFailure):
        invocation.sink.finish(failure, failure.log_tail if invocation.want_tail else b"")
    elif isinstance(failure, ThrottleReason):
        raise throttled(failure)
    elif isinstance(failure, NoRoom):
        raise PlatformError(f"No worker has room for another environment: {failure.reason}", Outcome.NOT_STARTED)
    else:
        assert not isinstance(failure, Run)
        raise PlatformError(failure.reason, Outcome.NOT_STARTED)
