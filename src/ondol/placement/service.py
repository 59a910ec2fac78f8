"""Placement's shell: the fleet, in memory, one writer."""

from ondol.model.ids import EnvironmentId
from ondol.placement.api import Demand, Placed, Unplaced, WorkerCapacity
from ondol.placement.machine import Fleet
from ondol.placement.policy import PlacementLimits


class PlacementService:
    def __init__(self, limits: PlacementLimits) -> None:
        self._fleet = Fleet(limits)

    async def register(self, capacity: WorkerCapacity) -> None:
        self._fleet.joined(capacity)

    async def place(self, demand: Demand) -> Placed | Unplaced:
        return self._fleet.place(demand)

    async def release(self, environment: EnvironmentId) -> None:
        self._fleet.release(environment)
