"""The worker manager's door."""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

import msgspec

from ondol.model.function import FunctionKey, FunctionVersion, FunctionView
from ondol.model.ids import EnvironmentId, FrontendId, RequestId, VersionId, WorkerId
from ondol.model.invocation import FunctionFailure, ThrottleReason
from ondol.worker.api import DebugObserver


class Environment(msgspec.Struct, frozen=True, gc=False):
    """An execution environment, as those who use it know it."""

    id: EnvironmentId
    worker: WorkerId
    version: VersionId
    provisioned: bool = False
    """Started ahead of invocations, as a part of its version's provisioned concurrency."""


class NoRoom(msgspec.Struct, frozen=True, gc=False):
    """No worker could take an environment in the time that a request may wait. Not a throttle; nothing started."""

    reason: str


class HostFailed(msgspec.Struct, frozen=True, gc=False):
    """The worker could not make the environment: its own fault, not the function's. Nothing started."""

    reason: str


StartFailure = FunctionFailure | ThrottleReason | NoRoom | HostFailed
"""Why the environment that an invocation asked for is not coming: its init failed, it may not grow, no room, ..."""


class Wanted(msgspec.Struct, frozen=True):
    """So many environments of a version are to be ready ahead of invocations."""

    version: FunctionVersion
    n: int
    order: int
    """Another one whenever somebody asks anew: what had failed is tried again."""


class ProvisionStatus(Enum):
    """As on AWS."""

    IN_PROGRESS = "IN_PROGRESS"
    READY = "READY"
    FAILED = "FAILED"


class Provision(msgspec.Struct, frozen=True, gc=False):
    """How far a version has come to what is wanted of it."""

    status: ProvisionStatus
    allocated: int
    """Environments that count; one that is lost and being replaced does."""

    available: int
    """Those that are ready."""

    reason: str | None = None
    """Why it failed."""


class Provisioner(Protocol):
    """Who keeps environments ready ahead of invocations."""

    async def provision(self, function: FunctionKey, wanted: Sequence[Wanted]) -> None:
        """Of this function these versions are to have environments ready, and no others."""
        ...

    async def provision_of(self, version: VersionId) -> Provision | None:
        """How far it has come; None if nothing is wanted of it."""
        ...

    async def provisioned(self, version: VersionId) -> Provision | None:
        """As `provision_of`, once it is not in progress any more."""
        ...


class SessionEnd(msgspec.Struct, frozen=True, gc=False):
    """An environment that was debugged is no more."""

    reason: str
    replaced: bool = False
    """Its version was: another one would have the newer code."""


class DebugSession(DebugObserver, Protocol):
    """Who debugs one environment, as the worker manager sees it."""

    def ready(self) -> None:
        """Its init is over: it takes invocations, and is the first to be taken."""
        ...

    def ended(self, reason: StartFailure | SessionEnd) -> None:
        """It is no more, or never came. Said once, and last."""
        ...


class WorkerManager(Provisioner, Protocol):
    def register(self, holder: "EnvironmentHolder") -> None: ...

    async def want(self, frontend: FrontendId, request: RequestId, version: FunctionVersion) -> None:
        """An invocation waits for an environment and none is idle: start one, for this waiter.

        The answer comes through the holder: `lend`, or `start_failed`.
        """
        ...

    async def debug(
        self, frontend: FrontendId, version: FunctionVersion, port: int | None, session: DebugSession
    ) -> EnvironmentId:
        """Start an environment with a door for debuggers (`Worker.debug`), for nobody who waits.

        It is offered to the frontend like one that was released, and kept until its session is over.
        """
        ...

    async def debugged(self, environment: EnvironmentId) -> None:
        """The session of this environment is over: it is stopped when it is idle next, at once if it is not ready."""
        ...

    async def given_back(self, environment: EnvironmentId) -> None:
        """A holder parts with an environment that was recalled while it was in use."""
        ...

    async def ended(self, environment: EnvironmentId) -> None:
        """A worker says that an environment is no more (it crashed, timed out or was stopped)."""
        ...

    async def retire(self, view: FunctionView | None, function: FunctionKey) -> None:
        """Environments of versions that `view` no longer has are stopped when they are idle next."""
        ...


class EnvironmentHolder(Protocol):
    """A frontend, as the worker manager sees it."""

    @property
    def id(self) -> FrontendId: ...

    def lend(self, environment: Environment) -> None:
        """Use it for whichever invocation waits for its version; keep it idle otherwise."""
        ...

    def offer(self, environment: Environment) -> None:
        """As `lend`, of an environment that no invocation has asked for."""
        ...

    def start_failed(self, request: RequestId, version: VersionId, failure: StartFailure) -> None: ...

    async def recall_environment(self, environment: EnvironmentId, idle_for: int) -> int | None:
        """Give it back if it has been idle for `idle_for` nanoseconds: None means it is given back.

        Otherwise how long, in nanoseconds, until asking again could succeed. One in use that is recalled with
        `idle_for` 0 is wanted back for good: it is given back (`given_back`) as soon as its invocation ends.
        """
        ...
