"""The fleet: which workers there are, what each is committed to, and which of them could win a new environment.

Pure. The decision is `policy.decide`; what is kept here saves it from looking at every worker. Workers of one size are
held in order of what is committed, so the fullest that still fits is found by bisection.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from itertools import islice
from math import ceil

from ondol.model.errors import InvariantError
from ondol.model.ids import EnvironmentId, WorkerId
from ondol.model.limits import FULL_PROCESSOR_MB
from ondol.placement.api import Demand, Placed, Unplaced, WorkerCapacity
from ondol.placement.policy import FILTERS, REFUSALS_TOLD, PlacementLimits, WorkerView, decide

_Size = tuple[int, float, int]
_Position = tuple[int, WorkerId]
"""Orders the workers of one size: the fullest first, then by name, as the policy prefers them."""


class Fleet:
    """All workers. One writer."""

    def __init__(self, limits: PlacementLimits) -> None:
        self._limits = limits
        self._workers: dict[WorkerId, WorkerView] = {}
        self._by_size: dict[_Size, list[_Position]] = {}
        self._placed: dict[EnvironmentId, tuple[WorkerView, int]] = {}

    def joined(self, capacity: WorkerCapacity) -> None:
        """A worker registered. One that is here already stays as it is."""
        if capacity.worker not in self._workers:
            worker = self._workers[capacity.worker] = WorkerView(capacity)
            self._by_size.setdefault(_size(worker), [])
            self._list(worker)

    def place(self, demand: Demand) -> Placed | Unplaced:
        """Choose a worker and commit it."""
        if demand.environment in self._placed:
            raise InvariantError(f"environment {demand.environment} is placed already")
        decision = decide(self._candidates(demand), demand, self._limits)
        if isinstance(decision, Placed):
            worker = self._workers[decision.worker]
            self._commit(worker, demand.memory_mb, 1)
            self._placed[demand.environment] = (worker, demand.memory_mb)
        return decision

    def release(self, environment: EnvironmentId) -> None:
        """What was committed to the environment is free. Unknown ones are ignored."""
        placed = self._placed.pop(environment, None)
        if placed is not None:
            worker, memory_mb = placed
            self._commit(worker, -memory_mb, -1)

    def workers(self) -> list[WorkerView]:
        """What there is, for those who look."""
        return list(self._workers.values())

    def _candidates(self, demand: Demand) -> list[WorkerView]:
        """The best of each size that fits; if there is none, some that do not, so that it can be told why."""
        best = (next(self._fitting(size, demand), None) for size in self._by_size)
        return [worker for worker in best if worker is not None] or list(islice(self._workers.values(), REFUSALS_TOLD))

    def _fitting(self, size: _Size, demand: Demand) -> Iterator[WorkerView]:
        """Workers of this size that can take it, the fullest first."""
        memory_mb, processors, _ = size
        by_memory = memory_mb * self._limits.memory_overcommit
        by_processors = processors * self._limits.processor_overcommit * FULL_PROCESSOR_MB
        most = ceil(min(by_memory, by_processors)) - demand.memory_mb  # rounded up: the filters have the last word
        positions = self._by_size[size]
        for index in range(bisect_left(positions, (-most, "")), len(positions)):
            worker = self._workers[positions[index][1]]
            if not any(fits(worker, demand, self._limits) for fits in FILTERS):
                yield worker

    def _commit(self, worker: WorkerView, memory_mb: int, environments: int) -> None:
        positions = self._by_size[_size(worker)]
        if _takes_more(worker):
            del positions[bisect_left(positions, _position(worker))]
        worker.memory_mb += memory_mb
        worker.environments += environments
        self._list(worker)

    def _list(self, worker: WorkerView) -> None:
        if _takes_more(worker):
            insort(self._by_size[_size(worker)], _position(worker))


def _takes_more(worker: WorkerView) -> bool:
    """Whether it could take an environment, if only that were small enough. The others are not listed."""
    return worker.environments < worker.capacity.environments


def _size(worker: WorkerView) -> _Size:
    return worker.capacity.memory_mb, worker.capacity.processors, worker.capacity.environments


def _position(worker: WorkerView) -> _Position:
    return -worker.memory_mb, worker.capacity.worker
