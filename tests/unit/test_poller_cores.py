"""The decisions of pollers: batches, reports of failures, how many pollers a queue has, order within groups."""

import msgspec
import pytest

from ondol.model.time import MINUTE, SECOND, Instant
from ondol.pollers.batching import Batching
from ondol.pollers.group_order import GroupOrder
from ondol.pollers.policy import SLOWEST_RETRY, reported_failures, retry_delay
from ondol.pollers.scaling import PollerScaling, Scale, scale_of


class Message(msgspec.Struct, frozen=True):
    body: bytes
    group: str = ""


def at(seconds: float) -> Instant:
    return Instant(int(seconds * SECOND))


def messages(*bodies: str) -> list[Message]:
    return [Message(body.encode(), body[0]) for body in bodies]


# Batches


def test_without_a_window_everything_goes_at_once() -> None:
    batching: Batching[Message] = Batching(3, 0)
    for message in messages("a", "b", "c", "d"):
        batching.add(message, at(1))
    assert [len(batching.take(at(1))) for _ in range(3)] == [3, 1, 0]


def test_a_window_is_that_of_the_oldest() -> None:
    batching: Batching[Message] = Batching(3, 5 * SECOND)
    batching.add(Message(b"a"), at(1))
    batching.add(Message(b"b"), at(5))
    assert batching.due_at == at(6)
    assert batching.take(at(5.9)) == []
    assert batching.take(at(6)) == [Message(b"a"), Message(b"b")]
    assert batching.due_at is None


def test_a_full_batch_does_not_wait() -> None:
    batching: Batching[Message] = Batching(2, 5 * SECOND)
    for message in messages("a", "b", "c"):
        batching.add(message, at(0))
    assert len(batching.take(at(0))) == 2
    assert batching.take(at(0)) == []


def test_a_batch_is_cut_by_its_bytes() -> None:
    batching: Batching[Message] = Batching(100, 60 * SECOND, batch_bytes=25)
    for _ in range(5):
        batching.add(Message(b"123456789"), at(0))
    assert [len(batching.take(at(0))) for _ in range(3)] == [2, 2, 0]
    assert len(batching.take(at(60))) == 1
    batching.add(Message(b"x" * 100), at(61))
    assert len(batching.take(at(61))) == 1


# Reports


@pytest.mark.parametrize(
    ("result", "failed"),
    [
        (b"", set()),
        (b"null", set()),
        (b"{}", set()),
        (b'"ok"', set()),
        (b'{"batchItemFailures": null}', set()),
        (b'{"batchItemFailures": []}', set()),
        (b'{"batchItemFailures": [{"itemIdentifier": "b"}]}', {"b"}),
        (b'{"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "b"}], "more": 1}', {"a", "b"}),
        (b'{"batchItemFailures": [{"itemIdentifier": "c"}]}', None),
        (b'{"batchItemFailures": [{"itemIdentifier": ""}]}', None),
        (b'{"batchItemFailures": [{"itemIdentifier": null}]}', None),
        (b'{"batchItemFailures": [{"itemIdentifier": 1}]}', None),
        (b'{"batchItemFailures": [{"foo": "a"}]}', None),
        (b'{"batchItemFailures": "a"}', None),
        (b'{"batchItemFailures": ["a"]}', None),
        (b'{"a": ' + b"[" * 1200, None),
    ],
)
def test_what_a_report_says(result: bytes, failed: set[str] | None) -> None:
    assert reported_failures(result, ["a", "b"]) == failed


def test_retries_come_ever_later_up_to_a_minute() -> None:
    delays = [retry_delay(attempts) for attempts in range(1, 40)]
    assert delays == sorted(delays)
    assert delays[0] < SECOND
    assert delays[-1] == SLOWEST_RETRY


# How many pollers


def busy(scaling: PollerScaling, now: Instant) -> None:
    """All pollers that there may be get a message and run it."""
    while scaling.room(now):
        scaling.began_receiving()
        scaling.received(1, now)
        scaling.began_batch(now)


def test_a_queue_begins_with_five_pollers() -> None:
    scaling = PollerScaling(Scale(), at(0))
    assert scaling.room(at(0)) == 5
    scaling.began_receiving()
    assert scaling.room(at(0)) == 4


def test_busy_pollers_become_more_by_300_a_minute() -> None:
    scaling = PollerScaling(Scale(), at(0))
    for tenth in range(601):
        busy(scaling, at(tenth / 10))
    assert 300 <= scaling.level <= 305
    for tenth in range(601, 2600):
        busy(scaling, at(tenth / 10))
    assert scaling.level == 1_000


def test_pollers_that_wait_do_not_become_more() -> None:
    scaling = PollerScaling(Scale(), at(0))
    for _ in range(5):
        scaling.began_receiving()
    assert scaling.room(at(600)) == 0
    assert scaling.level == 5


def test_empty_receives_bring_them_back_to_five_and_then_two() -> None:
    scaling = PollerScaling(Scale(), at(0))
    for tenth in range(301):
        busy(scaling, at(tenth / 10))
    while scaling.running:
        scaling.ended_batch(at(30))
    for _ in range(scaling.level):
        scaling.began_receiving()
    while scaling.receiving:
        scaling.received(0, at(31))
    assert scaling.level == 5
    for second in range(100, 110):
        scaling.began_receiving()
        scaling.received(0, at(second))
    assert scaling.level == 2
    scaling.began_receiving()
    scaling.received(1, at(111))
    scaling.began_batch(at(111))
    assert scaling.level == 5


def test_throttles_halve_them_and_they_grow_again() -> None:
    scaling = PollerScaling(Scale(), at(0))
    busy(scaling, at(0))
    for _ in range(5):
        scaling.throttled()
        scaling.ended_batch(at(0.1))
    assert scaling.level == 1
    busy(scaling, at(0.2))
    assert scaling.level >= 5


def test_maximum_concurrency_is_never_exceeded() -> None:
    scaling = PollerScaling(scale_of(3, None), at(0))
    for second in range(600):
        busy(scaling, at(second))
        assert scaling.running <= 3


def test_provisioned_pollers_are_there_from_the_start_and_grow_faster() -> None:
    scaling = PollerScaling(scale_of(None, (20, 30)), at(0))
    assert scaling.room(at(0)) == 20
    for tenth in range(301):
        busy(scaling, at(tenth / 10))
    assert scaling.level == 300
    idle = PollerScaling(scale_of(None, (20, 30)), at(0))
    idle.began_receiving()
    idle.received(0, at(10 * MINUTE / SECOND))
    assert idle.level == 20


# Order within groups


def test_a_group_waits_for_its_batch_and_others_do_not() -> None:
    order: GroupOrder[Message] = GroupOrder()
    first = order.admit(messages("a1", "b1", "a2"))
    assert [message.body for message in first] == [b"a1", b"b1", b"a2"]
    assert [message.body for message in order.admit(messages("a3", "c1"))] == [b"c1"]
    assert order.admit(messages("a4")) == []
    released, returned = order.ended(first, [])
    assert [message.body for message in released] == [b"a3", b"a4"]
    assert returned == []
    assert order.admit(messages("a5")) == []
    assert order.admit(messages("b2")) == messages("b2")


def test_what_follows_a_failure_is_given_back() -> None:
    order: GroupOrder[Message] = GroupOrder()
    batch = order.admit(messages("a1", "b1"))
    assert order.admit(messages("a2", "b2", "a3")) == []
    released, returned = order.ended(batch, messages("a1"))
    assert released == messages("b2")
    assert returned == messages("a2", "a3")
    assert order.admit(messages("a1")) == messages("a1")
