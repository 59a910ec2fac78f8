"""Placement's door."""

from typing import Protocol

import msgspec

from ondol.model.ids import EnvironmentId, WorkerId


class Demand(msgspec.Struct, frozen=True, gc=False):
    """What a new environment commits a worker to."""

    environment: EnvironmentId
    memory_mb: int
    runtime: str


class Placed(msgspec.Struct, frozen=True, gc=False):
    worker: WorkerId
    reason: str


class Unplaced(msgspec.Struct, frozen=True, gc=False):
    reason: str


class WorkerCapacity(msgspec.Struct, frozen=True, gc=False):
    """A worker as it registers: its whole memory and processors, before overcommitment."""

    worker: WorkerId
    memory_mb: int
    processors: float
    environments: int
    """How many sandboxes it can hold at most, whatever their size."""


class Placement(Protocol):
    async def register(self, capacity: WorkerCapacity) -> None: ...

    async def place(self, demand: Demand) -> Placed | Unplaced:
        """Choose a worker and commit its memory and processor share to the environment."""
        ...

    async def release(self, environment: EnvironmentId) -> None:
        """The environment is no more: what it was committed is free. Unknown ones are ignored."""
        ...
