"""The bare cores on a timeline: no asyncio, no sandboxes, millions of invocations over thousands of workers.

It does what the shells do and nothing else: performs the cores' commands, and turns what comes of them into events.
Where a shell hands work to another task, the kernel does it `soon`; where a shell's timers tick, so do the kernel's. So
`World` decides the same, instant by instant (`tests/simulation/test_parity.py`).
"""

from collections import deque
from collections.abc import Sequence

from ondol.counting import machine as counting
from ondol.counting.api import Grant, Pool
from ondol.counting.machine import CountingMachine
from ondol.frontend.machine import (
    AskPermits,
    Assignment,
    Command,
    Fail,
    GiveBackEnvironment,
    GiveBackPermit,
    Provisioned,
    Reconsider,
    Refuse,
    Run,
    Want,
)
from ondol.model.function import FunctionVersion
from ondol.model.ids import EnvironmentId, FrontendId, RequestId, VersionId
from ondol.model.invocation import FunctionFailure, ThrottleReason
from ondol.model.time import MILLISECOND, SECOND
from ondol.placement.api import Placed
from ondol.placement.machine import Fleet
from ondol.simulator.figures import ABANDONED, GONE, Figures, outcome, refusal
from ondol.simulator.hosts import Hosts
from ondol.simulator.timeline import HOUSEKEEPING_TURN, MANAGER_TURN, Timeline
from ondol.simulator.trace import Call, Decision, Provisioning, Site, Trace, Update
from ondol.worker.api import InvocationHead
from ondol.worker_manager import commands as manager
from ondol.worker_manager.api import Environment, StartFailure, Wanted
from ondol.worker_manager.machine import ManagerMachine

HOUSEKEEPING = 5 * SECOND
"""Counting sweeps, workers report and grants are renewed, all this often."""

TICK = 50 * MILLISECOND
"""Of the manager's timers."""


class Frontend:
    """A frontend, and the calls that it was given and that neither run nor were refused."""

    __slots__ = ("assignment", "id", "waiting")

    def __init__(self, id: FrontendId) -> None:
        self.id = id
        self.assignment = Assignment()
        self.waiting: dict[RequestId, Call] = {}


class Kernel:
    """One site, with what a trace makes happen there."""

    def __init__(self, site: Site, trace: Trace, log: list[Decision] | None = None) -> None:
        self.timeline = Timeline()
        self.figures = Figures()
        self.counting = CountingMachine(site.limits)
        self.manager = ManagerMachine(site.keep_alive)
        self.fleet = Fleet(site.placement)
        self.hosts = Hosts(self, self.timeline, site, self.figures)
        self.frontends = [Frontend(FrontendId(f"frontend-{number}")) for number in range(site.frontends)]
        self._log = log
        self._trace = trace
        self._by_id = {front.id: front for front in self.frontends}
        self._lent: dict[EnvironmentId, tuple[Frontend, Environment]] = {}
        self._asked: dict[int, Frontend] = {}
        self._questions = 0
        self._environments = 0
        self._pools: list[Pool] = []
        self._wanted: list[int] = []
        """Provisioned concurrency of each function."""

        self._provisioned: list[Provisioned | None] = []
        self._current: list[FunctionVersion] = []
        self._versions: dict[VersionId, FunctionVersion] = {}
        for capacity in site.capacities():
            self.fleet.joined(capacity)
        for front in self.frontends:
            self.counting.joined(front.id)
            self.manager.joined(front.id)
        self._take_functions()
        self._calls = iter(trace.calls)
        self._await_next_call()
        for update in trace.updates:
            self.timeline.at(update.at, self._update, update)
        for provisioning in trace.provisioned:
            self.timeline.at(provisioning.at, self._provision, provisioning)
        self.timeline.at_tick(HOUSEKEEPING, HOUSEKEEPING, HOUSEKEEPING_TURN, self._keep_house, None)

    def run(self, until: int | None = None) -> Figures:
        """Let happen what happens up to this instant, or (None) until every environment is gone."""
        self.timeline.run(until)
        self.figures.close(self.timeline.now)
        return self.figures

    # What clients and developers do

    def _take_functions(self) -> None:
        for function in self._trace.functions:
            version = function.version(1)
            self._current.append(version)
            self._versions[version.id] = version
            self._pools.append(function.pool)
            self._wanted.append(0)
            self._provisioned.append(None)
            if function.reserved_concurrency is not None:
                self._count(self.counting.reserve(function.key, function.reserved_concurrency, {}))

    def _provision(self, provisioning: Provisioning) -> None:
        self._wanted[provisioning.function] = provisioning.n
        self._claim(provisioning.function)

    def _claim(self, index: int) -> None:
        """Tell everybody what the current version of a function has provisioned."""
        function, version, n = self._trace.functions[index], self._current[index], self._wanted[index]
        self._count(self.counting.reserve(function.key, function.reserved_concurrency, {version.id: n} if n else {}))
        self._provisioned[index] = function.provisioned(version.id, n)
        wanted = [Wanted(version, n, self.timeline.now)] if n else []
        self._manage(self.manager.provision(function.key, wanted, self.timeline.now))

    def _await_next_call(self) -> None:
        call = next(self._calls, None)
        if call is not None:
            self.timeline.at(call.at, self._arrive, call)

    def _arrive(self, call: Call) -> None:
        self._await_next_call()
        figures = self.figures
        figures.calls += 1
        request = RequestId(f"request-{figures.calls}")
        front = self.frontends[call.frontend]
        version = self._current[call.function].id
        provisioned = self._provisioned[call.function]
        commands = front.assignment.arrived(
            request, version, self._pools[call.function], self.timeline.now, provisioned
        )
        first = commands[0] if commands else None
        if type(first) is Run:
            self._run(front, first, call)
            return
        front.waiting[request] = call
        if call.patience is not None:
            self.timeline.at(call.at + call.patience, self._go_away, (front, request, version))
        self._perform(front, commands)

    def _go_away(self, who: tuple[Frontend, RequestId, VersionId]) -> None:
        front, request, version = who
        if front.waiting.pop(request, None) is not None:
            self._perform(front, front.assignment.gave_up(request, version, self.timeline.now))
            self._tell("gone", request, GONE)

    def _update(self, update: Update) -> None:
        function = self._trace.functions[update.function]
        revision = int(self._current[update.function].id.rpartition("/")[2])
        version = function.version(revision + 1)
        self._current[update.function] = version
        self._versions[version.id] = version
        if self._wanted[update.function]:
            self._claim(update.function)
        self._manage(self.manager.retired(function.key, frozenset({version.id})))

    # Frontends

    def _perform(self, front: Frontend, commands: Sequence[Command]) -> None:
        soon = self.timeline.soon
        for command in commands:
            if isinstance(command, Run):
                self._run(front, command, front.waiting.pop(command.request))
            elif isinstance(command, Want):
                soon((self._want, (front, command)))
            elif isinstance(command, AskPermits):
                soon((self._ask_permits, (front, command)))
            elif isinstance(command, Refuse):
                del front.waiting[command.request]
                self._tell("refuse", command.request, command.reason.value)
            elif isinstance(command, Fail):
                del front.waiting[command.request]
                throttled = isinstance(command.failure, ThrottleReason)
                what = "refuse" if throttled else "fail"
                self._tell(what, command.request, refusal(command.failure))
            elif isinstance(command, GiveBackPermit):
                soon((self._give_back_permit, command.grant))
            elif isinstance(command, Reconsider):
                self.timeline.at(command.at, self._reconsider, (front, command.version))
            elif isinstance(command, GiveBackEnvironment):
                soon((self._give_back_environment, command.environment))

    def _run(self, front: Frontend, run: Run, call: Call) -> None:
        request, environment, permit = run.request, run.environment, run.permit
        self._lent[environment.id] = (front, environment)
        if self._log is not None:
            self._note("run", request, environment.id, f"grant {permit.grant} on {environment.worker}")
        head = InvocationHead(request, environment.id, permit.grant, "", 0)
        if not self.hosts.invoke(head, call):
            self.timeline.soon((self._bounce, (front, run, call)))

    def _bounce(self, what: tuple[Frontend, Run, Call]) -> None:
        front, run, call = what
        front.waiting[run.request] = call
        self.timeline.soon((self._give_back_environment, run.environment.id))
        self._perform(front, front.assignment.bounced(run.request, run.environment, self.timeline.now))

    def _reconsider(self, what: tuple[Frontend, VersionId]) -> None:
        front, version = what
        self._perform(front, front.assignment.reconsidered(version, self.timeline.now))

    def _want(self, what: tuple[Frontend, Want]) -> None:
        front, want = what
        self._environments += 1
        id = EnvironmentId(str(self._environments))
        version = self._versions[want.version]
        self._manage(self.manager.wanted(id, front.id, want.request, version, self.timeline.now))

    def _give_back_permit(self, grant: int) -> None:
        self.counting.given_back(grant, 1)

    def _give_back_environment(self, environment: EnvironmentId) -> None:
        self._manage(self.manager.given_back(environment))

    # Counting

    def _ask_permits(self, what: tuple[Frontend, AskPermits]) -> None:
        front, ask = what
        self._questions += 1
        self._asked[self._questions] = front
        self._count(self.counting.asked(self._questions, front.id, ask.pool, ask.n, self.timeline.now))

    def _count(self, commands: Sequence[counting.Command]) -> None:
        for command in commands:
            if isinstance(command, counting.Recall):
                holder = self._by_id[command.holder].assignment
                returned = holder.recall_permits(command.pool, command.n, command.owe)
                self._count(self.counting.recalled(returned, command.request, self.timeline.now))
                continue
            front, answer = self._asked.pop(command.request), command.outcome
            if isinstance(answer, Grant):
                self._perform(front, front.assignment.granted(answer, self.timeline.now))
            else:
                self._perform(front, front.assignment.refused(answer, self.timeline.now))

    def _keep_house(self, _: None) -> None:
        """As the three shells that do something every so often. Not once nothing else is to come."""
        now = self.timeline.now
        self.counting.expire(now)
        self.counting.forget_growth(now)
        for worker, running in self.hosts.running().items():
            dead = self.counting.reported(worker, running, now)
            if dead:
                self.hosts.end(worker, dead)
        for front in self.frontends:
            lost = self.counting.renewed(front.id, front.assignment.grants(), now)
            front.assignment.renewed(lost, now)
        if len(self.timeline):
            self.timeline.at_tick(now + HOUSEKEEPING, HOUSEKEEPING, HOUSEKEEPING_TURN, self._keep_house, None)

    # The worker manager

    def _manage(self, commands: Sequence[manager.Command]) -> None:
        pending = deque(commands)
        while pending:
            pending.extendleft(reversed(self._manage_one(pending.popleft())))

    def _manage_one(self, command: manager.Command) -> Sequence[manager.Command]:
        """The answer is what follows from it, to be performed before what else there is."""
        now = self.timeline.now
        match command:
            case manager.AskGrowth(environment, function):
                grows = self.counting.may_grow(function, now)
                return self.manager.growth(environment, None if grows else ThrottleReason.CONCURRENCY, now)
            case manager.Place(demand):
                decision = self.fleet.place(demand)
                self._note("place", environment=demand.environment, detail=str(decision))
                if isinstance(decision, Placed):
                    self.figures.committed(demand.environment, decision.worker, demand.memory_mb, now)
                return self.manager.placed(demand.environment, decision, now)
            case manager.Recall(frontend, environment, idle_for):
                again = self._by_id[frontend].assignment.recall_environment(environment, idle_for, now)
                if again is None:
                    return self.manager.given_back(environment)
                return self.manager.kept(environment, again, now)
            case manager.Begin(version):
                self._environments += 1
                return self.manager.begun(EnvironmentId(str(self._environments)), version, now)
            case _:
                self._do(command)
        return ()

    def _do(self, command: manager.Command) -> None:
        """What nothing follows from."""
        now = self.timeline.now
        match command:
            case manager.Start():
                self.timeline.soon((self._start, command))
            case manager.Lend(frontend, environment):
                front = self._by_id[frontend]
                self._perform(front, front.assignment.lent(environment, now))
            case manager.Offer(frontend, environment):
                front = self._by_id[frontend]
                self._perform(front, front.assignment.offered(environment, now))
            case manager.TellFailure(frontend, request, version, failure):
                self._tell_failure(self._by_id[frontend], request, version, failure)
            case manager.Stop(environment, _, _):
                self.timeline.soon((self._stop, environment))
            case manager.Release(released):
                self.fleet.release(released)
                self.figures.released(released, now)
            case manager.SetTimer(timed, generation, at):
                self.timeline.at_tick(at, TICK, MANAGER_TURN, self._timer, (timed, generation))
            case manager.WakeAt(version_id, at):
                self.timeline.at_tick(at, TICK, MANAGER_TURN, self._wake, version_id)

    def _tell_failure(self, front: Frontend, request: RequestId, version: VersionId, failure: StartFailure) -> None:
        self._perform(front, front.assignment.start_failed(request, version, failure, self.timeline.now))

    def _timer(self, due: tuple[EnvironmentId, int]) -> None:
        self._manage(self.manager.timer_due(*due, self.timeline.now))

    def _wake(self, version: VersionId) -> None:
        self._manage(self.manager.woken(version, self.timeline.now))

    def _start(self, start: manager.Start) -> None:
        self.hosts.start(start, self._trace.init(int(start.environment)))

    def _stop(self, environment: EnvironmentId) -> None:
        self._note("stop", environment=environment)
        self.hosts.stop(environment)

    # What workers say (`Platform`)

    def started(self, environment: EnvironmentId) -> None:
        self._manage(self.manager.started(environment, self.timeline.now))

    def start_failed(self, failed: tuple[EnvironmentId, StartFailure]) -> None:
        self._manage(self.manager.start_failed(*failed, self.timeline.now))

    def answered(self, head: InvocationHead, failure: FunctionFailure | None) -> None:
        self._tell("answer", head.request_id, outcome(failure))
        front, environment = self._lent[head.environment]
        front.assignment.answered(environment, self.timeline.now)

    def abandoned(self, head: InvocationHead) -> None:
        self._tell("fail", head.request_id, ABANDONED)

    def finished(self, head: InvocationHead, reusable: bool) -> None:
        front, environment = self._lent[head.environment]
        commands = front.assignment.finished(head.request_id, environment, reusable, self.timeline.now)
        if commands:
            self._perform(front, commands)

    def frozen(self, environment: EnvironmentId) -> None:
        self._note("freeze", environment=environment)

    def ended(self, environment: EnvironmentId) -> None:
        self._note("ended", environment=environment)
        self._lent.pop(environment, None)
        self._manage(self.manager.ended(environment, self.timeline.now))

    # The log

    def _tell(self, what: str, request: RequestId, outcome: str) -> None:
        """A client is told something: once, and no more."""
        self.figures.told[outcome] += 1
        self._note(what, request, detail=outcome)

    def _note(self, what: str, request: str = "", environment: str = "", detail: str = "") -> None:
        if self._log is not None:
            self._log.append(Decision(self.timeline.now, what, request, environment, detail))
