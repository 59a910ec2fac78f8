"""What a simulation is given, the same for the kernel and the world: a site, functions, and what happens to them.

Pure data. Chance has had its say when a trace is made: two runs of one trace do the same.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import Enum

import msgspec

from ondol.counting.api import Pool
from ondol.frontend.machine import Provisioned
from ondol.model.function import LATEST, FunctionKey, FunctionVersion, LogSettings
from ondol.model.ids import AccountId, CodeDigest, Region, VersionId, WorkerId
from ondol.model.limits import AccountLimits, KeepAlive, Phases
from ondol.model.time import MILLISECOND, Instant
from ondol.placement.api import WorkerCapacity
from ondol.placement.policy import PlacementLimits

ACCOUNT = AccountId("000000000000")
REGION = Region("us-east-1")
RUNTIME = "python3.11"


class Site(msgspec.Struct, frozen=True):
    """The machines, and the limits that they are run under."""

    workers: int = 1000
    worker_memory_mb: int = 2048
    worker_processors: float = 2.0
    worker_environments: int = 64
    frontends: int = 1
    limits: AccountLimits = AccountLimits()
    keep_alive: KeepAlive = KeepAlive()
    phases: Phases = Phases()
    placement: PlacementLimits = PlacementLimits()
    stop: int = 20 * MILLISECOND + 1
    """How long it takes until nothing of a sandbox remains. No multiple of a tick, as nothing is in nature."""

    def capacities(self) -> list[WorkerCapacity]:
        """What each worker registers with."""
        memory, processors, environments = self.worker_memory_mb, self.worker_processors, self.worker_environments
        names = (WorkerId(f"worker-{number:05}") for number in range(self.workers))
        return [WorkerCapacity(name, memory, processors, environments) for name in names]


class Ending(Enum):
    """How an init or an invocation ends, if nothing ends it before."""

    WELL = "well"
    RAISE = "raise"
    """The runtime reports an error."""

    DIE = "die"
    """The runtime process exits without a word."""

    HANG = "hang"
    """Never."""


class Function(msgspec.Struct, frozen=True):
    """A function of the simulated account."""

    name: str
    memory_mb: int
    timeout_s: int = 900
    reserved_concurrency: int | None = None

    @property
    def key(self) -> FunctionKey:
        return FunctionKey(ACCOUNT, REGION, self.name)

    @property
    def pool(self) -> Pool:
        """Where its permits come from, but for those that are provisioned."""
        return Pool(ACCOUNT, REGION, None if self.reserved_concurrency is None else self.name)

    def provisioned(self, version: VersionId, n: int) -> Provisioned | None:
        """What this version draws from first, if so much is provisioned for it."""
        return Provisioned(Pool(ACCOUNT, REGION, self.name, version), n) if n else None

    def version(self, revision: int) -> FunctionVersion:
        """What runs after so many updates."""
        return FunctionVersion(
            VersionId(f"{self.name}/{revision}"),
            function=self.key,
            version=LATEST,
            runtime=RUNTIME,
            handler="index.handler",
            code=CodeDigest(f"{self.name}-{revision}"),
            role=f"arn:aws:iam::{ACCOUNT}:role/simulated",
            memory_mb=self.memory_mb,
            timeout_s=self.timeout_s,
            tmp_mb=512,
            environment={},
            logs=LogSettings(f"/aws/lambda/{self.name}"),
        )


class Call(msgspec.Struct, frozen=True, gc=False):
    """One invocation, as its client makes it and the function answers it."""

    at: Instant
    function: int
    duration: int
    """Nanoseconds that the function runs for."""

    frontend: int = 0
    ending: Ending = Ending.WELL
    patience: int | None = None
    """After so many nanoseconds its client goes away."""


class Update(msgspec.Struct, frozen=True, gc=False):
    """A function gets another version."""

    at: Instant
    function: int


class Provisioning(msgspec.Struct, frozen=True, gc=False):
    """From now on so much concurrency is provisioned for whichever version of a function is current."""

    at: Instant
    function: int
    n: int


class Init(msgspec.Struct, frozen=True, gc=False):
    """How the start of one environment goes, from the taking of its slot to its first `next`."""

    duration: int
    ending: Ending = Ending.WELL


class Trace(msgspec.Struct, frozen=True):
    """All that happens to a site."""

    functions: Sequence[Function]
    calls: Iterable[Call]
    """In order of time."""

    init: Callable[[int], Init]
    """Of the environment with this number, from 1 on."""

    updates: Sequence[Update] = ()
    provisioned: Sequence[Provisioning] = ()


class Decision(msgspec.Struct, frozen=True, gc=False, order=True):
    """What the platform decided or told, and when: an entry of the logs that kernel and world are compared by."""

    at: Instant
    what: str
    """place, run, freeze, answer, refuse, fail, gone, stop or ended."""

    request: str = ""
    environment: str = ""
    detail: str = ""
