"""The worker manager's shell: asks counting, placement and workers, and keeps the timers."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from ondol.background import Background
from ondol.counting.api import Counting
from ondol.model.errors import PlatformError
from ondol.model.function import FunctionKey, FunctionVersion, FunctionView
from ondol.model.ids import EnvironmentId, FrontendId, RequestId, WorkerId
from ondol.model.invocation import ThrottleReason
from ondol.model.limits import KeepAlive
from ondol.model.time import MILLISECOND, SECOND, Clock
from ondol.model.timers import TimerWheel
from ondol.placement.api import Placement
from ondol.worker.api import Started, StartRequest, Worker
from ondol.worker_manager.api import DebugSession, EnvironmentHolder, HostFailed
from ondol.worker_manager.machine import (
    AskGrowth,
    Command,
    EndSession,
    Lend,
    ManagerMachine,
    Offer,
    Place,
    Recall,
    Release,
    SetTimer,
    ShutOut,
    Start,
    Stop,
    TellFailure,
)

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

        self._wheel: TimerWheel[tuple[EnvironmentId, int]] = TimerWheel(TICK)
        self._ticking: asyncio.Task[None] | None = None
        self._background = Background("an environment's start or stop")

    async def open(self) -> None:
        self._ticking = asyncio.create_task(self._tick_for_ever(), name="worker manager timers")

    async def close(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        self._background.cancel()

    def register(self, holder: EnvironmentHolder) -> None:
        self._holders[holder.id] = holder

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
        await self._perform(self._machine.ended(environment))

    async def retire(self, view: FunctionView | None, function: FunctionKey) -> None:
        current = frozenset(version.id for version in view.versions.values()) if view else frozenset()
        await self._perform(self._machine.retired(function, current))

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
                return self._machine.growth(environment, None if grows else ThrottleReason.CONCURRENCY)
            case Place(demand):
                decision = await self._placement.place(demand)
                return self._machine.placed(demand.environment, decision, self._clock.now())
            case Start():
                self._background.spawn(self._start(command))
            case Lend(frontend, environment):
                self._holders[frontend].lend(environment)
            case Offer() | EndSession() | ShutOut():
                await self._perform_for_session(command)
            case TellFailure(frontend, request, version, failure):
                self._holders[frontend].start_failed(request, version, failure)
            case Recall(frontend, environment, idle_for):
                again = await self._holders[frontend].recall_environment(environment, idle_for)
                if again is None:
                    return self._machine.given_back(environment)
                return self._machine.kept(environment, again, self._clock.now())
            case Stop(environment, worker, _):
                self._background.spawn(self._workers(worker).stop(environment))
            case Release(environment):
                await self._placement.release(environment)
            case SetTimer(environment, generation, at):
                self._wheel.set((environment, generation), at)
        return ()

    async def _perform_for_session(self, command: Offer | EndSession | ShutOut) -> None:
        match command:
            case Offer(frontend, environment):
                self._holders[frontend].offer(environment)
                self._sessions[environment.id][1].ready()
            case EndSession(environment, reason):
                self._sessions.pop(environment)[1].ended(reason)
            case ShutOut(environment, worker):
                await self._workers(worker).shut_out(environment)

    async def _start(self, command: Start) -> None:
        request = StartRequest(command.environment, command.version, command.cause)
        try:
            worker, debugged = self._workers(command.worker), self._sessions.get(command.environment)
            answer = await (worker.debug(request, *debugged) if debugged is not None else worker.start(request))
        except PlatformError as error:
            await self._perform(self._machine.start_failed(command.environment, HostFailed(error.message)))
            return
        if isinstance(answer, Started):
            await self._perform(self._machine.started(command.environment, self._clock.now()))
        else:
            await self._perform(self._machine.start_failed(command.environment, answer.failure))

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK / SECOND)
            now = self._clock.now()
            for environment, generation in self._wheel.advance(now):
                await self._perform(self._machine.timer_due(environment, generation, now))
