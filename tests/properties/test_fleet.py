"""The fleet's index changes no decision: whoever wins among all workers wins among those that it considers."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.model.ids import EnvironmentId, WorkerId
from ondol.placement.api import Demand, Placed, WorkerCapacity
from ondol.placement.machine import Fleet
from ondol.placement.policy import PlacementLimits, decide

SIZES = st.tuples(st.sampled_from([1024, 2048, 4096]), st.sampled_from([0.25, 1.0, 2.0]), st.integers(1, 4))
DEMANDS = st.sampled_from([128, 129, 512, 1024, 1769, 3008, 10_240])


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(SIZES, max_size=8),
    overcommit=st.sampled_from([1.0, 1.5, 2.3, 10.0]),
    steps=st.lists(st.one_of(DEMANDS, st.none()), max_size=40),
    data=st.data(),
)
def test_the_index_decides_as_a_look_at_all_workers_would(
    sizes: list[tuple[int, float, int]], overcommit: float, steps: list[int | None], data: st.DataObject
) -> None:
    limits = PlacementLimits(overcommit, 2.0)
    fleet = Fleet(limits)
    for number, (memory_mb, processors, environments) in enumerate(sizes):
        fleet.joined(WorkerCapacity(WorkerId(f"w{number}"), memory_mb, processors, environments))
    placed: list[EnvironmentId] = []
    for number, memory_mb in enumerate(steps):
        if memory_mb is None:
            if placed:
                fleet.release(placed.pop(data.draw(st.integers(0, len(placed) - 1))))
            continue
        demand = Demand(EnvironmentId(str(number)), memory_mb, "python3.11")
        expected = decide(fleet.workers(), demand, limits)
        assert fleet.place(demand) == expected
        if isinstance(expected, Placed):
            placed.append(demand.environment)
    for environment in placed:
        fleet.release(environment)
    assert all(worker.memory_mb == worker.environments == 0 for worker in fleet.workers())
