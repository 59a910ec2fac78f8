"""SQS queues as event sources: what the function gets, and what becomes of its messages."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ondol_process import OndolProcess, create

RECORD = """
import json
def h(event, context):
    print(json.dumps(event))
"""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    """An ondol with a moto server beside it."""
    with OndolProcess(tmp_path_factory.mktemp("queues") / "data", {"WITH": "moto"}) as process:
        yield process


def until(condition: Callable[[], Any], timeout_s: float = 20) -> Any:
    """What the condition answers once that is something."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
    return answer


def queue_of(door: OndolProcess, name: str, **attributes: str) -> tuple[str, str]:
    """URL and ARN of a new queue."""
    sqs = door.client("sqs")
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def events(door: OndolProcess, name: str) -> list[dict[str, Any]]:
    """What the function printed, which are its events."""
    logs = door.client("logs")
    try:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/{name}", filterPattern='"Records"'
        )
        return [json.loads(event["message"]) for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []


def state(door: OndolProcess, uuid: str) -> str:
    answer: str = door.client().get_event_source_mapping(UUID=uuid)["State"]
    return answer


def mapped(door: OndolProcess, name: str, source: str, **settings: Any) -> str:
    made = door.client().create_event_source_mapping(FunctionName=name, EventSourceArn=source, **settings)
    uuid: str = made["UUID"]
    until(lambda: state(door, uuid) in ("Enabled", "Disabled"))
    return uuid


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


def messages_in(door: OndolProcess, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = door.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(told[each]) for each in names)
