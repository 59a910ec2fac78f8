"""The kernel and the real services decide the same, in the same order, at the same nanosecond."""

import itertools

import pytest
from faulty_site import scenario

from ondol.counting.service import SWEEP_S
from ondol.frontend.invocations import RENEW_S
from ondol.model.time import SECOND
from ondol.simulator import hosts, kernel, virtual_time
from ondol.simulator.kernel import Kernel
from ondol.simulator.trace import Decision, Site, Trace
from ondol.simulator.workloads import Load
from ondol.simulator.world import World
from ondol.worker import service as worker_service
from ondol.worker_manager import service as manager_service


def decisions(site: Site, trace: Trace, until: int) -> tuple[list[Decision], list[Decision]]:
    """What each decided of one trace."""

    async def in_world() -> list[Decision]:
        return await World(site, trace).run(until)

    in_kernel: list[Decision] = []
    Kernel(site, trace, in_kernel).run(until)
    return in_kernel, virtual_time.run(in_world())


def assert_equal(in_kernel: list[Decision], in_world: list[Decision], seed: int) -> None:
    for number, (one, other) in enumerate(itertools.zip_longest(in_kernel, in_world)):
        assert one == other, f"decision {number} with seed {seed}:\nkernel {one}\nworld  {other}"


@pytest.mark.parametrize("seed", range(8))
def test_faults_limits_and_updates_are_met_with_the_same_decisions(seed: int) -> None:
    played = scenario(seed)
    in_kernel, in_world = decisions(played.site, played.trace, played.until)
    assert_equal(in_kernel, in_world, seed)
    assert {each.what for each in in_kernel} >= {"place", "run", "freeze", "answer", "stop", "ended"}


def test_a_synthetic_load_is_served_by_the_same_decisions() -> None:
    load = Load(1_000, seed=1, frontends=2)
    site = Site(workers=2, frontends=2)
    trace = load.trace()
    until = int(load.span_s * SECOND)
    in_kernel: list[Decision] = []
    Kernel(site, trace, in_kernel).run(until)

    async def in_world() -> list[Decision]:
        return await World(site, load.trace()).run(until)

    assert_equal(in_kernel, virtual_time.run(in_world()), 1)


def test_the_kernels_clocks_are_the_shells() -> None:
    assert hosts.TICK == worker_service.TICK
    assert kernel.TICK == manager_service.TICK
    assert {SWEEP_S, RENEW_S, worker_service.HEARTBEAT_S} == {kernel.HOUSEKEEPING / SECOND}
