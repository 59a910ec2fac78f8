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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from ondol.model.ids import CodeDigest, SandboxId
from ondol.model.runtime import Runtime
from ondol.sandbox import memory_transport
from ondol.sandbox.driver import Capabilities, Exit, Guest, SlotSpec, StartSpec, Stats
from ondol.sandbox.errors import SandboxError, SandboxGone
from ondol.sandbox.limits import UnpackLimits

SIGTERM = 15
KILLED = 9
NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n\r\n"


class Answer(msgspec.Struct, frozen=True):
    """The phase ends well; of an invocation, with this result, which may be larger than is allowed."""

    body: bytes = b"null"


class Raise(msgspec.Struct, frozen=True):
    """The function raises: an invocation is answered with an error, init is reported failed and the runtime ends."""

    error_type: str
    message: str


class Die(msgspec.Struct, frozen=True):
    """The runtime process ends without a word: a crash, `sys.exit`, out of memory."""

    exit: Exit


class Hang(msgspec.Struct, frozen=True):
    """The phase never ends by itself."""


class Phase(msgspec.Struct, frozen=True):
    """What a function does in its init or in one invocation."""

    ending: Answer | Raise | Die | Hang = Answer()
    duration_s: float = 0.0
    """Time that passes before the ending, while the sandbox is not frozen."""

    output: bytes = b""
    """Written to stdout just before the ending; by a phase that hangs, at once."""

    memory_bytes: int = 0
    cpu_time_ns: int = 0


class Behaviour(Protocol):
    """The code of one execution environment. Called on the loop; it may keep state, as a warm environment does."""

    def init(self) -> Phase: ...

    def invoke(self, request_id: str, event: bytes) -> Phase: ...


class _Runtime(asyncio.Protocol):
    """The runtime process: a client of the Runtime API that acts out phases."""

    def __init__(self, behaviour: Behaviour, guest: Guest, exited: Callable[[Exit], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._behaviour = behaviour
        self._guest = guest
        self._exited = exited
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._left_s = 0.0
        self._phase = Phase()
        self._finish: Callable[[], None] = self._ready
        self._frozen = False
        self._init_failed = False
        self.alive = True
        self.memory_peak_bytes = 0
        self.cpu_time_ns = 0

    def start(self) -> None:
        self._begin(self._behaviour.init(), self._ready)

    def freeze(self) -> None:
        if self.alive and not self._frozen:
            self._frozen = True
            if self._timer is not None:
                self._left_s = max(0.0, self._timer.when() - self._loop.time())
                self._timer.cancel()
            if self._transport is not None:
                self._transport.pause_reading()

    def thaw(self) -> None:
        if self.alive and self._frozen:
            self._frozen = False
            if self._timer is not None:
                self._timer = self._loop.call_later(self._left_s, self._ended)
            if self._transport is not None:
                self._transport.resume_reading()

    def end(self, exit: Exit) -> None:
        """The process ends now, and with it its connection; the guest is told last."""
        if not self.alive:
            return
        self.alive = False
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._exited(exit)

    # Phases

    def _begin(self, phase: Phase, finish: Callable[[], None]) -> None:
        self._phase, self._finish = phase, finish
        self.memory_peak_bytes = max(self.memory_peak_bytes, phase.memory_bytes)
        if isinstance(phase.ending, Hang):
            self._write(phase.output)
        else:
            self._timer = self._loop.call_later(phase.duration_s, self._ended)

    def _ended(self) -> None:
        self._timer = None
        self.cpu_time_ns += self._phase.cpu_time_ns
        self._write(self._phase.output)
        if isinstance(self._phase.ending, Die):
            self.end(self._phase.ending.exit)
        else:
            self._finish()

    def _write(self, output: bytes) -> None:
        if output:
            self._guest.output(output)

    def _ready(self) -> None:
        """Init is over: connect, and ask for work or report why there will be none."""
        memory_transport.connect(self._loop, self, self._guest.connected())
        if isinstance(self._phase.ending, Raise):
            self._init_failed = True
            self._send(_post("init/error", _report(self._phase.ending, "")))
        else:
            self._send(NEXT)

    def _answer(self, request_id: str) -> None:
        ending = self._phase.ending
        if isinstance(ending, Raise):
            self._send(_post(f"invocation/{request_id}/error", _report(ending, request_id)) + NEXT)
        elif isinstance(ending, Answer):
            self._send(_post(f"invocation/{request_id}/response", ending.body) + NEXT)

    # The Runtime API

    def _send(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received.clear()

    def connection_lost(self, error: Exception | None) -> None:
        if self.alive:
            # The platform had enough of this connection, but not of the runtime.
            memory_transport.connect(self._loop, self, self._guest.connected())
            self._send(NEXT)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self.alive and (head_end := self._received.find(b"\r\n\r\n")) >= 0:
            lines = self._received[:head_end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            body_end = head_end + 4 + int(headers.get("content-length", 0))
            if len(self._received) < body_end:
                return
            body = bytes(self._received[head_end + 4 : body_end])
            del self._received[:body_end]
            self._heard(headers, body)

    def _heard(self, headers: dict[str, str], body: bytes) -> None:
        request_id = headers.get("lambda-runtime-aws-request-id")
        if request_id is not None:
            phase = self._behaviour.invoke(request_id, body)
            self._begin(phase, lambda: self._answer(request_id))
        elif self._init_failed:
            self.end(Exit(code=1))


class SimulatedSandbox:
    """One slot of a `SimulatedDriver`."""

    def __init__(self, spec: SlotSpec, driver: "SimulatedDriver") -> None:
        self._id = spec.sandbox
        self._driver = driver
        self._guest: Guest | None = None
        self._runtime: _Runtime | None = None
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
        missing = [digest for digest in (spec.code, *spec.layers) if digest not in self._driver._trees]
        if missing:
            raise SandboxError(f"there is no tree {missing[0]}: unpack it first")
        self._runtime = _Runtime(self._driver.behave(spec), self._guest, self._guest.exited)
        self._runtime.start()
        if self._frozen:
            self._runtime.freeze()

    def throttle(self) -> None:
        """Phases are given in the time that they take: there is nothing to slow down."""

    def freeze(self) -> None:
        self._frozen = True
        if self._runtime is not None:
            self._runtime.freeze()

    def thaw(self) -> None:
        self._frozen = False
        if self._runtime is not None:
            self._runtime.thaw()

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

    async def stop(self, grace_s: float) -> None:
        """A runtime heeds SIGTERM at once; without grace it is killed."""
        self._gone = True
        self._driver.sandboxes.discard(self)
        if self._runtime is not None:
            self._runtime.end(Exit(signal=SIGTERM if grace_s > 0 else KILLED))
        await asyncio.sleep(0)


class SimulatedDriver:
    """Makes sandboxes that act.

    `behave` gives each environment its code. `inspect` may refuse an archive with `UnpackRefused`; without it, every
    archive is taken unseen. `create_s` and `start_s` are what making a slot and starting one take.
    """

    def __init__(
        self,
        behave: Callable[[StartSpec], Behaviour],
        *,
        inspect: Callable[[Path, UnpackLimits], None] | None = None,
        create_s: float = 0.0,
        start_s: float = 0.0,
    ) -> None:
        self.behave = behave
        self.start_s = start_s
        self._trees: set[CodeDigest] = set()
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

    async def close(self) -> None:
        for sandbox in list(self.sandboxes):
            await sandbox.stop(grace_s=0.0)


def _post(path: str, body: bytes) -> bytes:
    head = f"POST /2018-06-01/runtime/{path} HTTP/1.1\r\nHost: 127.0.0.1:9001\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body


def _report(raised: Raise, request_id: str) -> bytes:
    report = {"errorMessage": raised.message, "errorType": raised.error_type, "requestId": request_id, "stackTrace": []}
    return json.dumps(report).encode()
