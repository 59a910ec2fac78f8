"""Shards, and steps under way, for whatever comes."""

import math
from collections import Counter
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ondol.events.machine import OWN, SHARED, YOUTH, Dispatch
from ondol.events.policy import QUEUES, SHARD, shard_of, shortest
from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, Region
from ondol.model.time import Instant

names = st.text(st.characters(min_codepoint=45, max_codepoint=122), min_size=1, max_size=64)


def function(name: str) -> FunctionKey:
    return FunctionKey(AccountId("123456789012"), Region("eu-west-1"), name)


@given(names)
def test_a_shard_is_always_the_same_different_queues(name: str) -> None:
    shard = shard_of(function(name))
    assert len(set(shard)) == SHARD and set(shard) <= set(range(QUEUES))
    shard_of.cache_clear()
    assert shard_of(function(name)) == shard


def test_shards_are_spread_evenly_and_hardly_any_two_are_the_same() -> None:
    assert math.comb(QUEUES, SHARD) == 75_287_520
    shards = [frozenset(shard_of(function(f"f{number}"))) for number in range(2000)]
    used = Counter(queue for shard in shards for queue in shard)
    assert min(used.values()) > 50 and max(used.values()) < 160, "each queue should be in 100 of them"
    assert len(set(shards)) == len(shards)
    overlapping = sum(len(one & other) >= SHARD - 1 for one, other in combinations(shards[:500], 2))
    assert overlapping <= 5


@given(st.lists(st.integers(0, 1000), min_size=QUEUES, max_size=QUEUES), names)
def test_the_shortest_of_the_shard_is_taken(loads: list[int], name: str) -> None:
    shard = shard_of(function(name))
    assert loads[shortest(shard, loads.__getitem__)] == min(loads[queue] for queue in shard)


class Dispatching(RuleBasedStateMachine):
    """Takers that obey `room`, and steps that end as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.dispatch = Dispatch()
        self.now = 0
        self.steps = 0
        self.under_way: dict[int, str] = {}
        self.stalled: set[str] = set()

    def released(self, queues: list[str]) -> None:
        assert set(queues) <= self.stalled, "who does not wait is not told"
        self.stalled -= set(queues)

    @rule(queue=st.sampled_from("abcdefgh"))
    def take(self, queue: str) -> None:
        if queue in self.stalled:
            return
        room = self.dispatch.room(queue)
        if room == 0:
            self.stalled.add(queue)
        for _ in range(room):
            self.steps += 1
            self.dispatch.began(self.steps, queue)
            self.under_way[self.steps] = queue

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def run(self, data: st.DataObject) -> None:
        self.dispatch.running(data.draw(st.sampled_from(sorted(self.under_way))), Instant(self.now))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        step = data.draw(st.sampled_from(sorted(self.under_way)))
        del self.under_way[step]
        self.released(self.dispatch.ended(step, Instant(self.now)))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        step = data.draw(st.sampled_from(sorted(self.under_way)))
        del self.under_way[step]
        self.dispatch.refused(step, Instant(self.now))

    @rule(passed=st.integers(1, 2 * YOUTH))
    def age(self, passed: int) -> None:
        self.now += passed
        self.released(self.dispatch.aged(Instant(self.now)))

    @invariant()
    def young_steps_keep_within_what_is_shared(self) -> None:
        beyond = sum(max(0, self.dispatch.young(queue) - OWN) for queue in "abcdefgh")
        assert beyond <= SHARED

    @invariant()
    def nobody_waits_while_there_is_room(self) -> None:
        beyond = sum(max(0, self.dispatch.young(queue) - OWN) for queue in "abcdefgh")
        for queue in self.stalled:
            assert self.dispatch.young(queue) >= OWN
        assert not self.stalled or beyond == SHARED or len(self.stalled) < 8

    def teardown(self) -> None:
        for step in list(self.under_way):
            self.released(self.dispatch.ended(step, Instant(self.now)))
        self.released(self.dispatch.aged(Instant(self.now + YOUTH)))
        assert not self.stalled, "somebody waits for ever"


TestDispatching = Dispatching.TestCase
