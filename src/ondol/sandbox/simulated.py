"""Sandboxes without processes, whose functions do what a `Behaviour` says, on any event loop.

Each speaks the real Runtime API to the protocol that its guest hands out, so that everything above the driver runs as
it does for real. Nothing here reads a clock, starts a thread or opens a socket: only the loop's timers are used, and on
a loop of virtual time a year of invocations takes seconds.

```
Driver ──▶ SimulatedSandbox ──▶ Runtime ──▶ Behaviour     what the function does, phase by phase
             Guest ◀── exits, output ── │
             Guest.connected() ◀── Runtime API ──▶ (memory_transport)
```
"""

import asyncio
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from ondol.model.ids import CodeDigest, SandboxId
from ondol.model.runtime import Runtime
from ondol.sandbox.driver import Capabilities, Exit, Guest, SlotSpec, StartSpec, Stats
from ondol.sandbox.errors import SandboxError, SandboxGone
from ondol.sandbox.limits import UnpackLimits
from ondol.sandbox.simulated_process import Answer, Die, Phase, Process, Raise, request
from ondol.waiting import happens

SIGTERM = 15
KILLED = 9
NEXT = request("GET", "/2018-06-01/runtime/invocation/next")


class Behaviour(Protocol):
    """The code of one execution environment. Called on the loop; it may keep state, as a warm environment does."""

    def init(self) -> Phase: ...

    def invoke(self, request_id: str, event: bytes) -> Phase: ...


class _Runtime(Process):
    """The runtime process: a client of the Runtime API."""

    def __init__(self, behaviour: Behaviour, guest: Guest, exited: Callable[[Exit], None]) -> None:
        super().__init__(guest, exited)
        self._behaviour = behaviour
        self._init_failed = False

    def start(self) -> None:
        self.begin(self._behaviour.init(), self._ready)

    def _ready(self) -> None:
        """Init is over: connect, and ask for work or report why there will be none."""
        self.connect()
        if isinstance(self._phase.ending, Raise):
            self._init_failed = True
            self.send(_post("init/error", _report(self._phase.ending, "")))
        else:
            self.send(NEXT)

    def _answer(self, request_id: str) -> None:
        ending = self._phase.ending
        if isinstance(ending, Raise):
            self.send(_post(f"invocation/{request_id}/error", _report(ending, request_id)) + NEXT)
        elif isinstance(ending, Answer):
            self.send(_post(f"invocation/{request_id}/response", ending.body) + NEXT)

    def connection_lost(self, error: Exception | None) -> None:
        if self.alive:
            # The platform had enough of this connection, but not of the runtime.
            self.connect()
            self.send(NEXT)

    def heard(self, headers: dict[str, str], body: bytes) -> None:
        request_id = headers.get("lambda-runtime-aws-request-id")
        if request_id is not None:
            phase = self._behaviour.invoke(request_id, body)
            self.begin(phase, lambda: self._answer(request_id))
        elif self._init_failed:
            self.end(Exit(code=1))


class Companion(msgspec.Struct, frozen=True):
    """An external extension of a simulated function: what it registers for, and what it does at each event."""

    name: str
    events: tuple[str, ...] = ("INVOKE", "SHUTDOWN")
    init: Phase = Phase()
    idle: Phase = Phase()
    """Between registering and asking for the first event."""

    invoke: Phase = Phase()
    shutdown: Phase = Phase(Die(Exit(code=0)))


class _Extension(Process):
    """The process of an extension: a client of the Extensions API."""

    def __init__(self, companion: Companion, guest: Guest, exited: Callable[[Exit], None]) -> None:
        super().__init__(guest, exited)
        self._companion = companion
        self._id = ""

    def start(self) -> None:
        self.begin(self._companion.init, self._register)

    def _register(self) -> None:
        self.connect()
        body = json.dumps({"events": self._companion.events}).encode()
        self.send(request("POST", "/2020-01-01/extension/register", body, Lambda_Extension_Name=self._companion.name))

    def _next(self) -> None:
        self.send(request("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier=self._id))

    def heard(self, headers: dict[str, str], body: bytes) -> None:
        event = json.loads(body).get("eventType")
        if event is None:
            self._id = headers["lambda-extension-identifier"]
            self.begin(self._companion.idle, self._next)
        else:
            self.begin(self._companion.invoke if event == "INVOKE" else self._companion.shutdown, self._next)


class SimulatedSandbox:
    """One slot of a `SimulatedDriver`."""

    def __init__(self, spec: SlotSpec, driver: "SimulatedDriver") -> None:
        self._id = spec.sandbox
        self._driver = driver
        self._guest: Guest | None = None
        self._runtime: _Runtime | None = None
        self._extensions: dict[str, _Extension] = {}
        self._extensions_ended = asyncio.Event()
        self._frozen = False
        self._gone = False

    @property
    def id(self) -> SandboxId:
        return self._id

    def attach(self, guest: Guest) -> None:
        self._guest = guest

    async def start(self, spec: StartSpec) -> None:
        await asyncio.sleep(self._driver.start_s)
        if self._gone or (self._runtime is not None and not self._runtime.alive):
            raise SandboxGone(f"sandbox {self._id} has ended")
        if self._guest is None or self._runtime is not None:
            raise SandboxError(f"sandbox {self._id} has nobody to report to, or runs already")
        trees = (*(() if spec.code is None else (spec.code,)), *spec.layers)
        missing = [digest for digest in trees if digest not in self._driver._trees]
        if missing:
            raise SandboxError(f"there is no tree {missing[0]}: unpack it first")
        self._runtime = _Runtime(self._driver.behave(spec), self._guest, self._guest.exited)
        for companion in self._driver.companions(spec):
            told = partial(self._extension_ended, companion.name)
            self._extensions[companion.name] = _Extension(companion, self._guest, told)
        if self._extensions:
            self._guest.extensions_found(sorted(self._extensions))
        else:
            self.start_runtime()

    def start_extensions(self, environment: Mapping[str, str]) -> None:
        for extension in self._extensions.values():
            extension.start()
            if self._frozen:
                extension.freeze()

    def start_runtime(self) -> None:
        if self._runtime is not None and self._runtime.alive:
            self._runtime.start()
            if self._frozen:
                self._runtime.freeze()

    def throttle(self) -> None:
        """Phases are given in the time that they take: there is nothing to slow down."""

    def freeze(self) -> None:
        self._frozen = True
        for process in self._processes:
            process.freeze()

    def thaw(self) -> None:
        self._frozen = False
        for process in self._processes:
            process.thaw()

    def drain_output(self) -> None:
        """Output is delivered as it is written."""

    async def reach(self) -> socket.socket:
        raise SandboxError("a simulated sandbox has no network")

    def stats(self) -> Stats:
        if self._runtime is None:
            return Stats(memory_peak_bytes=0, cpu_time_ns=0)
        return Stats(memory_peak_bytes=self._runtime.memory_peak_bytes, cpu_time_ns=self._runtime.cpu_time_ns)

    def memory_peak_bytes(self) -> int:
        return self._runtime.memory_peak_bytes if self._runtime is not None else 0

    async def stop(self, grace_s: float, extensions_s: float = 0.0) -> None:
        """A runtime heeds SIGTERM at once; without grace it is killed."""
        self._gone = True
        self._driver.sandboxes.discard(self)
        self.thaw()
        if self._runtime is not None:
            self._runtime.end(Exit(signal=SIGTERM if grace_s > 0 else KILLED))
        if extensions_s and any(extension.alive for extension in self._extensions.values()):
            await happens(self._extensions_ended, extensions_s)
        for extension in self._extensions.values():
            extension.end(Exit(signal=KILLED))
        await asyncio.sleep(0)

    @property
    def _processes(self) -> list[Process]:
        runtime = [] if self._runtime is None else [self._runtime]
        return [*runtime, *self._extensions.values()]

    def _extension_ended(self, name: str, exit: Exit) -> None:
        assert self._guest is not None
        self._guest.extension_exited(name, exit)
        if not any(extension.alive for extension in self._extensions.values()):
            self._extensions_ended.set()


class SimulatedDriver:
    """Makes sandboxes that act.

    `behave` gives each environment its code, `companions` its external extensions. `inspect` may refuse an archive with
    `UnpackRefused`; without it, every archive is taken unseen. `create_s` and `start_s` are what making a slot and
    starting one take.
    """

    def __init__(
        self,
        behave: Callable[[StartSpec], Behaviour],
        *,
        companions: Callable[[StartSpec], Sequence[Companion]] = lambda spec: (),
        inspect: Callable[[Path, UnpackLimits], None] | None = None,
        create_s: float = 0.0,
        start_s: float = 0.0,
    ) -> None:
        self.behave = behave
        self.companions = companions
        self.start_s = start_s
        self._trees: set[CodeDigest] = set()
        self.images: set[CodeDigest] = set()
        self.sandboxes: set[SimulatedSandbox] = set()
        self._inspect = inspect
        self._create_s = create_s
        self._capabilities = Capabilities(
            driver="simulated",
            memory_limit=False,
            cpu_limit=False,
            process_limit=False,
            tmp_limit=False,
            freeze=True,
            network_isolated=True,
            own_uid=False,
            shortfalls=("Nothing runs here: functions are simulated.",),
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def open(self, runtimes: Sequence[Runtime]) -> None:
        """Nothing is left behind by what never was."""

    async def create(self, spec: SlotSpec) -> SimulatedSandbox:
        await asyncio.sleep(self._create_s)
        sandbox = SimulatedSandbox(spec, self)
        self.sandboxes.add(sandbox)
        return sandbox

    async def unpack(self, archive: Path, digest: CodeDigest, limits: UnpackLimits) -> None:
        if digest not in self._trees:
            if self._inspect is not None:
                self._inspect(archive, limits)
            self._trees.add(digest)

    async def trees(self) -> frozenset[CodeDigest]:
        return frozenset(self._trees)

    async def discard(self, digest: CodeDigest) -> None:
        self._trees.discard(digest)

    async def unpack_image(self, digest: CodeDigest) -> None:
        self.images.add(digest)

    async def discard_image(self, digest: CodeDigest) -> None:
        self.images.discard(digest)

    async def close(self) -> None:
        for sandbox in list(self.sandboxes):
            await sandbox.stop(grace_s=0.0)


def _post(path: str, body: bytes) -> bytes:
    return request("POST", f"/2018-06-01/runtime/{path}", body)


def _report(raised: Raise, request_id: str) -> bytes:
    report = {"errorMessage": raised.message, "errorType": raised.error_type, "requestId": request_id, "stackTrace": []}
    return json.dumps(report).encode()
