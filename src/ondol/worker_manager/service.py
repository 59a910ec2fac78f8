"""The worker manager's shell: asks counting, placement and workers, and keeps the timers."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from ondol.background import Background
from ondol.counting.api import Counting
from ondol.model.errors import PlatformError
from ondol.model.function import FunctionKey, FunctionVersion, FunctionView
from ondol.model.ids import EnvironmentId, FrontendId, RequestId, VersionId, WorkerId
from ondol.model.invocation import ThrottleReason
from ondol.model.limits import KeepAlive
from ondol.model.time import MILLISECOND, SECOND, Clock
from ondol.model.timers import TimerWheel
from ondol.placement.api import Placement
from ondol.worker.api import ON_DEMAND, PROVISIONED, Started, StartRequest, Worker
from ondol.worker_manager.api import (
    DebugSession,
    EnvironmentHolder,
    HostFailed,
    Provision,
    ProvisionStatus,
    StartFailure,
    Wanted,
)
from ondol.worker_manager.commands import (
    AskGrowth,
    Begin,
    Command,
    EndSession,
    Lend,
    Offer,
    Place,
    Recall,
    Release,
    SetTimer,
    Settled,
    ShutOut,
    Start,
    Stop,
    TellFailure,
    WakeAt,
)
from ondol.worker_manager.machine import ManagerMachine

TICK = 50 * MILLISECOND


class WorkerManagerService:
    """Performs the machine's commands; every decision is the machine's."""

    def __init__(
        self,
        keep_alive: KeepAlive,
        *,
        clock: Clock,
        counting: Counting,
        placement: Placement,
        workers: Callable[[WorkerId], Worker],
        new_id: Callable[[], str],
    ) -> None:
        self._machine = ManagerMachine(keep_alive)
        self._clock = clock
        self._counting = counting
        self._placement = placement
        self._workers = workers
        self._new_id = new_id
        self._holders: dict[FrontendId, EnvironmentHolder] = {}
        self._sessions: dict[EnvironmentId, tuple[int | None, DebugSession]] = {}
        """Of environments that are debugged: the port that is wanted for each, and who debugs it."""

        self._settled: dict[VersionId, asyncio.Event] = {}
        """Of versions whose provisioned concurrency somebody waits for."""

        self._wheel: TimerWheel[SetTimer | WakeAt] = TimerWheel(TICK)
        self._closed = False
        self._background = Background("an environment's start or stop, or the timer of one")

    async def open(self) -> None:
        self._background.spawn(self._tick_for_ever())

    async def close(self) -> None:
        """What ends from now on is not replaced."""
        self._closed = True
        self._background.cancel()

    def register(self, holder: EnvironmentHolder) -> None:
        self._holders[holder.id] = holder
        self._machine.joined(holder.id)

    async def want(self, frontend: FrontendId, request: RequestId, version: FunctionVersion) -> None:
        id = EnvironmentId(self._new_id())
        await self._perform(self._machine.wanted(id, frontend, request, version, self._clock.now()))

    async def debug(
        self, frontend: FrontendId, version: FunctionVersion, port: int | None, session: DebugSession
    ) -> EnvironmentId:
        id = EnvironmentId(self._new_id())
        self._sessions[id] = (port, session)
        await self._perform(self._machine.debug_wanted(id, frontend, version, self._clock.now()))
        return id

    async def debugged(self, environment: EnvironmentId) -> None:
        await self._perform(self._machine.session_over(environment))

    async def given_back(self, environment: EnvironmentId) -> None:
        await self._perform(self._machine.given_back(environment))

    async def ended(self, environment: EnvironmentId) -> None:
        if not self._closed:
            await self._perform(self._machine.ended(environment, self._clock.now()))

    async def retire(self, view: FunctionView | None, function: FunctionKey) -> None:
        current = frozenset(version.id for version in view.versions.values()) if view else frozenset()
        await self._perform(self._machine.retired(function, current))

    async def provision(self, function: FunctionKey, wanted: Sequence[Wanted]) -> None:
        await self._perform(self._machine.provision(function, wanted, self._clock.now()))

    async def provision_of(self, version: VersionId) -> Provision | None:
        return self._machine.provision_of(version)

    async def provisioned(self, version: VersionId) -> Provision | None:
        while (state := self._machine.provision_of(version)) and state.status is ProvisionStatus.IN_PROGRESS:
            settled = self._settled.get(version)
            if settled is None:
                settled = self._settled[version] = asyncio.Event()
            await settled.wait()
        return state

    def environments(self) -> list[tuple[EnvironmentId, FunctionVersion, str, WorkerId | None]]:
        """What there is, for those who look."""
        return [(id, version, state.value, worker) for id, version, state, worker in self._machine.environments()]

    async def _perform(self, commands: Sequence[Command]) -> None:
        pending = deque(commands)
        while pending:
            pending.extendleft(reversed(await self._perform_one(pending.popleft())))

    async def _perform_one(self, command: Command) -> Sequence[Command]:
        """The answer is what follows from it, to be performed before what else there is."""
        match command:
            case AskGrowth(environment, function):
                grows = await self._counting.may_grow(function)
                refusal = None if grows else ThrottleReason.CONCURRENCY
                return self._machine.growth(environment, refusal, self._clock.now())
            case Place(demand):
                decision = await self._placement.place(demand)
                return self._machine.placed(demand.environment, decision, self._clock.now())
            case Recall(frontend, environment, idle_for):
                again = await self._holders[frontend].recall_environment(environment, idle_for)
                if again is None:
                    return self._machine.given_back(environment)
                return self._machine.kept(environment, again, self._clock.now())
            case Begin(version):
                return self._machine.begun(EnvironmentId(self._new_id()), version, self._clock.now())
            case Offer() | EndSession() | ShutOut():
                await self._perform_for_session(command)
            case _:
                await self._do(command)
        return ()

    async def _do(self, command: Command) -> None:
        """What nothing follows from."""
        match command:
            case Start():
                self._background.spawn(self._start(command))
            case Lend(frontend, environment):
                self._holders[frontend].lend(environment)
            case TellFailure(frontend, request, version, failure):
                self._holders[frontend].start_failed(request, version, failure)
            case Stop(stopped, worker, _):
                self._background.spawn(self._workers(worker).stop(stopped))
            case Release(released):
                await self._placement.release(released)
            case SetTimer() | WakeAt():
                self._wheel.set(command, command.at)
            case Settled(version_id):
                if (settled := self._settled.pop(version_id, None)) is not None:
                    settled.set()

    async def _perform_for_session(self, command: Offer | EndSession | ShutOut) -> None:
        """What is done where nobody waits for an environment."""
        match command:
            case Offer(frontend, environment):
                self._holders[frontend].offer(environment)
                if not environment.provisioned:
                    self._sessions[environment.id][1].ready()
            case EndSession(environment, reason):
                self._sessions.pop(environment)[1].ended(reason)
            case ShutOut(environment, worker):
                await self._workers(worker).shut_out(environment)

    async def _start(self, command: Start) -> None:
        initialization = PROVISIONED if command.provisioned else ON_DEMAND
        request = StartRequest(command.environment, command.version, command.cause, initialization)
        try:
            worker, debugged = self._workers(command.worker), self._sessions.get(command.environment)
            answer = await (worker.debug(request, *debugged) if debugged is not None else worker.start(request))
        except PlatformError as error:
            failure: StartFailure = HostFailed(error.message)
            await self._perform(self._machine.start_failed(command.environment, failure, self._clock.now()))
            return
        if isinstance(answer, Started):
            await self._perform(self._machine.started(command.environment, self._clock.now()))
        else:
            now = self._clock.now()
            await self._perform(self._machine.start_failed(command.environment, answer.failure, now))

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK / SECOND)
            now = self._clock.now()
            for due in self._wheel.advance(now):
                if isinstance(due, WakeAt):
                    await self._perform(self._machine.woken(due.version, now))
                else:
                    await self._perform(self._machine.timer_due(due.environment, due.generation, now))
