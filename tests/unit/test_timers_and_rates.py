"""The timer wheel and the token bucket."""

from hypothesis import given
from hypothesis import strategies as st

from ondol.model.rate import TokenBucket
from ondol.model.time import MILLISECOND, SECOND, Instant
from ondol.model.timers import TimerWheel

TICK = 5 * MILLISECOND


@given(st.lists(st.integers(0, 10**10)), st.lists(st.integers(0, 10**10)))
def test_each_timer_fires_once_never_early_and_at_most_a_tick_late(instants: list[int], looks: list[int]) -> None:
    wheel: TimerWheel[int] = TimerWheel(TICK)
    for at in instants:
        wheel.set(at, Instant(at))
    assert len(wheel) == len(instants)
    fired: list[int] = []
    for now in sorted(looks):
        due = wheel.advance(Instant(now))
        assert all(at <= now for at in due)
        fired += due
        assert all(at > now - TICK for at in instants if at not in fired)
    assert sorted(fired + wheel.advance(Instant(10**11))) == sorted(instants)
    assert wheel.next_tick is None


def test_a_bucket_starts_full_and_gains_evenly() -> None:
    bucket = TokenBucket(3, 2, Instant(0))
    assert [bucket.take(Instant(0)) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(Instant(SECOND // 2 - 1))
    assert bucket.take(Instant(SECOND // 2))
    assert not bucket.take(Instant(SECOND // 2 + 1))


def test_a_bucket_saves_up_no_more_than_it_holds() -> None:
    bucket = TokenBucket(3, 2, Instant(0))
    assert sum(bucket.take(Instant(3600 * SECOND)) for _ in range(9)) == 3
    assert bucket.full_at == Instant(3600 * SECOND + 3 * SECOND // 2)


def test_resizing_keeps_what_fits() -> None:
    bucket = TokenBucket(10, 1, Instant(0))
    bucket.resize(2, 1, Instant(0))
    assert sum(bucket.take(Instant(0)) for _ in range(9)) == 2


@given(st.lists(st.tuples(st.integers(0, SECOND), st.integers(1, 5)), max_size=50), st.integers(1, 50))
def test_a_bucket_never_gives_more_than_capacity_and_rate_allow(steps: list[tuple[int, int]], rate: int) -> None:
    bucket = TokenBucket(5, rate, Instant(0))
    now = taken = 0
    for wait, n in steps:
        now += wait
        taken += n if bucket.take(Instant(now), n) else 0
        assert taken <= 5 + now * rate / SECOND
