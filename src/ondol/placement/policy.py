"""Which worker gets an environment: filter, score, pick.

Pure. A worker is committed to the memory of the environments on it, and to processors in proportion; it may be
committed to several times what it has, because most of what is committed is not used at one time.
"""

from collections.abc import Callable, Iterable

import msgspec

from ondol.model.ids import WorkerId
from ondol.model.limits import FULL_PROCESSOR_MB
from ondol.placement.api import Demand, Placed, Unplaced, WorkerCapacity

REFUSALS_TOLD = 3
"""Of so many workers the reason is told when none has room."""


class PlacementLimits(msgspec.Struct, frozen=True):
    memory_overcommit: float = 10.0
    """How many times a worker's memory may be committed. AWS goes up to 10 in production."""

    processor_overcommit: float = 100.0
    """The same for processors, which an environment uses only while it runs: between invocations it is frozen."""


class WorkerView:
    """A worker and what it is committed to."""

    __slots__ = ("capacity", "environments", "memory_mb")

    def __init__(self, capacity: WorkerCapacity) -> None:
        self.capacity = capacity
        self.memory_mb = 0
        self.environments = 0

    @property
    def processors(self) -> float:
        """Processors committed: a function's share comes with its memory."""
        return self.memory_mb / FULL_PROCESSOR_MB


Filter = Callable[[WorkerView, Demand, PlacementLimits], str | None]
"""Why this worker cannot take the environment; None if it can."""


def _has_sandboxes(worker: WorkerView, demand: Demand, limits: PlacementLimits) -> str | None:
    full = worker.environments >= worker.capacity.environments
    return f"holds {worker.environments} environments, its most" if full else None


def _has_memory(worker: WorkerView, demand: Demand, limits: PlacementLimits) -> str | None:
    room = worker.capacity.memory_mb * limits.memory_overcommit - worker.memory_mb
    return f"has {room:.0f} MB left to commit" if room < demand.memory_mb else None


def _has_processors(worker: WorkerView, demand: Demand, limits: PlacementLimits) -> str | None:
    room = worker.capacity.processors * limits.processor_overcommit - worker.processors
    return f"has {room:.2f} processors left to commit" if room < demand.memory_mb / FULL_PROCESSOR_MB else None


FILTERS: tuple[Filter, ...] = (_has_sandboxes, _has_memory, _has_processors)


def best_fit(worker: WorkerView, demand: Demand, limits: PlacementLimits) -> float:
    """The fuller the better: load is concentrated, so that whole workers can be given up."""
    return (worker.memory_mb + demand.memory_mb) / (worker.capacity.memory_mb * limits.memory_overcommit)


def decide(workers: Iterable[WorkerView], demand: Demand, limits: PlacementLimits) -> Placed | Unplaced:
    """The worker with the highest score among those that no filter excludes; ties go to the lowest name."""
    refusals: list[str] = []
    best: tuple[float, WorkerId] | None = None
    for worker in workers:
        name = worker.capacity.worker
        reason = next((reason for fits in FILTERS if (reason := fits(worker, demand, limits))), None)
        if reason is not None:
            refusals.append(f"{name} {reason}")
            continue
        score = best_fit(worker, demand, limits)
        if best is None or score > best[0] or (score == best[0] and name < best[1]):
            best = (score, name)
    if best is None:
        return Unplaced("; ".join(refusals[:REFUSALS_TOLD]) or "there is no worker")
    return Placed(best[1], f"best fit: {best[0]:.1%} of what may be committed")
