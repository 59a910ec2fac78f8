"""The kernel's workers: environments whose functions take the time that the trace gives them."""

from collections.abc import Sequence
from typing import Protocol

from ondol.model.ids import EnvironmentId, WorkerId
from ondol.model.invocation import FunctionFailure
from ondol.model.time import MILLISECOND
from ondol.simulator.figures import Figures
from ondol.simulator.timeline import WORKER_TURN, Timeline
from ondol.simulator.trace import Call, Ending, Init, Site
from ondol.worker.api import InvocationHead
from ondol.worker.commands import (
    Answer,
    Command,
    Deliver,
    Finish,
    Freeze,
    InitFailure,
    Ready,
    Stop,
    Wake,
)
from ondol.worker.failures import End
from ondol.worker.machine import Attempt, EnvironmentMachine, State
from ondol.worker_manager import commands as manager
from ondol.worker_manager.api import HostFailed, StartFailure

TICK = 5 * MILLISECOND
RAISED = "Simulated"
"""The error type that a function reports whose trace says that it raises."""

ERROR = b'{"errorType": "Simulated", "errorMessage": "as the trace has it"}'
DIED = End(1, None, False)
RESULT_BYTES = 4
STOPPED = "the environment was stopped during its init"


class Platform(Protocol):
    """Whom the workers answer to."""

    def started(self, environment: EnvironmentId) -> None: ...

    def start_failed(self, failed: tuple[EnvironmentId, StartFailure]) -> None: ...

    def answered(self, head: InvocationHead, failure: FunctionFailure | None) -> None:
        """A client gets its answer."""

    def abandoned(self, head: InvocationHead) -> None:
        """A client gets no answer of the function: its environment was stopped under it."""

    def finished(self, head: InvocationHead, reusable: bool) -> None:
        """The environment is ready for the next invocation, or (False) gone."""

    def frozen(self, environment: EnvironmentId) -> None: ...

    def ended(self, environment: EnvironmentId) -> None: ...


class _Environment:
    __slots__ = (
        *("answered", "call", "head", "id", "init", "initialized", "machine", "memory_mb", "served", "start", "turn"),
        "worker",
    )

    def __init__(self, start: manager.Start, init: Init, turn: int, machine: EnvironmentMachine) -> None:
        self.start = start
        self.init = init
        self.id = start.environment
        self.worker = start.worker
        self.turn = turn
        self.memory_mb = start.version.memory_mb
        self.machine = machine
        self.initialized = False
        """How its init went is told."""

        self.served = False
        self.answered = True
        self.head: InvocationHead
        """Of the invocation that came last, as `call`."""

        self.call: Call


class Hosts:
    """All workers of a site."""

    def __init__(self, platform: Platform, timeline: Timeline, site: Site, figures: Figures) -> None:
        self._platform = platform
        self._timeline = timeline
        self._site = site
        self._figures = figures
        self._turns = {capacity.worker: WORKER_TURN + n for n, capacity in enumerate(site.capacities())}
        self._environments: dict[EnvironmentId, _Environment] = {}
        self._reported: dict[WorkerId, None] = {}

    # For the manager

    def start(self, start: manager.Start, init: Init) -> None:
        """Begin an init; the platform is told how it ends."""
        self._figures.starts += 1
        self._begin(start, init, Attempt.AHEAD if start.provisioned else Attempt.FIRST)

    def _begin(self, start: manager.Start, init: Init, attempt: Attempt) -> None:
        timeline = self._timeline
        machine = EnvironmentMachine(start.version, start.cause, self._site.phases, timeline.now, attempt)
        environment = _Environment(start, init, self._turns[start.worker], machine)
        self._environments[start.environment] = environment
        self._perform(environment, machine.began())
        if init.ending is not Ending.HANG:
            timeline.at(timeline.now + init.duration, self._init_over, (environment, init.ending))

    def stop(self, id: EnvironmentId) -> None:
        environment = self._environments.get(id)
        if environment is None:
            self._platform.ended(id)
        else:
            self._perform(environment, environment.machine.stop_asked(self._timeline.now))

    # For frontends

    def invoke(self, head: InvocationHead, call: Call) -> bool:
        """Run an invocation; False if its environment cannot take it."""
        environment = self._environments.get(head.environment)
        if environment is None:
            return False
        commands = environment.machine.invoked(head, self._timeline.now)
        if commands is None:
            return False
        environment.head = head
        environment.call = call
        environment.answered = False
        figures = self._figures
        figures.runs += 1
        if not environment.served:
            environment.served = True
            figures.cold_runs += 1
        self._perform(environment, commands)
        return True

    # For counting

    def running(self) -> dict[WorkerId, dict[int, int]]:
        """Heartbeats: how many invocations run on which grant; of each worker that has some, or had some last time."""
        reports: dict[WorkerId, dict[int, int]] = {worker: {} for worker in self._reported}
        busy: dict[WorkerId, None] = {}
        for environment in self._environments.values():
            if environment.machine.request is not None:
                report = reports.setdefault(environment.worker, {})
                report[environment.head.grant] = report.get(environment.head.grant, 0) + 1
                busy[environment.worker] = None
        self._reported = busy
        return reports

    def end(self, worker: WorkerId, dead: frozenset[int]) -> None:
        """Stop what runs on grants that are dead."""
        for environment in list(self._environments.values()):
            running = environment.machine.request is not None and environment.head.grant in dead
            if running and environment.worker == worker:
                self._perform(environment, environment.machine.stop_asked(self._timeline.now))

    def __len__(self) -> int:
        """How many environments there are."""
        return len(self._environments)

    # What happens in environments

    def crash(self, id: EnvironmentId) -> None:
        """The runtime process of an environment dies, whatever it is at."""
        environment = self._environments.get(id)
        if environment is not None:
            self._perform(environment, environment.machine.exited(DIED, self._timeline.now))

    def _init_over(self, what: tuple[_Environment, Ending]) -> None:
        environment, ending = what
        machine, now = environment.machine, self._timeline.now
        if machine.state is not State.INIT:
            return
        if ending is Ending.WELL:
            self._perform(environment, machine.next_asked(now))
        elif ending is Ending.RAISE:
            self._perform(environment, machine.init_errored(RAISED, ERROR, now))
        else:
            self._perform(environment, machine.exited(DIED, now))

    def _call_over(self, what: tuple[_Environment, InvocationHead]) -> None:
        environment, head = what
        machine, now, request = environment.machine, self._timeline.now, head.request_id
        if machine.request != request or environment.answered:
            return
        ending = environment.call.ending
        if ending is Ending.DIE:
            self._perform(environment, machine.exited(DIED, now))
            return
        if ending is Ending.WELL:
            self._perform(environment, machine.responded(request, RESULT_BYTES, now))
        else:
            self._perform(environment, machine.errored(request, RAISED, ERROR, now))
        self._perform(environment, machine.next_asked(now))

    def _timer(self, environment: _Environment) -> None:
        self._perform(environment, environment.machine.timer_due(self._timeline.now))

    def _stopped(self, environment: _Environment) -> None:
        if self._environments.get(environment.id) is not environment:
            return  # its init is run again
        del self._environments[environment.id]
        self._timeline.soon((self._platform.ended, environment.id))

    def _perform(self, environment: _Environment, commands: Sequence[Command]) -> None:
        timeline = self._timeline
        for command in commands:
            if isinstance(command, Wake):
                timeline.at_tick(command.at, TICK, environment.turn, self._timer, environment)
            elif isinstance(command, Deliver):
                call = environment.call
                if call.ending is not Ending.HANG:
                    timeline.at(timeline.now + call.duration, self._call_over, (environment, command.head))
            elif isinstance(command, Answer):
                environment.answered = True
                self._figures.busy_mb_ns += command.duration_ns * environment.memory_mb
                self._platform.answered(command.head, command.failure)
            elif isinstance(command, Finish):
                head = environment.head
                if not environment.answered:
                    environment.answered = True
                    self._platform.abandoned(head)
                self._platform.finished(head, command.reusable)
            elif isinstance(command, Freeze):
                self._platform.frozen(environment.id)
            elif isinstance(command, Ready):
                environment.initialized = True
                timeline.soon((self._platform.started, environment.id))
            elif isinstance(command, InitFailure):
                self._fail_init(environment, command)
            elif isinstance(command, Stop):
                self._stop(environment)

    def _fail_init(self, environment: _Environment, failed: InitFailure) -> None:
        environment.initialized = True
        if failed.final:
            self._timeline.soon((self._platform.start_failed, (environment.id, failed.failure)))
        else:
            self._begin(environment.start, environment.init, Attempt.AGAIN)

    def _stop(self, environment: _Environment) -> None:
        if not environment.initialized:
            environment.initialized = True
            self._timeline.soon((self._platform.start_failed, (environment.id, HostFailed(STOPPED))))
        self._timeline.at(self._timeline.now + self._site.stop, self._stopped, environment)
