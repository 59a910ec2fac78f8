"""What a simulation cost and how it went, summed up as it runs."""

from collections import Counter

from ondol.model.ids import EnvironmentId, WorkerId
from ondol.model.invocation import FunctionFailure
from ondol.model.time import Instant
from ondol.worker_manager.api import HostFailed, NoRoom, StartFailure

ANSWERED = "answered"
GONE = "client gone"
ABANDONED = "environment stopped"
NO_ROOM = "no room"
HOST_FAILED = "host failed"


class Figures:
    """Sums, kept by the kernel. Times are nanoseconds, memory is megabytes."""

    def __init__(self) -> None:
        self.calls = 0
        self.told: Counter[str] = Counter()
        """What clients were told, `ANSWERED` being the good news."""

        self.runs = 0
        self.cold_runs = 0
        """Invocations that were an environment's first."""

        self.starts = 0
        self.busy_mb_ns = 0
        """Memory of environments times the time that an invocation ran in them."""

        self.committed_mb_ns = 0
        self.committed_mb = 0
        self.peak_committed_mb = 0
        self.peak_environments = 0
        self.workers_used: set[WorkerId] = set()
        self.until = Instant(0)
        """How far the simulation has come."""

        self._commitments: dict[EnvironmentId, tuple[int, Instant]] = {}

    def committed(self, environment: EnvironmentId, worker: WorkerId, memory_mb: int, now: Instant) -> None:
        """A worker was committed to an environment."""
        self._commitments[environment] = (memory_mb, now)
        self.workers_used.add(worker)
        self.committed_mb += memory_mb
        self.peak_committed_mb = max(self.peak_committed_mb, self.committed_mb)
        self.peak_environments = max(self.peak_environments, len(self._commitments))

    def released(self, environment: EnvironmentId, now: Instant) -> None:
        memory_mb, since = self._commitments.pop(environment)
        self.committed_mb -= memory_mb
        self.committed_mb_ns += memory_mb * (now - since)

    def close(self, now: Instant) -> None:
        """It is over: charge what is still committed up to now."""
        self.until = now
        for environment in list(self._commitments):
            memory_mb, since = self._commitments[environment]
            self.committed_mb_ns += memory_mb * (now - since)
            self._commitments[environment] = (memory_mb, now)

    @property
    def answers(self) -> int:
        """How many clients were told something, be it good or bad."""
        return self.told.total()


def outcome(failure: FunctionFailure | None) -> str:
    """How the report calls the result of an invocation that ran."""
    return ANSWERED if failure is None else failure.error_type


def refusal(failure: StartFailure) -> str:
    """How the report calls the reason why one did not run."""
    if isinstance(failure, FunctionFailure):
        return f"init: {failure.error_type}"
    if isinstance(failure, NoRoom):
        return NO_ROOM
    if isinstance(failure, HostFailed):
        return HOST_FAILED
    return failure.value
