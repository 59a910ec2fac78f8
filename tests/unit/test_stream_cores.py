"""How a shard is worked off: retries, bisection, age, windows, checkpoints, and which shard's turn it is."""

import time
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, Region
from ondol.model.time import SECOND, Instant, WallTime
from ondol.pollers.api import Failed, Mapping, StreamSettings
from ondol.pollers.destinations import failure_record
from ondol.pollers.lane import STATE_BYTES, Attempt, Discard, Lane, StreamRecord, Window
from ondol.pollers.progress import Progress
from ondol.pollers.shards import (
    Position,
    PositionKind,
    Shard,
    begin,
    first_position,
    past_end,
    readable,
)
from ondol.pollers.stream_events import first_failure, payload_of, state_of

NOW, WALL = Instant(0), WallTime(1_000_000)


def record(number: int, arrival: int = WALL) -> StreamRecord:
    return StreamRecord(str(number), "key", WallTime(arrival), b"%d" % number)


def numbers(records: Iterable[StreamRecord]) -> list[int]:
    return [int(each.sequence) for each in records]


def lane(count: int = 4, batch_size: int = 100, **settings: Any) -> Lane:
    made = Lane(StreamSettings("LATEST", **settings), batch_size, 0)
    for number in range(count):
        made.add(record(number), NOW)
    return made


def attempt(of: Lane, now: Instant = NOW, wall: WallTime = WALL) -> Attempt:
    step = of.next(now, wall)
    assert isinstance(step, Attempt)
    return step


# Retries


def test_a_batch_that_fails_comes_again_later_and_holds_up_the_next() -> None:
    of = lane(4, batch_size=2)
    assert numbers(attempt(of).records) == [0, 1]
    assert of.failed(0, NOW) == ((), None)
    assert of.next(NOW, WALL) is None
    wait = of.due_in(NOW, WALL)
    assert wait is not None and wait > 0
    assert numbers(attempt(of, Instant(wait)).records) == [0, 1]
    assert numbers(of.succeeded()) == [0, 1]
    assert numbers(attempt(of, Instant(wait)).records) == [2, 3]


def test_retries_have_an_end() -> None:
    of = lane(2, maximum_retries=2)
    later = NOW
    for _ in range(2):
        attempt(of, later)
        assert of.failed(0, later)[1] is None
        later = Instant(later + 60 * SECOND)
    attempt(of, later)
    _, discard = of.failed(0, later)
    assert discard is not None
    assert (numbers(discard.records), discard.condition, discard.invocations) == ([0, 1], "RetryAttemptsExhausted", 3)
    assert numbers(of.discarded(discard)) == [0, 1]
    assert of.next(later, WALL) is None


def test_a_throttle_counts_for_nothing() -> None:
    of = lane(1, maximum_retries=0)
    later = NOW
    for _ in range(5):
        assert attempt(of, later).invocations == 0
        of.not_run(later)
        later = Instant(later + 60 * SECOND)
    assert attempt(of, later).retries == 0


def test_bisection_finds_the_bad_record() -> None:
    of = lane(5, bisect=True, maximum_retries=0)
    tried, told = [], []
    while (step := of.next(NOW, WALL)) is not None:
        assert isinstance(step, Attempt)
        tried.append(numbers(step.records))
        if "2" not in [each.sequence for each in step.records]:
            of.succeeded()
        elif (discard := of.failed(0, NOW)[1]) is not None:
            told.append(numbers(discard.records))
            of.discarded(discard)
    assert tried == [[0, 1, 2, 3, 4], [0, 1, 2], [0, 1], [2], [3, 4]]
    assert told == [[2]]


def test_what_precedes_a_reported_failure_is_done() -> None:
    of = lane(4)
    attempt(of)
    done, discard = of.failed(2, NOW)
    assert (numbers(done), discard) == ([0, 1], None)
    assert numbers(attempt(of, Instant(SECOND)).records) == [2, 3]
    splitting = lane(4, bisect=True)
    attempt(splitting)
    splitting.failed(1, NOW)
    assert numbers(attempt(splitting).records) == [1, 2, 3]


def test_what_is_too_old_is_given_up_before_it_is_tried() -> None:
    of = Lane(StreamSettings("LATEST", maximum_age_s=60), 100, 0)
    for number, age_s in enumerate((90, 61, 59, 0)):
        of.add(record(number, WALL - age_s * 1000), NOW)
    step = of.next(NOW, WALL)
    assert isinstance(step, Discard)
    assert (numbers(step.records), step.condition, step.invocations) == ([0, 1], "RecordAgeExceeded", 0)
    assert numbers(of.discarded(step)) == [0, 1]
    assert numbers(attempt(of).records) == [2, 3]


def test_a_batching_window_gathers() -> None:
    of = Lane(StreamSettings("LATEST"), 3, 5)
    of.add(record(0), NOW)
    assert of.next(NOW, WALL) is None
    assert of.due_in(Instant(SECOND), WALL) == 4 * SECOND
    of.add(record(1), NOW)
    of.add(record(2), NOW)
    assert len(attempt(of).records) == 3


# Tumbling windows


def tumbling(arrivals: list[int]) -> Lane:
    of = Lane(StreamSettings("LATEST", tumbling_window_s=10), 100, 0)
    for number, arrival_s in enumerate(arrivals):
        of.add(record(number, arrival_s * 1000), NOW)
    return of


def test_a_window_hands_on_its_state_and_is_closed_by_the_next() -> None:
    of = tumbling([11, 15, 22])
    seen = []
    wall = WallTime(25_000)
    while isinstance(step := of.next(NOW, wall), Attempt):
        assert step.window is not None
        seen.append((step.window.start // 1000, step.window.state, numbers(step.records), step.final))
        of.succeeded(b'{"n":%d}' % len(seen))
    assert seen == [
        (10, b"{}", [0, 1], False),
        (10, b'{"n":1}', [], True),
        (20, b"{}", [2], False),
    ]
    assert of.window == Window(WallTime(20_000), b'{"n":3}')
    assert of.due_in(NOW, wall) == 5 * SECOND
    assert attempt(of, NOW, WallTime(30_000)).final
    of.succeeded(None)
    assert of.window is None
    assert of.due_in(NOW, wall) is None


def test_late_records_count_for_the_open_window() -> None:
    of = tumbling([21])
    attempt(of, NOW, WallTime(22_000))
    of.succeeded(b"1")
    of.add(record(7, 19_000), NOW)
    late = attempt(of, NOW, WallTime(23_000))
    assert late.window == Window(WallTime(20_000), b"1")
    of.succeeded(b"2")
    assert of.window == Window(WallTime(20_000), b"2")


def test_a_state_that_is_too_large_closes_the_window_early() -> None:
    of = tumbling([11])
    attempt(of, NOW, WallTime(12_000))
    of.succeeded(b"1" * (STATE_BYTES + 1))
    last = attempt(of, NOW, WallTime(12_000))
    assert (last.final, last.early) == (True, True)


def test_a_window_survives_a_restart() -> None:
    of = Lane(StreamSettings("LATEST", tumbling_window_s=10), 100, 0, Window(WallTime(10_000), b"5"))
    last = attempt(of, NOW, WallTime(20_000))
    assert (last.final, last.window) == (True, Window(WallTime(10_000), b"5"))


# Events


def mapping(**settings: Any) -> Mapping:
    function = FunctionKey(AccountId("000000000000"), Region("us-east-1"), "fn")
    return Mapping(
        id="id",
        account=function.account,
        region=function.region,
        function=function,
        source="arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026",
        batch_size=1,
        stream=StreamSettings("LATEST", **settings),
    )


def test_payloads() -> None:
    plain = payload_of(Attempt((record(1), record(2))), mapping(), "shard")
    assert msgspec.json.decode(plain) == {"Records": [1, 2]}
    window = Window(WallTime(1_596_128_400_000), b'{"a":1}')
    event = msgspec.json.decode(payload_of(Attempt((), window=window, final=True), mapping(tumbling_window_s=60), "s"))
    assert event == {
        "Records": [],
        "window": {"start": "2020-07-30T17:00:00Z", "end": "2020-07-30T17:01:00Z"},
        "state": {"a": 1},
        "shardId": "s",
        "eventSourceARN": mapping().source,
        "isFinalInvokeForWindow": True,
        "isWindowTerminatedEarly": False,
    }


@pytest.mark.parametrize(
    ("result", "first"),
    [
        (b"null", None),
        (b"{}", None),
        (b'{"batchItemFailures":[{"itemIdentifier":"2"},{"itemIdentifier":"1"}]}', 1),
        (b'{"batchItemFailures":[{"itemIdentifier":"9"}]}', 0),
        (b'{"batchItemFailures":[{"itemIdentifier":""}]}', 0),
    ],
)
def test_the_first_failure_counts(result: bytes, first: int | None) -> None:
    assert first_failure(result, Attempt((record(0), record(1), record(2)))) == first


def test_a_long_report_of_failures_takes_no_longer_for_each_of_them() -> None:
    """It is read on the loop, where others wait: to look each up one by one took 0.4 s."""

    def cost(failures: int) -> float:
        attempt = Attempt(tuple(record(number) for number in range(failures)))
        told = ",".join(f'{{"itemIdentifier":"{each.sequence}"}}' for each in attempt.records)
        report = f'{{"batchItemFailures":[{told}]}}'.encode()
        before = time.process_time()
        assert first_failure(report, attempt) == 0
        return time.process_time() - before

    assert min(cost(10_000) for _ in range(3)) < 40 * min(cost(1_000) for _ in range(3))


def test_a_state_is_what_the_function_says() -> None:
    assert state_of(b'{"state": {"x": [1]}}') == b'{"x": [1]}'
    assert state_of(b"{}") == b"{}"
    assert state_of(b"null") is None
    assert state_of(b'{"state": "\xff"}') is None
    nested = b"[" * 100_000 + b"]" * 100_000
    assert state_of(b'{"state":' + nested + b"}") is None


def test_a_failure_record_without_an_invocation_has_no_response() -> None:
    discard = Discard((record(1, 0), record(2, 1500)), "RecordAgeExceeded", 0)
    told = failure_record(mapping(), "shard", discard, Failed("id", None), WallTime(2_000))
    assert "responseContext" not in told
    assert told["timestamp"] == "1970-01-01T00:00:02.000Z"
    assert told["DDBStreamBatchInfo"]["approximateArrivalOfLastRecord"] == "1970-01-01T00:00:01.500Z"
    assert told["DDBStreamBatchInfo"]["batchSize"] == 2


# Checkpoints and shards


def test_the_position_waits_for_the_slowest_lane() -> None:
    progress = Progress("0")
    for sequence in "123":
        progress.read(sequence)
    progress.done("2")
    assert (progress.position, len(progress)) == ("0", 3)
    progress.done("1")
    assert progress.position == "2"
    progress.done("3")
    assert (progress.position, len(progress)) == ("3", 0)


FAMILY = [Shard("a", (), "9"), Shard("b", ("a",)), Shard("c", ("a",), "20"), Shard("d", ("c", "b"))]


def test_children_wait_for_their_parents() -> None:
    beginning = begin(FAMILY, StreamSettings("TRIM_HORIZON"), WALL)
    assert readable(FAMILY, beginning, set()) == ["a"]
    assert readable(FAMILY, beginning, {"a"}) == ["b", "c"]
    assert readable(FAMILY, beginning, {"a", "c"}) == ["b"]
    assert readable(FAMILY, beginning, {"a", "b", "c"}) == ["d"]
    assert readable(FAMILY[1:], beginning, set()) == ["b", "c"]


def test_the_latest_is_where_the_mapping_began() -> None:
    settings = StreamSettings("LATEST")
    beginning = begin(FAMILY, settings, WALL)
    assert readable(FAMILY, beginning, set()) == ["b"]
    assert first_position("b", beginning, settings, fresh=True) == Position(PositionKind.LATEST)
    restarted = Position(PositionKind.AT_TIMESTAMP, since=WALL)
    assert first_position("b", beginning, settings, fresh=False) == restarted
    assert first_position("e", beginning, settings, fresh=False) == Position(PositionKind.TRIM_HORIZON)


def test_a_time_to_start_from() -> None:
    settings = StreamSettings("AT_TIMESTAMP", WallTime(5))
    beginning = begin(FAMILY, settings, WALL)
    assert first_position("a", beginning, settings, fresh=True) == Position(PositionKind.AT_TIMESTAMP, WallTime(5))


def test_the_end_of_a_shard() -> None:
    assert not past_end(Shard("a"), "5")
    assert not past_end(Shard("a", (), "10"), "9")
    assert past_end(Shard("a", (), "10"), "10")
    assert past_end(Shard("a", (), "0"), None)
    assert not past_end(None, "5")
