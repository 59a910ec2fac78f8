"""Shuffle sharding: the load of one function is hardly felt by the others. Run by the real service in virtual time."""

from msgspec.structs import replace

from ondol.model.time import MILLISECOND, SECOND
from ondol.simulator.neighbours import Ages, Neighbour, ages, p99

NOISE = 100
UNMOVED_MS = 1.0
OTHERS = [Neighbour(f"f{number}", 1.0, 20 * MILLISECOND) for number in range(100)]
LOUD = Neighbour("loud", 1.0, 2 * SECOND, most_at_once=100)
SPAN_S = 60.0


def moved(before: Ages, after: Ages) -> list[str]:
    """The functions whose events begin later by what somebody could notice."""
    return [each.name for each in OTHERS if p99(after[each.name]) > p99(before[each.name]) + UNMOVED_MS]


def test_a_hundredfold_load_on_one_function_leaves_the_others_unmoved() -> None:
    loud = replace(LOUD, events_per_s=NOISE * LOUD.events_per_s)
    before = ages([*OTHERS, LOUD], SPAN_S, seed=1)
    after = ages([*OTHERS, loud], SPAN_S, seed=1)
    assert p99(after["loud"]) > 1000, "it was not loud enough to wait"
    assert len(moved(before, after)) <= len(OTHERS) * 0.05


def test_in_one_queue_for_all_the_others_would_wait_with_it() -> None:
    loud = replace(LOUD, events_per_s=NOISE * LOUD.events_per_s)
    after = ages([*OTHERS, loud], SPAN_S, seed=1, shard=lambda function: (0,))
    assert len(moved(ages(OTHERS, SPAN_S, seed=1), after)) > len(OTHERS) * 0.5
