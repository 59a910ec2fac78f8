"""Where asynchronous events go in the end: destinations and dead-letter queues, on a moto server, through ondol."""

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from lambda_calls import arn

from moto_server import Moto
from ondol_process import OndolProcess, create

CODE = """
import os

def h(event, context):
    if isinstance(event, dict) and event.get("fail"):
        raise ValueError(f"will not: {context.aws_request_id}")
    print("got", event)
    return {"seen": event}
"""
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    """An ondol with a moto server for all services, EventBridge included, and no patience with failures."""
    with Moto() as moto:
        servers = {"ENDPOINTS_DEFAULT": moto.endpoint, "ENDPOINTS_EVENTS": moto.endpoint}
        settings = {"EVENTS_RETRY_S": "0.05", "EVENTS_BACKOFF_S": "0.05"} | servers
        with OndolProcess(tmp_path_factory.mktemp("destinations") / "data", settings) as process:
            yield process


@pytest.fixture(scope="module")
def functions(door: OndolProcess) -> Any:
    client = door.client()
    create(client, "called", CODE, MemorySize=1769)
    create(client, "told", CODE, MemorySize=1769)
    return client


class Queue:
    """A queue of the moto server's."""

    def __init__(self, door: OndolProcess, name: str) -> None:
        self._client = door.client("sqs")
        self.url = self._client.create_queue(QueueName=name)["QueueUrl"]
        self.arn = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]

    def next(self) -> dict[str, Any]:
        """The next message, which must come."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            answer = self._client.receive_message(
                QueueUrl=self.url, WaitTimeSeconds=1, MessageAttributeNames=["All"], MaxNumberOfMessages=1
            )
            for message in answer.get("Messages", []):
                self._client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                return dict(message)
        raise AssertionError("no message came")

    def record(self) -> dict[str, Any]:
        return dict(json.loads(self.next()["Body"]))


@pytest.fixture
def queue(door: OndolProcess, name: str) -> Queue:
    return Queue(door, name[-20:])


def invoke(functions: Any, event: Any, name: str = "called") -> str:
    """The request id of an event."""
    answer = functions.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event).encode())
    assert answer["StatusCode"] == 202
    return str(answer["ResponseMetadata"]["RequestId"])


def send_records(functions: Any, name: str = "called", retries: int = 0, **destinations: str) -> None:
    config = {condition: {"Destination": destination} for condition, destination in destinations.items()}
    functions.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig=config, MaximumRetryAttempts=retries
    )


def checked(record: dict[str, Any]) -> dict[str, Any]:
    """A record without its time."""
    stamp = record.pop("timestamp")
    assert TIMESTAMP.fullmatch(stamp)
    assert abs(datetime.fromisoformat(stamp).timestamp() - time.time()) < 60
    return record


def test_a_queue_is_told_of_a_success(functions: Any, queue: Queue) -> None:
    send_records(functions, OnSuccess=queue.arn)
    request = invoke(functions, {"a": "\u00e9"})
    assert checked(queue.record()) == {
        "version": "1.0",
        "requestContext": {
            "requestId": request,
            "functionArn": f"{arn('called')}:$LATEST",
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"a": "\u00e9"},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": {"seen": {"a": "\u00e9"}},
    }


def test_a_queue_is_told_of_a_failure_after_all_attempts(functions: Any, queue: Queue) -> None:
    send_records(functions, OnFailure=queue.arn, retries=2)
    request = invoke(functions, {"fail": 1})
    record = checked(queue.record())
    payload = record.pop("responsePayload")
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": request,
            "functionArn": f"{arn('called')}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"fail": 1},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
    }
    assert (payload["errorType"], payload["errorMessage"]) == ("ValueError", f"will not: {request}")


def test_a_topic_a_bus_and_a_function_get_the_same_record(door: OndolProcess, functions: Any, queue: Queue) -> None:
    sns = door.client("sns")
    topic = sns.create_topic(Name="records")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    send_records(functions, OnSuccess=topic)
    request = invoke(functions, 1)
    notification = json.loads(queue.next()["Body"])
    assert notification["TopicArn"] == topic
    assert json.loads(notification["Message"])["requestContext"]["requestId"] == request

    events = door.client("events")
    bus = events.create_event_bus(Name="records")["EventBusArn"]
    events.put_rule(Name="all", EventBusName="records", EventPattern=json.dumps({"source": ["lambda"]}))
    events.put_targets(Rule="all", EventBusName="records", Targets=[{"Id": "q", "Arn": queue.arn}])
    send_records(functions, OnSuccess=bus)
    request = invoke(functions, 2)
    event = json.loads(queue.next()["Body"])
    assert event["detail-type"] == "Lambda Function Invocation Result - Success"
    assert event["resources"] == [bus, f"{arn('called')}:$LATEST"]
    assert event["detail"]["requestContext"]["requestId"] == request

    send_records(functions, OnSuccess=arn("told"))
    send_records(functions, "told", OnSuccess=queue.arn)
    request = invoke(functions, 3)
    record = queue.record()
    assert record["requestContext"]["functionArn"] == f"{arn('told')}:$LATEST"
    assert record["requestPayload"]["requestContext"]["requestId"] == request
    assert record["requestContext"]["requestId"] != request


def test_a_bucket_is_told_of_a_failure(door: OndolProcess, functions: Any) -> None:
    s3 = door.client("s3")
    s3.create_bucket(Bucket="failures")
    send_records(functions, OnFailure="arn:aws:s3:::failures")
    request = invoke(functions, {"fail": 1})
    keys = eventually(lambda: [item["Key"] for item in s3.list_objects_v2(Bucket="failures").get("Contents", [])])
    [key] = keys
    day = r"\d{4}/\d\d/\d\d/\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d"
    assert re.fullmatch(rf"aws/lambda/async/called/{day}-[0-9a-f-]{{36}}", key)
    record = json.loads(s3.get_object(Bucket="failures", Key=key)["Body"].read())
    assert checked(record)["requestContext"]["requestId"] == request


def test_a_dead_letter_queue_gets_the_event_itself(functions: Any, queue: Queue, name: str) -> None:
    create(functions, name, CODE, DeadLetterConfig={"TargetArn": queue.arn})
    functions.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    request = invoke(functions, {"fail": True}, name)
    message = queue.next()
    assert json.loads(message["Body"]) == {"fail": True}
    attributes = {key: (value["DataType"], value["StringValue"]) for key, value in message["MessageAttributes"].items()}
    assert attributes == {
        "RequestID": ("String", request),
        "ErrorCode": ("Number", "200"),
        "ErrorMessage": ("String", f"will not: {request}"),
    }


def test_a_function_that_may_not_run_sends_its_events_on_at_once(functions: Any, queue: Queue, name: str) -> None:
    create(functions, name, CODE)
    send_records(functions, name, retries=2, OnFailure=queue.arn)
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    request = invoke(functions, 1, name)
    assert checked(queue.record()) == {
        "version": "1.0",
        "requestContext": {
            "requestId": request,
            "functionArn": f"{arn(name)}:$LATEST",
            "condition": "ZeroReservedConcurrency",
            "approximateInvokeCount": 0,
        },
        "requestPayload": 1,
    }


def test_an_alias_has_destinations_of_its_own(functions: Any, queue: Queue, name: str) -> None:
    create(functions, name, CODE)
    functions.publish_version(FunctionName=name)
    functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    functions.put_function_event_invoke_config(
        FunctionName=name, Qualifier="live", DestinationConfig={"OnSuccess": {"Destination": queue.arn}}
    )
    functions.invoke(FunctionName=name, InvocationType="Event", Payload=b"1")
    functions.invoke(FunctionName=f"{name}:live", InvocationType="Event", Payload=b"2")
    record = queue.record()
    assert record["requestPayload"] == 2
    assert record["requestContext"]["functionArn"] == f"{arn(name)}:live"
    assert record["responseContext"]["executedVersion"] == "1"


def test_a_record_waits_until_its_destination_is_there(door: OndolProcess, functions: Any, name: str) -> None:
    late = f"late-{name[-8:]}"
    send_records(functions, OnSuccess=f"arn:aws:sqs:us-east-1:000000000000:{late}")
    request = invoke(functions, 5)
    eventually(lambda: late in door.complaints())
    assert Queue(door, late).record()["requestContext"]["requestId"] == request


def test_a_function_that_calls_itself_is_stopped(functions: Any, queue: Queue, name: str) -> None:
    code = """
import boto3, json

client = boto3.client("lambda")

def h(event, context):
    client.invoke(FunctionName=context.function_name, InvocationType="Event", Payload=json.dumps(event + 1))
"""
    create(functions, name, code, MemorySize=1769, Timeout=60)
    send_records(functions, name, OnFailure=queue.arn)
    invoke(functions, 1, name)
    record = queue.record()
    assert record["requestPayload"] == 17
    assert record["requestContext"]["condition"] == "RecursiveInvocation"


def test_what_is_set_is_shown_and_refused_as_on_aws(functions: Any, name: str) -> None:
    create(functions, name, CODE)
    answer = functions.put_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=60)
    assert abs(answer["LastModified"].timestamp() - time.time()) < 60
    assert answer["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {}}
    assert answer["FunctionArn"] == f"{arn(name)}:$LATEST"
    with pytest.raises(ClientError) as raised:
        functions.put_function_event_invoke_config(FunctionName=name)
    assert raised.value.response["Error"]["Code"] == "InvalidParameterValueException"
    assert raised.value.response["Type"] == "User"
    functions.delete_function_event_invoke_config(FunctionName=name)
    with pytest.raises(ClientError) as raised:
        functions.get_function_event_invoke_config(FunctionName=name)
    assert raised.value.response["Error"]["Message"] == (
        f"The function {arn(name)}:$LATEST doesn't have an EventInvokeConfig"
    )


def eventually(ask: Callable[[], Any]) -> Any:
    """The first answer that is something."""
    until = time.monotonic() + PATIENCE_S
    while not (answer := ask()):
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)
    return answer
