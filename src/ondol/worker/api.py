"""The worker's doors: one for control calls, one (`PayloadDoor`) through which payloads stream both ways."""

from typing import Protocol

import msgspec

from ondol.model.errors import OndolError
from ondol.model.function import FunctionVersion
from ondol.model.ids import AccountId, CodeDigest, EnvironmentId, RequestId, WorkerId
from ondol.model.invocation import FunctionFailure, InvocationEnd


class StartRequest(msgspec.Struct, frozen=True, gc=False):
    environment: EnvironmentId
    version: FunctionVersion
    cause: RequestId
    """The invocation that waits for it: a failed init is answered, and logged, as that one's."""

    initialization: str = "on-demand"


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


class PayloadSource(Protocol):
    """Where a payload comes from, in pieces."""

    async def read(self) -> bytes:
        """The next piece; empty at the end."""
        ...


class PayloadSink(Protocol):
    """Where a result goes to, in pieces."""

    def write(self, piece: bytes) -> None: ...

    async def drain(self) -> None:
        """Wait until there is room for more."""
        ...

    def finish(self, failure: FunctionFailure | None, log_tail: bytes) -> None:
        """The result is whole, or the function failed: what was written before a failure does not count.

        Called once, as soon as the client can be answered; the environment may not be ready for the next one yet.
        `log_tail` is the last 4 KB of this invocation's log, if asked for.
        """
        ...


class EnvironmentBusy(OndolError):
    """This environment cannot take the invocation (it runs one, has ended, or the grant is stale).

    Nothing was started.
    """


class GrantDead(OndolError):
    """Counting holds the grant of this invocation no longer. Nothing was started."""


class PayloadDoor(Protocol):
    async def invoke(self, head: InvocationHead, source: PayloadSource, sink: PayloadSink) -> InvocationEnd:
        """Run one invocation; returns when its environment is ready for the next one, or gone.

        A failed function is told to the sink. Raises `EnvironmentBusy` or `GrantDead` (nothing was started), or
        `PlatformError`.
        """
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


class Worker(PayloadDoor, Protocol):
    @property
    def id(self) -> WorkerId: ...

    async def start(self, request: StartRequest) -> Started | InitFailed:
        """Turn a slot into an environment and run its init. Raises `PlatformError` when the host cannot."""
        ...

    async def stop(self, environment: EnvironmentId) -> None:
        """End an environment; returns when nothing of it remains. Unknown ones are ignored."""
        ...

    async def prepare(self, account: AccountId, runtime: str, nearest_runtime: bool, code: CodeDigest) -> None:
        """As `ondol.control.api.CodeHost`."""
        ...

    def status(self) -> WorkerStatus: ...


class WorkerObserver(Protocol):
    async def ended(self, environment: EnvironmentId) -> None:
        """The environment is no more, for whatever reason."""
        ...
