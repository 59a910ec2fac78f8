"""What the machine of the worker manager asks of its shell, and of the simulator's kernel.

Pure data: how each is done is `service.py`'s.
"""

import msgspec

from ondol.model.function import FunctionKey, FunctionVersion
from ondol.model.ids import EnvironmentId, FrontendId, RequestId, VersionId, WorkerId
from ondol.model.time import Instant
from ondol.placement.api import Demand
from ondol.worker_manager.api import Environment, SessionEnd, StartFailure


class AskGrowth(msgspec.Struct, frozen=True, gc=False):
    """Ask counting whether this function may have one more environment."""

    environment: EnvironmentId
    function: FunctionKey


class Place(msgspec.Struct, frozen=True, gc=False):
    demand: Demand


class Start(msgspec.Struct, frozen=True, gc=False):
    environment: EnvironmentId
    worker: WorkerId
    version: FunctionVersion
    cause: RequestId
    reason: str
    """Why this worker."""

    provisioned: bool = False


class Lend(msgspec.Struct, frozen=True, gc=False):
    frontend: FrontendId
    environment: Environment


class Offer(msgspec.Struct, frozen=True, gc=False):
    """Lend what nobody waits for: an environment with a debugger, or a provisioned one."""

    frontend: FrontendId
    environment: Environment


class EndSession(msgspec.Struct, frozen=True, gc=False):
    """Tell who debugs this environment that it is no more, or never comes."""

    environment: EnvironmentId
    reason: StartFailure | SessionEnd


class ShutOut(msgspec.Struct, frozen=True, gc=False):
    """Let debuggers go from this environment."""

    environment: EnvironmentId
    worker: WorkerId


class TellFailure(msgspec.Struct, frozen=True, gc=False):
    """Tell the invocation that caused the start why nothing comes of it."""

    frontend: FrontendId
    request: RequestId
    version: VersionId
    failure: StartFailure


class Recall(msgspec.Struct, frozen=True, gc=False):
    frontend: FrontendId
    environment: EnvironmentId
    idle_for: int


class Stop(msgspec.Struct, frozen=True, gc=False):
    environment: EnvironmentId
    worker: WorkerId
    reason: str


class Release(msgspec.Struct, frozen=True, gc=False):
    """Tell placement that what was committed is free."""

    environment: EnvironmentId


class SetTimer(msgspec.Struct, frozen=True, gc=False):
    """Come back with `timer_due` at `at`."""

    environment: EnvironmentId
    generation: int
    at: Instant


class Begin(msgspec.Struct, frozen=True, gc=False):
    """Make one more environment of this version, and say which (`begun`)."""

    version: FunctionVersion


class Dismiss(msgspec.Struct, frozen=True, gc=False):
    """This environment is not needed any more, or has been replaced."""

    environment: EnvironmentId
    reason: str


class WakeAt(msgspec.Struct, frozen=True, gc=False):
    """Come back with `woken` at `at`."""

    version: VersionId
    at: Instant


class Settled(msgspec.Struct, frozen=True, gc=False):
    """This version's target is not in progress any more: reached, failed, or given up."""

    version: VersionId


Step = Begin | Dismiss | WakeAt | Settled
"""What the targets of provisioned concurrency ask for; the machine itself sees to it that dismissed ones go."""

Command = (
    AskGrowth
    | Place
    | Start
    | Lend
    | Offer
    | TellFailure
    | EndSession
    | ShutOut
    | Recall
    | Stop
    | Release
    | SetTimer
    | Begin
    | WakeAt
    | Settled
)
