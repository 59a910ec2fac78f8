"""The real services on a loop of virtual time, with simulated sandboxes: what the kernel leaves out runs here.

Frontends, counting, placement, worker manager and workers are the live ones, wired as the assembly wires them; each
worker has a driver of its own, and the Runtime API's HTTP runs in memory between it and the simulated runtimes.
Clients, functions and sandboxes do what the trace says. Doors that note what passes stand between the services.
"""

import asyncio
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from ondol.counting.service import CountingService
from ondol.frontend.directory import Target
from ondol.frontend.invocations import Invocation, Invocations
from ondol.http import HttpCommons
from ondol.model.errors import OndolError, Outcome, PlatformError, TooManyRequests
from ondol.model.function import LATEST, FunctionView
from ondol.model.ids import CodeDigest, EnvironmentId, FrontendId, RequestId
from ondol.model.invocation import FunctionFailure
from ondol.model.runtime import Launch, Runtime
from ondol.model.time import SECOND, WallTime
from ondol.placement.api import Demand, Placed, Unplaced, WorkerCapacity
from ondol.placement.service import PlacementService
from ondol.sandbox.driver import Exit, SlotSpec, StartSpec
from ondol.sandbox.simulated import SimulatedDriver, SimulatedSandbox
from ondol.sandbox.simulated_process import Answer, Die, Hang, Phase, Raise
from ondol.simulator.figures import ABANDONED, GONE, NO_ROOM, outcome
from ondol.simulator.trace import RUNTIME, Call, Decision, Ending, Function, Site, Trace
from ondol.simulator.virtual_time import VirtualClock, VirtualTimeLoop
from ondol.telemetry.api import LogStream
from ondol.worker.api import InvocationHead, PayloadSink, PayloadSource
from ondol.worker.service import WorkerService, WorkerSettings
from ondol.worker_manager.api import Wanted
from ondol.worker_manager.service import WorkerManagerService

ENDINGS: dict[Ending, Answer | Raise | Die | Hang] = {
    Ending.WELL: Answer(),
    Ending.RAISE: Raise("Simulated", "as the trace has it"),
    Ending.DIE: Die(Exit(code=1)),
    Ending.HANG: Hang(),
}


class Notes:
    """The decision log, with the time of each entry."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.log: list[Decision] = []

    def note(self, what: str, request: str = "", environment: str = "", detail: str = "") -> None:
        self.log.append(Decision(self._clock.now(), what, request, environment, detail))


class _Code:
    """What runs in one environment (`Behaviour`)."""

    def __init__(self, world: "World", environment: str) -> None:
        self._world = world
        self._environment = environment

    def init(self) -> Phase:
        init = self._world.trace.init(int(self._environment))
        return Phase(ENDINGS[init.ending], init.duration / SECOND)

    def invoke(self, request_id: str, event: bytes) -> Phase:
        call = self._world.calls[request_id]
        return Phase(ENDINGS[call.ending], call.duration / SECOND)


class _Sandbox(SimulatedSandbox):
    """Takes its time to stop, and notes when it is frozen."""

    def __init__(self, spec: SlotSpec, driver: "_Driver") -> None:
        super().__init__(spec, driver)
        self._world = driver.world
        self._environment = ""

    async def start(self, spec: StartSpec) -> None:
        self._environment = _environment(spec)
        await super().start(spec)

    def freeze(self) -> None:
        self._world.notes.note("freeze", environment=self._environment)
        super().freeze()

    async def stop(self, grace_s: float, extensions_s: float = 0.0) -> None:
        await super().stop(grace_s, extensions_s)
        await asyncio.sleep(self._world.site.stop / SECOND)


class _Driver(SimulatedDriver):
    def __init__(self, world: "World") -> None:
        super().__init__(lambda spec: _Code(world, _environment(spec)))
        self.world = world

    async def create(self, spec: SlotSpec) -> SimulatedSandbox:
        sandbox = _Sandbox(spec, self)
        self.sandboxes.add(sandbox)
        return sandbox


class _Worker(WorkerService):
    """Notes what runs here, and what is stopped."""

    notes: Notes

    async def stop(self, environment: EnvironmentId) -> None:
        self.notes.note("stop", environment=environment)
        await super().stop(environment)

    def invoke(self, head: InvocationHead, source: PayloadSource, sink: PayloadSink) -> None:
        self.notes.note("run", head.request_id, head.environment, f"grant {head.grant} on {self.id}")
        super().invoke(head, source, sink)


class _Placement(PlacementService):
    notes: Notes

    async def place(self, demand: Demand) -> Placed | Unplaced:
        decision = await super().place(demand)
        self.notes.note("place", environment=demand.environment, detail=str(decision))
        return decision


class _Manager(WorkerManagerService):
    notes: Notes

    async def ended(self, environment: EnvironmentId) -> None:
        self.notes.note("ended", environment=environment)
        await super().ended(environment)


class _Client:
    """One invocation's client, and where its payload comes from."""

    first = b"{}"

    def __init__(self, request: RequestId, notes: Notes) -> None:
        self._request = request
        self._notes = notes
        self._leaving = False

    async def read(self) -> bytes:
        return b""

    def begin_stream(self, content_type: str) -> None:
        """What is simulated does not stream."""

    def write(self, piece: bytes) -> None:
        """The result is not looked at."""

    async def drain(self) -> None:
        """There is always room."""

    def finish(self, failure: FunctionFailure | None, log_tail: bytes) -> None:
        if failure is not None and failure.log_tail:
            self._notes.note("fail", self._request, detail=f"init: {outcome(failure)}")
        else:
            self._notes.note("answer", self._request, detail=outcome(failure))

    def refuse(self, error: OndolError) -> None:
        if isinstance(error, TooManyRequests):
            self._notes.note("refuse", self._request, detail=error.members["Reason"])
        else:
            assert isinstance(error, PlatformError)
            if self._leaving:
                self._notes.note("gone", self._request, detail=GONE)
                return
            why = NO_ROOM if error.outcome is Outcome.NOT_STARTED else ABANDONED
            self._notes.note("fail", self._request, detail=why)

    def go_away(self, frontend: Invocations, invocation: Invocation) -> None:
        self._leaving = True
        frontend.client_gone(invocation)
        self._leaving = False


class _NoLogs:
    """Lines are made, as they are for real, and dropped."""

    def open(self, stream: LogStream) -> "_NoLogs":
        return self

    def write(self, time: WallTime, messages: Sequence[str]) -> None:
        pass


class World:
    """One site, with what a trace makes happen there. Make it on a running loop of virtual time."""

    def __init__(self, site: Site, trace: Trace) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        self._loop = loop
        self.site = site
        self.trace = trace
        self.clock = VirtualClock(loop)
        self.notes = Notes(self.clock)
        self.calls: dict[str, Call] = {}
        """By request, as they were made."""

        self._current = [function.version(1) for function in trace.functions]
        self._revisions = [1] * len(trace.functions)
        self._wanted = [0] * len(trace.functions)
        """Provisioned concurrency of each function."""

        self._counting = CountingService(site.limits, self.clock)
        self._placement = _Placement(site.placement)
        self._placement.notes = self.notes
        http = HttpCommons(self.clock)
        self._workers = {capacity.worker: self._worker(capacity, http) for capacity in site.capacities()}
        numbers = count(1)
        self._manager = _Manager(
            site.keep_alive,
            clock=self.clock,
            counting=self._counting,
            placement=self._placement,
            workers=self._workers.__getitem__,
            new_id=lambda: str(next(numbers)),
        )
        self._manager.notes = self.notes
        self._frontends = [self._frontend(number) for number in range(site.frontends)]

    def _worker(self, capacity: WorkerCapacity, http: HttpCommons) -> _Worker:
        numbers = count(1)
        worker = _Worker(
            WorkerSettings(capacity.worker, phases=self.site.phases),
            driver=_Driver(self),
            resolve_runtime=_resolve_runtime,
            package=_package,
            logs=_NoLogs(),
            counting=self._counting,
            clock=self.clock,
            http=http,
            new_id=lambda: f"{capacity.worker}/{next(numbers)}",
        )
        worker.notes = self.notes
        return worker

    def _frontend(self, number: int) -> Invocations:
        return Invocations(
            FrontendId(f"frontend-{number}"),
            counting=self._counting,
            manager=self._manager,
            workers=self._workers.__getitem__,
            clock=self.clock,
        )

    async def run(self, until: int) -> list[Decision]:
        """Let happen what happens up to this instant; the answer is what was decided. Then stop everything."""
        await self._open()
        happenings = (self._call_all(), self._update_all(), self._provision_all())
        clients = [self._loop.create_task(each) for each in happenings]
        await self._sleep_until(until)
        for task in clients:
            task.cancel()
        log = list(self.notes.log)
        await self._close()
        return log

    async def _open(self) -> None:
        await self._counting.open()
        for capacity in self.site.capacities():
            await self._workers[capacity.worker].open(self._manager)
            await self._placement.register(capacity)
        await self._manager.open()
        for frontend in self._frontends:
            await frontend.open()
        for function in self.trace.functions:
            if function.reserved_concurrency is not None:
                await self._counting.reserve(function.key, function.reserved_concurrency, {})

    async def _close(self) -> None:
        for frontend in self._frontends:
            await frontend.close()
        await self._manager.close()
        for worker in self._workers.values():
            await worker.close()
        await self._counting.close()

    async def _call_all(self) -> None:
        for number, call in enumerate(self.trace.calls, 1):
            await self._sleep_until(call.at)
            self._call(RequestId(f"request-{number}"), call)

    def _call(self, request: RequestId, call: Call) -> None:
        self.calls[request] = call
        client = _Client(request, self.notes)
        invocation = Invocation(request, self._target(call.function), 2, client, client)
        frontend = self._frontends[call.frontend]
        frontend.begin(invocation)
        if call.patience is not None:
            self._loop.call_later(call.patience / SECOND, client.go_away, frontend, invocation)

    async def _update_all(self) -> None:
        for update in self.trace.updates:
            await self._sleep_until(update.at)
            self._revisions[update.function] += 1
            function = self.trace.functions[update.function]
            self._current[update.function] = function.version(self._revisions[update.function])
            if self._wanted[update.function]:
                await self._claim(update.function)
            await self._manager.retire(self._view(update.function), function.key)

    async def _provision_all(self) -> None:
        for provisioning in self.trace.provisioned:
            await self._sleep_until(provisioning.at)
            self._wanted[provisioning.function] = provisioning.n
            await self._claim(provisioning.function)

    async def _claim(self, index: int) -> None:
        """Tell everybody what the current version of a function has provisioned."""
        function, version, n = self.trace.functions[index], self._current[index], self._wanted[index]
        provisioned = {version.id: n} if n else {}
        await self._counting.reserve(function.key, function.reserved_concurrency, provisioned)
        await self._manager.provision(function.key, [Wanted(version, n, self.clock.now())] if n else [])

    async def _sleep_until(self, at: int) -> None:
        await asyncio.sleep((at - self.clock.now()) / SECOND)

    def _target(self, index: int) -> Target:
        view, version, function = self._view(index), self._current[index], self.trace.functions[index]
        provisioned = function.provisioned(version.id, self._wanted[index])
        return Target(view, version, view.key.arn, function.pool, provisioned)

    def _view(self, index: int) -> FunctionView:
        function: Function = self.trace.functions[index]
        versions = {LATEST: self._current[index]}
        return FunctionView(function.key, self._revisions[index], versions, {}, function.reserved_concurrency)


def _environment(spec: StartSpec) -> str:
    """Whose sandbox it is becoming: log streams are named by environments."""
    return spec.environment["AWS_LAMBDA_LOG_STREAM_NAME"].rpartition("]")[2]


async def _resolve_runtime(name: str, nearest: bool) -> Runtime:
    return Runtime(RUNTIME, "3.11.0", Launch.ZYGOTE, ())


async def _package(code: CodeDigest) -> Path | None:
    return Path("/nowhere") / code
