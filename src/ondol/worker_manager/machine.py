"""Which environments exist and who may use them.

Pure. The states and what moves between them are one table; an event that the table does not list for a state is a bug,
except where a comment says why it may come late. Timers carry a generation, so that a stale one is ignored.
"""

from collections import deque
from collections.abc import Iterable
from enum import Enum

from ondol.model.errors import InvariantError
from ondol.model.function import FunctionKey, FunctionVersion
from ondol.model.ids import EnvironmentId, FrontendId, RequestId, VersionId, WorkerId
from ondol.model.limits import KeepAlive
from ondol.model.time import SECOND, Instant
from ondol.placement.api import Demand, Placed, Unplaced
from ondol.worker_manager.api import Environment, NoRoom, Provision, SessionEnd, StartFailure, Wanted
from ondol.worker_manager.commands import (
    AskGrowth,
    Command,
    Dismiss,
    EndSession,
    Lend,
    Offer,
    Place,
    Recall,
    Release,
    SetTimer,
    ShutOut,
    Start,
    Step,
    Stop,
    TellFailure,
)
from ondol.worker_manager.provisioned import ProvisionedTargets


class State(Enum):
    REQUESTED = "requested"
    PLACING = "placing"
    WITHOUT_ROOM = "without room"
    STARTING = "starting"
    LENT = "lent"
    RECALLING = "recalling"
    STOPPING = "stopping"


class Happening(Enum):
    MAY_GROW = "may grow"
    MAY_NOT_GROW = "may not grow"
    PLACED = "placed"
    NO_ROOM = "no room"
    TRY_AGAIN = "try again"
    WAITED_ENOUGH = "waited enough"
    STARTED = "started"
    START_FAILED = "start failed"
    RECALL = "recall"
    KEPT = "kept"
    GIVEN_BACK = "given back"
    ENDED = "ended"


GONE = None

WAIT_FOR_ROOM = 10 * SECOND
"""How long a request may wait for room on a worker before it is told that there is none."""

MAKE_ROOM_IDLE = SECOND // 10
"""An environment idle for this long may be stopped to make room for an invocation that waits."""

TRANSITIONS: dict[tuple[State, Happening], State | None] = {
    (State.REQUESTED, Happening.MAY_GROW): State.PLACING,
    (State.REQUESTED, Happening.MAY_NOT_GROW): GONE,
    (State.PLACING, Happening.PLACED): State.STARTING,
    (State.PLACING, Happening.NO_ROOM): State.WITHOUT_ROOM,
    (State.WITHOUT_ROOM, Happening.TRY_AGAIN): State.PLACING,
    (State.WITHOUT_ROOM, Happening.WAITED_ENOUGH): GONE,
    (State.STARTING, Happening.STARTED): State.LENT,
    (State.STARTING, Happening.START_FAILED): GONE,
    (State.LENT, Happening.RECALL): State.RECALLING,
    (State.LENT, Happening.GIVEN_BACK): State.STOPPING,
    (State.LENT, Happening.ENDED): GONE,
    (State.RECALLING, Happening.KEPT): State.LENT,
    (State.RECALLING, Happening.GIVEN_BACK): State.STOPPING,
    (State.RECALLING, Happening.ENDED): GONE,
    (State.STOPPING, Happening.ENDED): GONE,
}


REPLACED = "its version was replaced"
SESSION_OVER = "nobody debugs it any more"

LEAVING = frozenset({State.RECALLING, State.STOPPING})
"""States that may end in room for another."""


class _Environment:
    __slots__ = (
        "ask_for_room_at",
        "born",
        "cause",
        "debugged",
        "frontend",
        "generation",
        "id",
        "provisioned",
        "recalled_for",
        "recalled_idle_for",
        "retired",
        "state",
        "version",
        "why_no_room",
        "worker",
    )

    def __init__(
        self, id: EnvironmentId, frontend: FrontendId, cause: RequestId, version: FunctionVersion, now: Instant
    ) -> None:
        self.id = id
        self.frontend = frontend
        self.cause = cause
        self.version = version
        self.born = now
        self.state = State.REQUESTED
        self.worker: WorkerId | None = None
        self.generation = 0
        self.retired = False
        self.debugged = False
        """It has a session: kept however long it idles, and started for nobody who waits."""

        self.provisioned = False
        """As if debugged, but that there are others when it is old."""

        self.recalled_for = "it ended by itself"
        self.recalled_idle_for = 0
        self.why_no_room = ""
        self.ask_for_room_at = now
        """When asking its frontend to part with it, to make room, could succeed."""


class ManagerMachine:
    """All environments of the fleet that this manager answers for."""

    def __init__(self, keep_alive: KeepAlive) -> None:
        self._keep_alive = keep_alive
        self._environments: dict[EnvironmentId, _Environment] = {}
        self._by_function: dict[FunctionKey, dict[EnvironmentId, _Environment]] = {}
        self._without_room: dict[EnvironmentId, _Environment] = {}
        self._leaving = 0
        """How many environments are in a state of `LEAVING`."""

        self._targets = ProvisionedTargets()
        self._frontends: deque[FrontendId] = deque()
        """Who gets provisioned environments, by turns."""

    def joined(self, frontend: FrontendId) -> None:
        """A frontend can take environments."""
        self._frontends.append(frontend)

    def environments(self) -> list[tuple[EnvironmentId, FunctionVersion, State, WorkerId | None]]:
        """What there is, for those who look."""
        return [(e.id, e.version, e.state, e.worker) for e in self._environments.values()]

    # A waiter's environment

    def wanted(
        self, id: EnvironmentId, frontend: FrontendId, request: RequestId, version: FunctionVersion, now: Instant
    ) -> list[Command]:
        """An invocation waits: one environment for it, whose new name is `id`."""
        self._new(id, frontend, request, version, now)
        return [AskGrowth(id, version.function)]

    def debug_wanted(
        self, id: EnvironmentId, frontend: FrontendId, version: FunctionVersion, now: Instant
    ) -> list[Command]:
        """Somebody wants to debug: one environment for nobody who waits, whose new name is `id`."""
        commands = self.wanted(id, frontend, RequestId(id), version, now)
        self._environments[id].debugged = True
        return commands

    def growth(self, id: EnvironmentId, refusal: StartFailure | None, now: Instant) -> list[Command]:
        """Counting answered: `refusal` is None if it may grow."""
        environment = self._environments[id]
        if refusal is not None:
            self._move(environment, Happening.MAY_NOT_GROW)
            return self._tell(environment, refusal, now)
        return self._place(environment)

    def placed(self, id: EnvironmentId, decision: Placed | Unplaced, now: Instant) -> list[Command]:
        environment = self._environments[id]
        if isinstance(decision, Unplaced):
            self._move(environment, Happening.NO_ROOM)
            environment.why_no_room = decision.reason
            self._without_room[id] = environment
            deadline = Instant(environment.born + WAIT_FOR_ROOM)
            return [self._timer(environment, max(now, deadline)), *self._make_room(now)]
        self._move(environment, Happening.PLACED)
        environment.worker = decision.worker
        cause, provisioned = environment.cause, environment.provisioned
        start = Start(id, decision.worker, environment.version, cause, decision.reason, provisioned)
        return [start, *self._try_again()]  # what was left by a large one may do for several small ones

    def started(self, id: EnvironmentId, now: Instant) -> list[Command]:
        environment = self._environments.get(id)
        if environment is None or environment.worker is None:
            return []  # it ended as soon as it had started, and the worker's word of that came first
        self._move(environment, Happening.STARTED)
        lent = Environment(id, environment.worker, environment.version.id, environment.provisioned)
        if environment.provisioned:
            old = self._timer(environment, Instant(now + self._keep_alive.age))
            follow = self._follow(self._targets.ready(environment.version.id, id, now))
            return [Offer(environment.frontend, lent), old, *follow]
        lend: Command = (Offer if environment.debugged else Lend)(environment.frontend, lent)
        if environment.retired:
            return [lend, *self._recall(environment, 0, REPLACED)]
        return [lend, self._timer(environment, Instant(now + self._keep_alive.idle))]

    def start_failed(self, id: EnvironmentId, failure: StartFailure, now: Instant) -> list[Command]:
        environment = self._environments.get(id)
        if environment is None:
            return []
        self._move(environment, Happening.START_FAILED)
        return [Release(id), *self._tell(environment, failure, now), *self._try_again()]

    def session_over(self, id: EnvironmentId) -> list[Command]:
        """Nobody debugs it any more."""
        environment = self._environments.get(id)
        if environment is None or environment.worker is None:
            return []  # the worker, once it is chosen, hears that nobody wants it
        shut: list[Command] = [ShutOut(id, environment.worker)]
        if environment.state is State.STARTING:
            return [*shut, Stop(id, environment.worker, SESSION_OVER)]
        if environment.state is State.LENT:
            return [*shut, *self._recall(environment, 0, SESSION_OVER)]
        return shut

    # Provisioned concurrency

    def provision(self, function: FunctionKey, wanted: Iterable[Wanted], now: Instant) -> list[Command]:
        """Of this function these versions are to have environments ready ahead of invocations, and no others."""
        return self._follow(self._targets.want(function, wanted, now))

    def provision_of(self, version: VersionId) -> Provision | None:
        return self._targets.state(version)

    def begun(self, id: EnvironmentId, version: FunctionVersion, now: Instant) -> list[Command]:
        """The environment that `Begin` asks for has this name."""
        if not self._targets.begun(version.id, id):
            return []
        frontend = self._frontends[0]
        self._frontends.rotate(-1)
        environment = self._new(id, frontend, RequestId(id), version, now)
        environment.provisioned = True
        return self._place(environment)

    def woken(self, version: VersionId, now: Instant) -> list[Command]:
        """The moment that `WakeAt` named has come."""
        return self._follow(self._targets.woken(version, now))

    # Keep-alive, retirement, the end

    def timer_due(self, id: EnvironmentId, generation: int, now: Instant) -> list[Command]:
        environment = self._environments.get(id)
        if environment is None or environment.generation != generation:
            return []
        if environment.state is State.WITHOUT_ROOM:
            del self._without_room[id]
            self._move(environment, Happening.WAITED_ENOUGH)
            return self._tell(environment, NoRoom(environment.why_no_room), now)
        if environment.state is not State.LENT or environment.debugged:
            return []
        if environment.provisioned:
            return self._follow(self._targets.aged(environment.version.id, id, now))
        if now - environment.born >= self._keep_alive.age:
            return self._recall(environment, 0, "it is old")
        return self._recall(environment, self._keep_alive.idle, "nobody used it")

    def kept(self, id: EnvironmentId, ask_again_in: int, now: Instant) -> list[Command]:
        """The frontend did not give it back: it was used since, or is in use now."""
        environment = self._environments.get(id)
        if environment is None or environment.state is not State.RECALLING:
            return []
        self._move(environment, Happening.KEPT)
        if environment.recalled_idle_for == MAKE_ROOM_IDLE:
            environment.ask_for_room_at = Instant(now + ask_again_in)
        if environment.recalled_idle_for == 0:
            return []  # the frontend gives it back by itself when its invocation ends
        if environment.retired:
            return self._recall(environment, 0, REPLACED)
        again = Instant(now + max(1, min(ask_again_in, environment.born + self._keep_alive.age - now)))
        return [self._timer(environment, again), *self._make_room(now)]

    def given_back(self, id: EnvironmentId) -> list[Command]:
        environment = self._environments.get(id)
        if environment is None or environment.worker is None or environment.state is State.STOPPING:
            return []
        self._move(environment, Happening.GIVEN_BACK)
        return [Stop(id, environment.worker, environment.recalled_for)]

    def ended(self, id: EnvironmentId, now: Instant) -> list[Command]:
        """The worker says that nothing of it remains. One that never became ready is answered by `start_failed`."""
        environment = self._environments.get(id)
        if environment is None or environment.state is State.STARTING:
            return []
        lent = environment.state is not State.STOPPING
        self._move(environment, Happening.ENDED)
        forget = [Recall(environment.frontend, id, 0)] if lent else []  # or it would be kept idle, and missed by nobody
        end = SessionEnd(environment.recalled_for, environment.retired)
        over = [EndSession(id, end)] if environment.debugged else []
        replace = self._targets.ended(environment.version.id, id, now) if environment.provisioned else []
        return [Release(id), *forget, *over, *self._try_again(), *self._follow(replace)]

    def retired(self, function: FunctionKey, current: frozenset[VersionId]) -> list[Command]:
        """Only these versions of the function are current: environments of others take no more invocations."""
        commands: list[Command] = []
        for environment in list(self._by_function.get(function, {}).values()):
            if environment.version.common_id in current or environment.retired:
                continue
            environment.retired = True
            if environment.state is State.STARTING and environment.debugged and environment.worker is not None:
                commands.append(Stop(environment.id, environment.worker, REPLACED))
            if environment.state is State.LENT:
                commands += self._recall(environment, 0, REPLACED)
        return commands

    # Room

    def _make_room(self, now: Instant) -> list[Command]:
        """Recall the environment asked for longest ago while somebody waits for room; one at a time for each who waits.

        None is asked again before that could succeed, so that a fleet in full use is not asked over and over.
        """
        if self._leaving >= len(self._without_room):
            return []
        for environment in self._environments.values():
            kept = environment.retired or environment.debugged or environment.provisioned
            if environment.state is State.LENT and not kept:
                if environment.ask_for_room_at > now:
                    return []
                del self._environments[environment.id]
                self._environments[environment.id] = environment  # if it is in use, it is the last to be asked again
                return self._recall(environment, MAKE_ROOM_IDLE, "room was needed")
        return []

    def _try_again(self) -> list[Command]:
        """Somebody's room became free: whoever has waited longest tries again."""
        if not self._without_room:
            return []
        id, environment = next(iter(self._without_room.items()))
        del self._without_room[id]
        environment.generation += 1
        self._move(environment, Happening.TRY_AGAIN)
        return [Place(Demand(id, environment.version.memory_mb, environment.version.runtime))]

    # Inside

    def _new(
        self, id: EnvironmentId, frontend: FrontendId, request: RequestId, version: FunctionVersion, now: Instant
    ) -> _Environment:
        environment = self._environments[id] = _Environment(id, frontend, request, version, now)
        self._by_function.setdefault(version.function, {})[id] = environment
        return environment

    def _move(self, environment: _Environment, happening: Happening) -> None:
        try:
            state = TRANSITIONS[environment.state, happening]
        except KeyError:
            raise InvariantError(f"environment {environment.id}: {happening} in {environment.state}") from None
        self._leaving += (state in LEAVING) - (environment.state in LEAVING)
        if state is not None:
            environment.state = state
            return
        del self._environments[environment.id]
        siblings = self._by_function[environment.version.function]
        del siblings[environment.id]
        if not siblings:
            del self._by_function[environment.version.function]

    def _place(self, environment: _Environment) -> list[Command]:
        self._move(environment, Happening.MAY_GROW)
        return [Place(Demand(environment.id, environment.version.memory_mb, environment.version.runtime))]

    def _tell(self, environment: _Environment, failure: StartFailure, now: Instant) -> list[Command]:
        if environment.provisioned:
            return self._follow(self._targets.failed(environment.version.id, environment.id, failure, now))
        if environment.debugged:
            return [EndSession(environment.id, SessionEnd(REPLACED, True) if environment.retired else failure)]
        return [TellFailure(environment.frontend, environment.cause, environment.version.id, failure)]

    def _follow(self, steps: Iterable[Step]) -> list[Command]:
        """What follows from what the targets say."""
        commands: list[Command] = []
        for step in steps:
            if not isinstance(step, Dismiss):
                commands.append(step)
                continue
            environment = self._environments.get(step.environment)
            if environment is not None:
                commands += self._dismiss(environment, step.reason)
        return commands

    def _dismiss(self, environment: _Environment, reason: str) -> list[Command]:
        """Have it end, if that has not begun; where it is being placed, it is dismissed once it is ready."""
        if environment.state is State.LENT:
            return self._recall(environment, 0, reason)
        if environment.state is State.STARTING and environment.worker is not None:
            return [Stop(environment.id, environment.worker, reason)]
        if environment.state is State.WITHOUT_ROOM:
            del self._without_room[environment.id]
            self._move(environment, Happening.WAITED_ENOUGH)
        return []

    def _recall(self, environment: _Environment, idle_for: int, reason: str) -> list[Command]:
        self._move(environment, Happening.RECALL)
        environment.recalled_for = reason
        environment.recalled_idle_for = idle_for
        return [Recall(environment.frontend, environment.id, idle_for)]

    def _timer(self, environment: _Environment, at: Instant) -> SetTimer:
        environment.generation += 1
        return SetTimer(environment.id, environment.generation, at)
