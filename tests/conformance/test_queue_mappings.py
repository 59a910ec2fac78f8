"""SQS queues as event sources: what the function gets, and what becomes of its messages."""

import json
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from conformance.event_sources import RECORD, events, mapped, messages_in, queue_of, records, switched, until
from ondol_process import OndolProcess, create


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    """An ondol with a moto server beside it."""
    with OndolProcess(tmp_path_factory.mktemp("queues") / "data", {"WITH": "moto"}) as process:
        yield process


def test_a_message_reaches_the_function_as_on_aws_and_is_deleted(door: OndolProcess, name: str) -> None:
    create(door.client(), name, RECORD)
    url, arn = queue_of(door, name)
    mapped(door, name, arn)
    sqs = door.client("sqs")
    sent = sqs.send_message(
        QueueUrl=url,
        MessageBody="hello",
        MessageAttributes={
            "text": {"DataType": "String", "StringValue": "v"},
            "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
        },
    )
    [event] = until(lambda: events(door, name))
    [record] = event.pop("Records")
    assert event == {}
    assert record.pop("receiptHandle")
    attributes = record.pop("attributes")
    assert attributes["ApproximateReceiveCount"] == "1"
    assert all(isinstance(value, str) for value in attributes.values())
    assert record == {
        "messageId": sent["MessageId"],
        "body": "hello",
        "messageAttributes": {
            "text": {"stringValue": "v", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
            "bytes": {"binaryValue": "AAE=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
        },
        "md5OfMessageAttributes": sent["MD5OfMessageAttributes"],
        "md5OfBody": sent["MD5OfMessageBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": "us-east-1",
    }
    until(lambda: messages_in(door, url) == 0)


def send(door: OndolProcess, url: str, *bodies: str, group: str | None = None) -> None:
    more = {} if group is None else {"MessageGroupId": group}
    for first in range(0, len(bodies), 10):
        entries = [
            {"Id": str(number), "MessageBody": body, **more, **({"MessageDeduplicationId": body} if group else {})}
            for number, body in enumerate(bodies[first : first + 10])
        ]
        door.client("sqs").send_message_batch(QueueUrl=url, Entries=entries)


def bodies(door: OndolProcess, name: str) -> list[str]:
    return [record["body"] for record in records(door, name)]


def test_a_message_in_a_waiting_queue_is_handled_in_tens_of_milliseconds(door: OndolProcess, name: str) -> None:
    code = """
import json, time
def h(event, context):
    sent = float(event["Records"][0]["body"])
    print(json.dumps({"Records": [], "late": time.time() - sent}))
"""
    create(door.client(), name, code)
    url, arn = queue_of(door, name)
    mapped(door, name, arn, BatchSize=1)
    for number in range(10):
        send(door, url, str(time.time()))
        until(lambda number=number: len(events(door, name)) > number)
    late = sorted(event["late"] for event in events(door, name))
    assert late[5] < 0.1


def test_filtered_messages_are_deleted_unseen(door: OndolProcess, name: str) -> None:
    create(door.client(), name, RECORD)
    url, arn = queue_of(door, name)
    patterns = ['{"body": {"kind": [{"prefix": "or"}]}}', '{"body": ["plain"]}']
    mapped(door, name, arn, FilterCriteria={"Filters": [{"Pattern": pattern} for pattern in patterns]})
    send(door, url, '{"kind": "order"}', '{"kind": "bill"}', "plain", "other", "[1]")
    until(lambda: len(bodies(door, name)) == 2 and messages_in(door, url) == 0)
    assert sorted(bodies(door, name)) == ["plain", '{"kind": "order"}']


def test_a_window_gathers_a_large_batch(door: OndolProcess, name: str) -> None:
    create(door.client(), name, RECORD)
    url, arn = queue_of(door, name)
    mapped(door, name, arn, BatchSize=1000, MaximumBatchingWindowInSeconds=2)
    send(door, url, *map(str, range(35)))
    [event] = until(lambda: events(door, name))
    assert sorted(record["body"] for record in event["Records"]) == sorted(map(str, range(35)))


def test_what_fails_comes_again_and_then_goes_to_the_dead_letter_queue(door: OndolProcess, name: str) -> None:
    create(door.client(), name, RECORD + "    raise ValueError\n", Timeout=1)
    dead, dead_arn = queue_of(door, f"{name}-dead")
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2})
    url, arn = queue_of(door, name, VisibilityTimeout="1", RedrivePolicy=redrive)
    mapped(door, name, arn)
    send(door, url, "poison")
    [message] = until(lambda: door.client("sqs").receive_message(QueueUrl=dead).get("Messages"))
    assert message["Body"] == "poison"
    assert [record["attributes"]["ApproximateReceiveCount"] for record in records(door, name)] == ["1", "2"]


def test_only_reported_failures_stay(door: OndolProcess, name: str) -> None:
    code = """
import json
def h(event, context):
    print(json.dumps(event))
    failed = [record["messageId"] for record in event["Records"] if record["body"] == "bad"]
    if event["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1":
        return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}
"""
    create(door.client(), name, code, Timeout=1)
    url, arn = queue_of(door, name, VisibilityTimeout="1")
    send(door, url, "good", "bad", "fine")
    mapped(door, name, arn, FunctionResponseTypes=["ReportBatchItemFailures"])
    until(lambda: messages_in(door, url) == 0)
    assert sorted(bodies(door, name)) == ["bad", "bad", "fine", "good"]


def test_groups_of_a_fifo_queue_are_handled_in_order_and_in_parallel(door: OndolProcess, name: str) -> None:
    code = """
import json, time
def h(event, context):
    began = time.time()
    time.sleep(0.05)
    print(json.dumps({"Records": event["Records"], "began": began, "ended": time.time()}))
"""
    create(door.client(), name, code)
    url, arn = queue_of(door, f"{name}.fifo", FifoQueue="true")
    mapped(door, name, arn, BatchSize=1)
    for number in range(5):
        for group in "abc":
            send(door, url, f"{group}{number}", group=group)
    until(lambda: len(bodies(door, name)) == 15, 40)
    turns = events(door, name)
    for group in "abc":
        of_group = [turn for turn in turns if turn["Records"][0]["body"][0] == group]
        of_group.sort(key=lambda turn: turn["began"])
        assert [turn["Records"][0]["body"] for turn in of_group] == [f"{group}{number}" for number in range(5)]
        assert all(one["ended"] <= next["began"] for one, next in pairwise(of_group))


def test_maximum_concurrency_holds_and_batches_run_in_parallel(door: OndolProcess, name: str) -> None:
    code = """
import json, time
def h(event, context):
    began = time.time()
    time.sleep(0.2)
    print(json.dumps({"Records": event["Records"], "began": began, "ended": time.time()}))
"""
    create(door.client(), name, code)
    url, arn = queue_of(door, name)
    send(door, url, *map(str, range(12)))
    mapped(door, name, arn, BatchSize=1, ScalingConfig={"MaximumConcurrency": 3})
    until(lambda: len(bodies(door, name)) == 12)
    turns = events(door, name)
    at_once = [sum(one["began"] <= turn["began"] < one["ended"] for one in turns) for turn in turns]
    assert max(at_once) == 3


def received(door: OndolProcess, url: str) -> int:
    """Messages that are hidden because somebody has received them."""
    hidden = "ApproximateNumberOfMessagesNotVisible"
    told = door.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[hidden])["Attributes"]
    return int(told[hidden])


def test_throttled_batches_wait_and_are_not_lost(door: OndolProcess, name: str) -> None:
    create(door.client(), name, RECORD)
    url, arn = queue_of(door, name)
    door.client().put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    mapped(door, name, arn)
    send(door, url, "1", "2")
    until(lambda: received(door, url) == 2)
    assert bodies(door, name) == []
    door.client().delete_function_concurrency(FunctionName=name)
    until(lambda: sorted(bodies(door, name)) == ["1", "2"] and messages_in(door, url) == 0)


def test_a_disabled_mapping_stops_at_once_and_leaves_the_queue_alone(door: OndolProcess, name: str) -> None:
    create(door.client(), name, RECORD)
    url, arn = queue_of(door, name)
    uuid = mapped(door, name, arn)
    switched(door, uuid, on=False)
    send(door, url, "later")
    [message] = door.client("sqs").receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
    assert message["Body"] == "later"
    switched(door, uuid, on=True)
    until(lambda: bodies(door, name) == ["later"])


def test_messages_wait_for_a_function_that_is_missing(door: OndolProcess, name: str) -> None:
    create(door.client(), name, RECORD)
    url, arn = queue_of(door, name)
    mapped(door, name, arn)
    door.client().delete_function(FunctionName=name)
    send(door, url, "patient")
    create(door.client(), name, RECORD)
    until(lambda: bodies(door, name) == ["patient"])


def test_a_queue_must_be_there_and_hide_messages_long_enough(door: OndolProcess, name: str) -> None:
    client = door.client()
    create(client, name, RECORD, Timeout=60)
    _, arn = queue_of(door, name)
    missing = "arn:aws:sqs:us-east-1:000000000000:none"
    for source, text in (
        (
            missing,
            "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
            "SQS Error Message: The specified queue does not exist.",
        ),
        (arn, "Queue visibility timeout: 30 seconds is less than Function timeout: 60 seconds"),
    ):
        with pytest.raises(client.exceptions.InvalidParameterValueException) as refused:
            client.create_event_source_mapping(FunctionName=name, EventSourceArn=source)
        assert refused.value.response["Error"]["Message"] == text
