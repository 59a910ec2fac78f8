"""How many steps of each queue may be under way."""

import pytest

from ondol.events.machine import OWN, SHARED, YOUTH, Dispatch
from ondol.model.errors import InvariantError
from ondol.model.time import Instant


def begin(dispatch: Dispatch, queue: str, first: int) -> list[int]:
    """Begin as many steps as there is room for."""
    steps: list[int] = []
    while room := dispatch.room(queue):
        for _ in range(room):
            steps.append(first + len(steps))
            dispatch.began(steps[-1], queue)
    return steps


def test_one_queue_may_have_its_own_and_all_the_shared_ones_and_the_others_still_have_theirs() -> None:
    dispatch = Dispatch()
    assert len(begin(dispatch, "loud", 0)) == OWN + SHARED
    assert dispatch.room("loud") == 0
    for number in range(5):
        assert len(begin(dispatch, f"quiet-{number}", 1000 * (number + 1))) == OWN


def test_what_ends_makes_room_for_who_has_waited_longest() -> None:
    dispatch = Dispatch()
    loud = begin(dispatch, "loud", 0)
    quiet = begin(dispatch, "quiet", 1000)
    assert dispatch.ended(loud[0], Instant(0)) == ["loud"]
    assert dispatch.room("loud") == 1
    dispatch.began(2000, "loud")
    assert dispatch.room("loud") == 0
    assert dispatch.ended(loud[1], Instant(0)) == ["quiet"]
    assert dispatch.room("quiet") == 1
    assert dispatch.ended(quiet[0], Instant(0)) == [], "it has not said that it is stalled again"
    assert dispatch.ended(loud[2], Instant(0)) == ["loud"]


def test_steps_that_run_for_long_are_not_counted_and_those_that_wait_are() -> None:
    dispatch = Dispatch()
    steps = begin(dispatch, "q", 0)
    assert dispatch.room("q") == 0 and dispatch.ages_at is None
    for step in steps[:5]:
        dispatch.running(step, Instant(7))
    assert dispatch.ages_at == 7 + YOUTH
    assert dispatch.aged(Instant(6 + YOUTH)) == []
    assert dispatch.aged(Instant(7 + YOUTH)) == ["q"]
    assert dispatch.room("q") == 5
    for step in steps:
        dispatch.ended(step, Instant(8 + YOUTH))
    assert len(begin(dispatch, "q", 1000)) == OWN + SHARED


def test_steps_do_not_age_while_their_queue_turns_over_fast() -> None:
    dispatch = Dispatch()
    now = Instant(10 * YOUTH)
    steps = begin(dispatch, "q", 0)
    slow, fast = steps[0], steps[1:]
    dispatch.running(slow, now)
    for step in fast:
        dispatch.ended(step, now)
    later = begin(dispatch, "q", 1000)
    dispatch.ended(later[1], now)
    begin(dispatch, "q", 2000)
    assert dispatch.room("q") == 0
    assert dispatch.aged(Instant(now + YOUTH)) == []
    assert dispatch.ages_at == now + 2 * YOUTH
    assert dispatch.aged(Instant(now + 3 * YOUTH)) == ["q"]


def test_a_step_does_not_begin_twice() -> None:
    dispatch = Dispatch()
    dispatch.began(1, "q")
    with pytest.raises(InvariantError):
        dispatch.began(1, "q")


def test_a_refused_step_keeps_its_place_for_a_while_and_may_begin_again_meanwhile() -> None:
    dispatch = Dispatch()
    now = Instant(10 * YOUTH)
    steps = begin(dispatch, "q", 0)
    dispatch.refused(steps[0], now)
    assert dispatch.room("q") == 0
    assert dispatch.ended(steps[1], now) == ["q"]
    dispatch.began(steps[0], "q")
    assert dispatch.room("q") == 0
    assert dispatch.aged(Instant(now + YOUTH)) == ["q"]
    assert dispatch.room("q") == 1
