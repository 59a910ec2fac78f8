"""What tests of event sources share: functions that print their events, and mappings that are settled."""

import json
import time
from collections.abc import Callable
from typing import Any

from ondol_process import OndolProcess

RECORD = """
import json
def h(event, context):
    print(json.dumps(event))
"""
"""A function that keeps its events in its log."""


def until(condition: Callable[[], Any], timeout_s: float = 20) -> Any:
    """What the condition answers once that is something."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
    return answer


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


def records(door: OndolProcess, name: str) -> list[dict[str, Any]]:
    return [record for event in events(door, name) for record in event["Records"]]


def state(door: OndolProcess, uuid: str) -> str:
    answer: str = door.client().get_event_source_mapping(UUID=uuid)["State"]
    return answer


def mapped(door: OndolProcess, name: str, source: str, **settings: Any) -> str:
    """The UUID of a mapping, once it is settled."""
    made = door.client().create_event_source_mapping(FunctionName=name, EventSourceArn=source, **settings)
    uuid: str = made["UUID"]
    until(lambda: state(door, uuid) in ("Enabled", "Disabled"))
    return uuid


def switched(door: OndolProcess, uuid: str, on: bool) -> None:
    door.client().update_event_source_mapping(UUID=uuid, Enabled=on)
    until(lambda: state(door, uuid) == ("Enabled" if on else "Disabled"))


def queue_of(door: OndolProcess, name: str, account: str = "000000000000", **attributes: str) -> tuple[str, str]:
    """URL and ARN of a new queue."""
    sqs = door.client("sqs", account=account)
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def messages_in(door: OndolProcess, url: str) -> int:
    """Visible or not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = door.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(told[each]) for each in names)
