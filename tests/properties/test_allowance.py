"""The bandwidth rule of streamed results, for whatever a function writes and whenever."""

from hypothesis import given
from hypothesis import strategies as st

from ondol.model.limits import STREAMED, StreamedResponse
from ondol.model.time import SECOND, Instant
from ondol.worker.allowance import Allowance, Share

MB = 1 << 20

Writes = list[tuple[int, int]]
"""Bytes, and how many nanoseconds after the last piece had gone they were written."""


def departures(limits: StreamedResponse, writes: Writes) -> list[tuple[int, int]]:
    """When each piece went, and how many bytes had gone by then."""
    allowance = Allowance(limits, Instant(0))
    now = gone = 0
    told = []
    for size, pause_ns in writes:
        now += pause_ns
        share = allowance.take(size, Instant(now))
        now += share.wait_ns
        gone += share.size
        told.append((now, gone))
    return told


any_limits = st.builds(
    StreamedResponse,
    total_bytes=st.integers(1, 10_000),
    burst_bytes=st.integers(1, 1_000),
    bytes_per_s=st.integers(1, 1_000_000),
)
any_writes = st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 3 * SECOND)), max_size=40)


@given(any_limits, any_writes)
def test_no_more_goes_than_burst_and_rate_allow(limits: StreamedResponse, writes: Writes) -> None:
    for now, gone in departures(limits, writes):
        assert gone * SECOND <= limits.burst_bytes * SECOND + now * limits.bytes_per_s
        assert gone <= limits.total_bytes


@given(any_limits, any_writes)
def test_all_goes_up_to_the_limit(limits: StreamedResponse, writes: Writes) -> None:
    written = sum(size for size, _ in writes)
    gone = departures(limits, writes)[-1][1] if writes else 0
    assert gone == min(written, limits.total_bytes)


@given(any_limits, any_writes)
def test_nothing_waits_longer_than_it_must(limits: StreamedResponse, writes: Writes) -> None:
    """Written without a pause it has gone as soon as the rate has made good what the burst has not, to a nanosecond."""
    told = departures(limits, [(size, 0) for size, _ in writes])
    for waits, (now, gone) in enumerate(told, start=1):
        due = -(-max(0, gone - limits.burst_bytes) * SECOND // limits.bytes_per_s)
        assert due <= now < due + waits


def test_aws_figures() -> None:
    assert Allowance(STREAMED, Instant(0)).take(6 * MB, Instant(0)) == Share(6 * MB, 0)
    told = departures(STREAMED, [(MB, 0)] * 201)
    assert [now for now, _ in told[:9]] == [*[0] * 6, SECOND // 2, SECOND, 3 * SECOND // 2]
    assert told[-1] == (97 * SECOND, 200 * MB)


def test_a_function_that_writes_seldom_is_never_held_up() -> None:
    paced = [(MB, SECOND)] * 100
    assert [now for now, _ in departures(STREAMED, paced)] == [i * SECOND for i in range(1, 101)]


def test_a_piece_across_the_limit_goes_in_part() -> None:
    allowance = Allowance(StreamedResponse(total_bytes=10), Instant(0))
    assert allowance.take(7, Instant(0)).size == 7
    assert allowance.take(7, Instant(0)).size == 3
    assert allowance.take(7, Instant(0)) == Share(0, 0)
