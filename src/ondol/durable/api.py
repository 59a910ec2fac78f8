"""Durable executions' door, and what they ask of those who run functions."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from ondol.control.api import Caller
from ondol.model.errors import CallerError
from ondol.model.function import FunctionKey, FunctionVersion
from ondol.model.ids import RequestId


class AlreadyStarted(CallerError):
    """An execution of this name was started with another input, or on another version."""

    code = "DurableExecutionAlreadyStartedException"


class CallbackTimedOut(CallerError):
    """A callback that has timed out, or is completed."""

    code = "CallbackTimeoutException"


class Start(msgspec.Struct, frozen=True, gc=False):
    """What an execution is to begin with."""

    version: FunctionVersion
    """That of a durable function; each invocation runs it."""

    payload: str
    """JSON text."""

    name: str | None = None
    """None: one that nobody else has."""

    synchronous: bool = False
    """Somebody waits, so its result may have 6 MB; else 1 MB."""

    trace: str | None = None


class Ended(msgspec.Struct, frozen=True, gc=False):
    """How an execution ended: with a result, or with an error (as ErrorObject in the service model)."""

    result: str | None
    error: Mapping[str, Any] | None


class Durable(Protocol):
    async def start(self, start: Start) -> str:
        """The ARN of the execution, which is durable then: it begins, or it had begun under this name before.

        Raises `AlreadyStarted`, and `PlatformError` if it could not be kept.
        """
        ...

    async def ended(self, arn: str) -> Ended:
        """Wait for its end, which may be past. Raises `ResourceNotFound`, and `PlatformError` when ondol stops."""
        ...

    async def perform(self, operation: str, caller: Caller, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Do one of AWS's operations on durable executions. As `Control.perform`."""
        ...

    def operations(self) -> frozenset[str]:
        """The operations that `perform` serves."""
        ...

    async def forget_all(self) -> None:
        """Every execution is gone; what runs of one is not run again. Raises `PlatformError`."""
        ...


class Ran(msgspec.Struct, frozen=True, gc=False):
    """The function answered."""

    payload: bytes


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The function reported an error, or timed out, or its process ended."""

    payload: bytes


class Refused(msgspec.Struct, frozen=True, gc=False):
    """It was not run, or nobody knows how it ended."""

    message: str
    gone: bool = False
    """There is no such function, or no such version: it never will be."""

    started: bool = False
    """It may have run."""


RunOutcome = Ran | Failed | Refused


class Run(msgspec.Struct, frozen=True, gc=False):
    """One invocation."""

    function: FunctionKey
    version: str
    payload: bytes
    request: RequestId
    trace: str | None
    tenant: str | None = None


class Runner(Protocol):
    """Who runs functions: a frontend."""

    async def find(self, function: FunctionKey, qualifier: str | None, tenant: str | None = None) -> FunctionVersion:
        """The version that is meant. Raises `ResourceNotFound`, `ResourceConflict` while it cannot be invoked."""
        ...

    async def run(self, run: Run) -> RunOutcome:
        """Run a version once."""
        ...
