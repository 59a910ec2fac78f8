"""What becomes of an event after an attempt, what is told of it, and how endless loops are noticed."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from ondol.events.api import Event, Failed, Outcome, Refused, Succeeded
from ondol.events.lineage import MOST_PASSES, passed_on, times_passed
from ondol.events.policy import Decision, Finished, Retry, Wait, after, backoff, before
from ondol.events.records import Delivery
from ondol.events.steps import decode, encode
from ondol.model.function import EventSettings, FunctionKey
from ondol.model.ids import AccountId, Region, RequestId
from ondol.model.limits import EventSchedule
from ondol.model.time import MINUTE, SECOND, WallTime

FUNCTION = FunctionKey(AccountId("123456789012"), Region("eu-west-1"), "fn")
NOW = WallTime(1_704_164_645_123)
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:queue"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:topic"
EVENT = Event(RequestId("6a1f3c5e-0000-4000-8000-00000000abcd"), FUNCTION, None, b'{"a": 1}', NOW)
FAILED = Failed("$LATEST", b'{"errorMessage": "no", "errorType": "E"}')
THROTTLED = Refused(429, "Rate Exceeded.")


def decide(
    outcome: Outcome,
    settings: EventSettings | None = None,
    event: Event = EVENT,
    *,
    put_back: int = 0,
    age_s: float = 0,
    chance: float = 0,
) -> Decision:
    now = WallTime(event.accepted + int(age_s * 1000))
    return after(
        event,
        settings or EventSettings(),
        outcome,
        put_back=put_back,
        schedule=EventSchedule(),
        chance=chance,
        now=now,
    )


def record(decision: Decision | None, number: int = 0) -> dict[str, Any]:
    assert isinstance(decision, Finished)
    return dict(json.loads(decision.deliveries[number].body))


def test_a_function_that_fails_is_tried_again_after_one_and_two_minutes_and_no_more() -> None:
    first = decide(FAILED)
    assert first == Retry(replace(EVENT, failures=1), MINUTE)
    second = decide(FAILED, event=first.event)
    assert second == Retry(replace(EVENT, failures=2), 2 * MINUTE)
    assert decide(FAILED, event=second.event) == Finished()
    assert decide(FAILED, EventSettings(max_retries=0)) == Finished()
    assert decide(FAILED, EventSettings(max_retries=1), first.event) == Finished()


@pytest.mark.parametrize("outcome", [THROTTLED, Refused(500, "no room")])
def test_what_did_not_run_waits_ever_longer_and_costs_no_retry(outcome: Outcome) -> None:
    waits = [decide(outcome, put_back=times) for times in range(12)]
    assert waits[:4] == [Wait(SECOND), Wait(2 * SECOND), Wait(4 * SECOND), Wait(8 * SECOND)]
    assert waits[9:] == [Wait(5 * MINUTE)] * 3
    assert backoff(10**6, EventSchedule(), 0.5) == 5 * MINUTE
    assert SECOND < backoff(0, EventSchedule(), 0.9) < 2 * SECOND


def test_an_event_that_would_be_too_old_by_its_next_attempt_is_given_up() -> None:
    settings = EventSettings(max_age_s=61, on_failure=QUEUE)
    assert isinstance(decide(FAILED, settings, age_s=1), Retry)
    told = record(decide(FAILED, settings, age_s=2))
    assert told["requestContext"]["condition"] == "EventAgeExceeded"
    assert told["requestContext"]["approximateInvokeCount"] == 1
    assert isinstance(decide(THROTTLED, settings, age_s=60), Wait)
    told = record(decide(THROTTLED, settings, age_s=60.5))
    assert told["requestContext"] | {"requestId": "", "functionArn": ""} == {
        "requestId": "",
        "functionArn": "",
        "condition": "EventAgeExceeded",
        "approximateInvokeCount": 0,
    }
    assert told["responseContext"] == {"statusCode": 429} and "responsePayload" not in told
    assert before(EVENT, settings, False, WallTime(NOW + 61_000)) is None
    told = record(before(EVENT, settings, False, WallTime(NOW + 61_001)))
    assert told["requestContext"]["condition"] == "EventAgeExceeded"
    assert not {"responseContext", "responsePayload"} & set(told)


def test_a_success_is_over_however_old_it_is_and_told_where_that_is_wished() -> None:
    success = Succeeded("3", b"[1]")
    assert decide(success, age_s=10**6) == Finished()
    assert decide(success, EventSettings(on_failure=QUEUE, dead_letter=TOPIC)) == Finished()
    decision = decide(success, EventSettings(on_success=QUEUE), replace(EVENT, failures=1, qualifier="live"))
    assert record(decision) == {
        "version": "1.0",
        "timestamp": "2024-01-02T03:04:05.123Z",
        "requestContext": {
            "requestId": EVENT.request_id,
            "functionArn": f"{FUNCTION.arn}:live",
            "condition": "Success",
            "approximateInvokeCount": 2,
        },
        "requestPayload": {"a": 1},
        "responseContext": {"statusCode": 200, "executedVersion": "3"},
        "responsePayload": [1],
    }


def test_failures_go_to_the_destination_and_to_the_dead_letter_queue() -> None:
    settings = EventSettings(max_retries=0, on_failure=QUEUE, dead_letter=TOPIC)
    decision = decide(FAILED, settings)
    assert isinstance(decision, Finished)
    told, dead = decision.deliveries
    assert (told.destination, dead.destination, dead.body) == (QUEUE, TOPIC, '{"a": 1}')
    assert dead.attributes == {
        "RequestID": ("String", EVENT.request_id),
        "ErrorCode": ("Number", "200"),
        "ErrorMessage": ("String", "no"),
    }
    gone = decide(Refused(404, "Function not found: x"), settings)
    assert record(gone)["responseContext"] == {"statusCode": 404}
    assert record(gone)["requestContext"]["condition"] == "RetriesExhausted"
    assert isinstance(gone, Finished) and gone.deliveries[1].attributes["ErrorCode"] == ("Number", "404")
    off = before(EVENT, settings, True, NOW)
    assert record(off)["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert off is not None and "ErrorCode" not in off.deliveries[1].attributes


def test_error_messages_and_results_may_be_anything() -> None:
    settings = EventSettings(max_retries=0, on_failure=QUEUE, dead_letter=TOPIC)
    for payload, shown, message in (
        (b"not json", "not json", "not json"),
        (b"\xff", "\ufffd", "\ufffd"),
        (b"[]", [], "[]"),
        (b'{"errorMessage":"\\u001b[31mred"}', {"errorMessage": "\x1b[31mred"}, "\ufffd[31mred"),
        (b"[" * 1200, "[" * 1200, "[" * 1024),
        (b'{"errorMessage": "' + b"x" * 5000 + b'"}', {"errorMessage": "x" * 5000}, "x" * 1024),
    ):
        decision = decide(Failed("1", payload), settings)
        assert record(decision)["responsePayload"] == shown
        assert isinstance(decision, Finished)
        assert decision.deliveries[1].attributes["ErrorMessage"] == ("String", message)


def test_payloads_are_left_out_of_records_that_their_destination_would_not_take() -> None:
    large = Succeeded("1", b'"' + b"x" * 300_000 + b'"')
    assert "responsePayload" in record(decide(large, EventSettings(on_success=QUEUE)))
    told = record(decide(large, EventSettings(on_success=TOPIC)))
    assert "responsePayload" not in told and told["requestPayload"] == {"a": 1}
    event = replace(EVENT, payload=b'"' + b"y" * 300_000 + b'"')
    told = record(decide(large, EventSettings(on_success=TOPIC), event))
    assert not {"requestPayload", "responsePayload"} & set(told)


def test_steps_are_read_as_they_were_written() -> None:
    event = replace(EVENT, settings=EventSettings(on_failure=QUEUE), trace="Root=1-2-3", failures=2)
    assert decode(encode(event)) == event
    delivery = Delivery(
        request_id=EVENT.request_id,
        function=FUNCTION,
        source=EVENT.arn,
        destination=QUEUE,
        body="{}",
        at=NOW,
        attributes={"A": ("String", "b")},
    )
    assert decode(encode(delivery)) == delivery
    assert len(encode(EVENT)) < 250, "a million of them are to wait on disk"


def test_an_event_that_came_through_its_function_sixteen_times_is_stopped() -> None:
    other = FunctionKey(FUNCTION.account, FUNCTION.region, "other")
    event = EVENT
    for passes in range(MOST_PASSES):
        assert times_passed(event.trace, FUNCTION) == passes
        assert before(event, EventSettings(), False, NOW) is None
        through_other = replace(event, function=other, trace=passed_on(event))
        event = replace(event, trace=passed_on(through_other))
    stopped = before(event, EventSettings(on_failure=QUEUE), False, NOW)
    assert record(stopped)["requestContext"]["condition"] == "RecursiveInvocation"
    assert before(event, EventSettings(may_loop=True), False, NOW) is None
    third = FunctionKey(FUNCTION.account, FUNCTION.region, "third")
    assert before(replace(event, function=third), EventSettings(), False, NOW) is None


def test_a_trace_header_is_kept_and_a_strange_one_does_no_harm() -> None:
    given = "Root=1-65936a25-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1"
    assert passed_on(replace(EVENT, trace=given)).startswith(f"{given};Lineage=")
    assert passed_on(EVENT).startswith("Root=1-65937d25-6a1f3c5e0000400080000000;Lineage=")
    for trace in ("", "nonsense", "Lineage=", "Lineage=::,a:b,c:-1,:3", "Root=1;Lineage=a:999999999999", "a=\n;b=1"):
        again = passed_on(replace(EVENT, trace=trace))
        assert times_passed(again, FUNCTION) == 1 and "\n" not in again
    for trace in ("Root=%ED%95%9C", "Root=%0D%0AX", "\ud55c=1", "Root=1-\xa0x"):
        assert passed_on(replace(EVENT, trace=trace)).startswith("Root=1-65937d25-"), "a header can carry it"
    long = "Lineage=" + ",".join(f"{number:08x}:1" for number in range(1000))
    assert len(passed_on(replace(EVENT, trace=long))) < 1000
