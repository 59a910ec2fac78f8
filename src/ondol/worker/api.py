"""The worker's doors: one for control calls, one (`PayloadDoor`) through which payloads stream both ways."""

from typing import Protocol

import msgspec

from ondol.control.api import CodeHost
from ondol.model.errors import OndolError, PlatformError
from ondol.model.function import FunctionVersion
from ondol.model.ids import EnvironmentId, RequestId, WorkerId
from ondol.model.invocation import FunctionFailure

ON_DEMAND = "on-demand"
PROVISIONED = "provisioned-concurrency"
"""How an environment comes to be: for an invocation that waits for it, or ahead of all."""


class StartRequest(msgspec.Struct, frozen=True, gc=False):
    environment: EnvironmentId
    version: FunctionVersion
    cause: RequestId
    """The invocation that waits for it: a failed init is answered, and logged, as that one's."""

    initialization: str = ON_DEMAND
    """If it is provisioned nobody waits for it: a failed init is told at once and logged as nobody's."""


class Started(msgspec.Struct, frozen=True, gc=False):
    init_ns: int


class InitFailed(msgspec.Struct, frozen=True, gc=False):
    failure: FunctionFailure


class InvocationHead(msgspec.Struct, frozen=True, gc=False):
    """Everything of an invocation but its payload."""

    request_id: RequestId
    environment: EnvironmentId
    grant: int
    invoked_arn: str
    payload_bytes: int
    client_context: str | None = None
    """JSON text, decoded from the header."""

    trace: str | None = None
    want_tail: bool = False
    stream: bool = False
    """The client takes the result piece by piece, if the function writes it so; else it gets it whole."""


class PayloadSource(Protocol):
    """Where a payload comes from, in pieces."""

    @property
    def first(self) -> bytes:
        """What is here already, perhaps all of it: `read` has nothing of this again. Looked at once the invocation
        is in its environment's hands."""
        ...

    async def read(self) -> bytes:
        """The next piece after `first`; empty at the end."""
        ...


class PayloadSink(Protocol):
    """Where a result goes to, in pieces, and who is told how the invocation went.

    Told is either `finish` and then `over`, or `failed` alone.
    """

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
        """The result is whole, or the function failed: what was written before a failure counts only if it streamed.

        Called once, as soon as the client can be answered; the environment may not be ready for the next one yet.
        `log_tail` is the last 4 KB of this invocation's log, if asked for.
        """
        ...

    def over(self, reusable: bool) -> None:
        """The environment is ready for the next invocation; if not `reusable`, it is gone or going."""
        ...

    def failed(self, error: "NotTaken | PlatformError") -> None:
        """There is no result, and will be none; after `PlatformError` the environment is gone or going."""
        ...


class NotTaken(OndolError):
    """The worker did not take an invocation: nothing was started, and it may run elsewhere."""


class EnvironmentBusy(NotTaken):
    """This environment cannot take the invocation: it runs one, or has ended."""


class GrantDead(NotTaken):
    """Counting holds the grant of this invocation no longer. Its environment is as it was."""


class PayloadDoor(Protocol):
    def invoke(self, head: InvocationHead, source: PayloadSource, sink: PayloadSink) -> None:
        """Begin one invocation. All that comes of it is told to the sink, a refusal perhaps before this returns."""
        ...


class EnvironmentStatus(msgspec.Struct, frozen=True, gc=False):
    id: EnvironmentId
    function: str
    version: str
    state: str


class WorkerStatus(msgspec.Struct, frozen=True, gc=False):
    """A worker as people look at it."""

    id: WorkerId
    slots: dict[str, int]
    """Slots ready, by runtime."""

    environments: list[EnvironmentStatus]


class DebugObserver(Protocol):
    """Who wants an environment with a debugger's door, and hears what becomes of the door."""

    @property
    def gone(self) -> bool:
        """Nobody wants it any more: it need not be started."""
        ...

    def listening(self, protocol: str, port: int) -> None:
        """A debugger that speaks `protocol` (`dap`, `inspector`) is let in at this port of the worker's loopback."""
        ...

    def attached(self) -> None: ...

    def detached(self) -> None: ...


class Worker(PayloadDoor, CodeHost, Protocol):
    @property
    def id(self) -> WorkerId: ...

    async def start(self, request: StartRequest) -> Started | InitFailed:
        """Turn a slot into an environment and run its init. Raises `PlatformError` when the host cannot."""
        ...

    async def debug(self, request: StartRequest, port: int | None, observer: DebugObserver) -> Started | InitFailed:
        """As `start`, with a door for debuggers at this port (0: any, None: the usual one, or any if that is taken).

        Its runtime waits for a debugger before it loads the function; the environment has no time limits during init
        nor while one is attached. Raises `PlatformError`, also if its runtime cannot be debugged.
        """
        ...

    async def shut_out(self, environment: EnvironmentId) -> None:
        """No debugger gets to this environment any more; what one has stopped goes on. Others are ignored."""
        ...

    async def stop(self, environment: EnvironmentId) -> None:
        """End an environment; returns when nothing of it remains. Unknown ones are ignored."""
        ...

    def status(self) -> WorkerStatus: ...


class WorkerObserver(Protocol):
    async def ended(self, environment: EnvironmentId) -> None:
        """The environment is no more, for whatever reason."""
        ...
