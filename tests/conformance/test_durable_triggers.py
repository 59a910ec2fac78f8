"""Durable functions behind queues, URLs, events and schedules: each begins an execution."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from lambda_calls import arn, error_of, permit_url

from conformance.event_sources import mapped, messages_in, queue_of, until
from durable_functions import WORKFLOWS, sdk_layer
from ondol_process import OndolProcess, create

pytestmark = pytest.mark.sandbox

HANDLED = """
from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import Duration

@durable_execution
def h(event, context: DurableContext):
    if "Records" in event:
        event = {"bodies": sorted(record["body"] for record in event["Records"])}
    said = context.step(lambda _: event, name="look")
    context.wait(Duration.from_seconds(1))
    if "fail" in str(said):
        raise ValueError("as it was asked to")
    return said.get("rawPath", said)
"""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    """An ondol with a moto server beside it, and the durable functions `handled` and `workflows`."""
    with OndolProcess(tmp_path_factory.mktemp("triggers") / "data", {"WITH": "moto"}) as process:
        layers = [sdk_layer(process.client())]
        for name, code in (("handled", HANDLED), ("workflows", WORKFLOWS)):
            settings = {"Layers": layers, "MemorySize": 1769, "Timeout": 30, "DurableConfig": {"ExecutionTimeout": 60}}
            create(process.client(), name, code, **settings)
        yield process


def executions(door: OndolProcess, name: str = "handled") -> list[dict[str, Any]]:
    """The latest first."""
    client = door.client()
    listed = client.list_durable_executions_by_function(FunctionName=name)["DurableExecutions"]
    return [client.get_durable_execution(DurableExecutionArn=each["DurableExecutionArn"]) for each in listed]


def test_a_mapping_waits_for_the_end_of_an_execution(door: OndolProcess, name: str) -> None:
    url, source = queue_of(door, name)
    mapped(door, "handled:$LATEST", source, BatchSize=2)
    door.client("sqs").send_message(QueueUrl=url, MessageBody="warm")
    until(lambda: any(each["Status"] == "SUCCEEDED" for each in executions(door)))
    assert json.loads(executions(door)[0]["Result"]) == {"bodies": ["warm"]}
    until(lambda: messages_in(door, url) == 0)


def test_a_mapping_needs_a_version_and_a_short_time_out(door: OndolProcess, name: str) -> None:
    client = door.client()
    _, source = queue_of(door, name)
    error = error_of(lambda: client.create_event_source_mapping(FunctionName="handled", EventSourceArn=source))
    assert error["Error"]["Message"] == "You cannot invoke a durable function using an unqualified ARN."
    create(client, "long", HANDLED, DurableConfig={"ExecutionTimeout": 901})
    error = error_of(lambda: client.create_event_source_mapping(FunctionName="long:1", EventSourceArn=source))
    assert error["Error"]["Code"] == "InvalidParameterValueException"
    error = error_of(lambda: client.create_event_source_mapping(FunctionName="long:$LATEST", EventSourceArn=source))
    assert "at most 15 minutes" in error["Error"]["Message"]


def test_a_function_url(door: OndolProcess) -> None:
    client = door.client()
    client.publish_version(FunctionName="handled")
    client.create_alias(FunctionName="handled", Name="live", FunctionVersion="1")
    url = client.create_function_url_config(FunctionName="handled", Qualifier="live", AuthType="NONE")["FunctionUrl"]
    permit_url(client, "handled", Qualifier="live")
    host = url.split("/")[2]
    request = urllib.request.Request(f"{door.endpoint}/rooms/7", headers={"Host": host})
    with urllib.request.urlopen(request) as answer:
        assert (answer.status, answer.read()) == (200, b"/rooms/7")


def test_an_event_begins_an_execution_and_is_done_with(door: OndolProcess) -> None:
    client = door.client()
    before = len(executions(door))
    told = client.invoke_async(FunctionName="handled:$LATEST", InvokeArgs=b'{"by": "InvokeAsync"}')
    assert told["Status"] == 202
    until(lambda: len(executions(door)) == before + 1)
    create(client, "plain", "def h(event, context): return event", Timeout=10)
    client.put_function_event_invoke_config(
        FunctionName="plain", DestinationConfig={"OnSuccess": {"Destination": arn("handled", "$LATEST")}}
    )
    client.invoke(FunctionName="plain", InvocationType="Event", Payload=b"7")["Payload"].read()
    until(lambda: len(executions(door)) == before + 2)
    record = until(lambda: executions(door)[0].get("Result"))
    assert json.loads(record)["responsePayload"] == 7


def test_what_fails_for_nobody_is_in_the_dead_letter_queue(door: OndolProcess, name: str) -> None:
    client = door.client()
    url, queue = queue_of(door, name)
    layers = [client.get_function_configuration(FunctionName="handled")["Layers"][0]["Arn"]]
    settings = {"Layers": layers, "DeadLetterConfig": {"TargetArn": queue}, "DurableConfig": {"ExecutionTimeout": 60}}
    create(client, name, HANDLED, Timeout=30, **settings)
    told = client.invoke(FunctionName=f"{name}:$LATEST", InvocationType="Event", Payload=b'{"do": "fail"}')
    told["Payload"].read()
    [message] = until(
        lambda: (
            door.client("sqs")
            .receive_message(QueueUrl=url, WaitTimeSeconds=2, MessageAttributeNames=["All"])
            .get("Messages", [])
        )
    )
    assert message["Body"] == '{"do": "fail"}'
    assert message["MessageAttributes"]["ErrorMessage"]["StringValue"] == "as it was asked to"


def test_destinations_are_refused(door: OndolProcess) -> None:
    error = error_of(
        lambda: door.client().put_function_event_invoke_config(
            FunctionName="handled", DestinationConfig={"OnSuccess": {"Destination": arn("plain")}}
        )
    )
    assert error["Error"]["Message"] == "Durable functions do not support Lambda invocation destinations."


def test_code_in_a_function_hands_a_callback_to_a_queue(door: OndolProcess, name: str) -> None:
    url, _ = queue_of(door, name)
    payload = json.dumps({"do": "approval", "queue": url})
    client = door.client()
    told = client.invoke(FunctionName="workflows:$LATEST", InvocationType="Event", Payload=payload)
    told["Payload"].read()
    [message] = until(lambda: door.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=2).get("Messages", []))
    client.send_durable_execution_callback_success(CallbackId=message["Body"], Result=b'"granted"')
    execution = told["DurableExecutionArn"]
    shown = until(
        lambda: (it := client.get_durable_execution(DurableExecutionArn=execution))["Status"] != "RUNNING" and it
    )
    assert json.loads(json.loads(shown["Result"])) == "granted"
