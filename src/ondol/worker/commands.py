"""What the machine of an environment asks of its shell.

Pure data: how each is done is `environment.py`'s, and in simulations `simulator/hosts.py`'s.
"""

from enum import Enum

import msgspec

from ondol.model.ids import RequestId
from ondol.model.invocation import FunctionFailure
from ondol.model.time import Instant
from ondol.worker.api import InvocationHead


class ShutdownReason(Enum):
    """Why an environment ends, as extensions are told."""

    SPINDOWN = "spindown"
    TIMEOUT = "timeout"
    FAILURE = "failure"


class Ready(msgspec.Struct, frozen=True, gc=False):
    """Init is over and the environment can take its first invocation."""

    init_ns: int


class InitFailure(msgspec.Struct, frozen=True, gc=False):
    """Init failed: run it again, or tell it to the invocation that caused it."""

    failure: FunctionFailure
    init_ns: int
    final: bool
    """It is not run again."""


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """Answer the runtime's `next` with this invocation."""

    head: InvocationHead
    thaw: bool
    remaining_ns: int
    """Until its deadline."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The client can be answered, and the invocation reported."""

    head: InvocationHead
    failure: FunctionFailure | None
    duration_ns: int
    init_ns: int | None
    """Of a cold start, in the report of its first invocation only."""


class Respond(msgspec.Struct, frozen=True, gc=False):
    """The client can be answered; the report follows (`Close`) when the extensions are done."""

    head: InvocationHead
    failure: FunctionFailure | None


class Close(msgspec.Struct, frozen=True, gc=False):
    """The invocation can be reported whose client could be answered before."""

    head: InvocationHead
    failure: FunctionFailure | None
    duration_ns: int
    init_ns: int | None


class StartExtensions(msgspec.Struct, frozen=True, gc=False):
    """Start the external ones that were found."""


class StartRuntime(msgspec.Struct, frozen=True, gc=False):
    """All external extensions have registered."""


class TellInvoke(msgspec.Struct, frozen=True, gc=False):
    """Answer the `next` of these extensions with this invocation."""

    extensions: tuple[str, ...]
    head: InvocationHead
    remaining_ns: int


class TellShutdown(msgspec.Struct, frozen=True, gc=False):
    """Answer the `next` of these extensions: the environment ends."""

    extensions: tuple[str, ...]
    reason: ShutdownReason
    remaining_ns: int


class Finish(msgspec.Struct, frozen=True, gc=False):
    """The invocation is over for the platform too."""

    request: RequestId
    reusable: bool


class Throttle(msgspec.Struct, frozen=True, gc=False):
    """Init is over: the CPU share holds from now on."""


class Thaw(msgspec.Struct, frozen=True, gc=False):
    """It must run although nobody invokes it: a debugger wants to talk to it."""


class Freeze(msgspec.Struct, frozen=True, gc=False):
    """It has been idle for a while."""


class Stop(msgspec.Struct, frozen=True, gc=False):
    """End the sandbox; again, without a grace: nobody is left to wait for."""

    grace_ns: int = 0
    """The runtime's, after SIGTERM."""

    extensions_ns: int = 0
    """What extensions have when that is over."""


class Wake(msgspec.Struct, frozen=True, gc=False):
    """Come back with `timer_due` at `at`."""

    at: Instant


Command = (
    Ready
    | InitFailure
    | Deliver
    | Answer
    | Finish
    | Throttle
    | Freeze
    | Thaw
    | Stop
    | Wake
    | Respond
    | Close
    | StartExtensions
    | StartRuntime
    | TellInvoke
    | TellShutdown
)
