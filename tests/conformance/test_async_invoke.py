"""Asynchronous invocations: what is accepted, what is refused, and that what was accepted runs as any invocation."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from lambda_calls import arn, invoke

from ondol.cli.client import Client
from ondol_process import OndolProcess, create

CODE = """
import os

def h(event, context):
    print("got", event, os.environ.get("_X_AMZN_TRACE_ID", "").partition(";")[0], context.client_context)
    if event == "fail":
        raise ValueError("no")
"""
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    """An ondol that tries again soon."""
    settings = {"EVENTS_RETRY_S": "0.1", "EVENTS_BACKOFF_S": "0.05", "EVENTS_LONGEST_BACKOFF_S": "0.1"}
    with OndolProcess(tmp_path_factory.mktemp("events") / "data", settings) as process:
        yield process


@pytest.fixture(scope="module")
def functions(hasty: OndolProcess) -> Any:
    return hasty.client()


def log(hasty: OndolProcess, name: str) -> list[str]:
    logs = hasty.client("logs")
    try:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}")
        return [event["message"].rstrip() for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []


def lines_of(hasty: OndolProcess, name: str, beginning: str, number: int) -> list[str]:
    """So many lines of a log, for which is waited."""
    until = time.monotonic() + PATIENCE_S
    while len(lines := [line for line in log(hasty, name) if line.startswith(beginning)]) < number:
        assert time.monotonic() < until, f"only {lines} came"
        time.sleep(0.02)
    return lines


def accept(functions: Any, name: str, event: Any, **more: Any) -> str:
    answer = functions.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event).encode(), **more)
    assert answer["StatusCode"] == 202 and answer["Payload"].read() == b""
    assert not {"FunctionError", "LogResult", "ExecutedVersion"} & set(answer)
    return str(answer["ResponseMetadata"]["RequestId"])


def test_an_event_runs_under_the_request_id_of_its_acceptance(hasty: OndolProcess, functions: Any, name: str) -> None:
    create(functions, name, CODE)
    request = accept(functions, name, {"a": 1}, LogType="Tail")
    [report] = lines_of(hasty, name, f"REPORT RequestId: {request}", 1)
    assert "Billed Duration" in report
    [start] = lines_of(hasty, name, "START", 1)
    assert start == f"START RequestId: {request} Version: $LATEST"
    [got] = lines_of(hasty, name, "got", 1)
    assert got.startswith("got {'a': 1} Root=1-") and got.endswith(" None")


def test_a_failed_event_is_tried_three_times(hasty: OndolProcess, functions: Any, name: str) -> None:
    create(functions, name, CODE)
    request = accept(functions, name, "fail")
    starts = lines_of(hasty, name, "START", 3)
    assert starts == [f"START RequestId: {request} Version: $LATEST"] * 3
    status, _ = invoke(functions, name, "another")
    assert status["StatusCode"] == 200
    assert len(lines_of(hasty, name, "REPORT", 4)) == 4


def test_invoke_async_does_the_same(hasty: OndolProcess, functions: Any, name: str) -> None:
    create(functions, name, CODE)
    answer = functions.invoke_async(FunctionName=name, InvokeArgs=b'"late"')
    assert answer["Status"] == 202
    request = answer["ResponseMetadata"]["RequestId"]
    lines_of(hasty, name, f"REPORT RequestId: {request}", 1)
    assert lines_of(hasty, name, "got", 1)[0].startswith("got late ")


def test_nothing_sent_is_an_empty_event(hasty: OndolProcess, functions: Any, name: str) -> None:
    create(functions, name, CODE)
    assert functions.invoke(FunctionName=name, InvocationType="Event")["StatusCode"] == 202
    assert lines_of(hasty, name, "got", 1)[0].startswith("got {} ")


def test_throttled_events_wait_and_all_run(hasty: OndolProcess, functions: Any, name: str) -> None:
    create(
        functions,
        name,
        "import time\ndef h(event, context):\n    time.sleep(0.05)\n    print('got', event)",
        Timeout=20,
    )
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    for number in range(10):
        accept(functions, name, number)
    assert sorted(lines_of(hasty, name, "got", 10)) == [f"got {number}" for number in range(10)]


def test_an_alias_and_a_version_run_what_they_mean(hasty: OndolProcess, functions: Any, name: str) -> None:
    create(functions, name, CODE)
    functions.publish_version(FunctionName=name)
    functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    request = accept(functions, name, 1, Qualifier="live")
    assert lines_of(hasty, name, "START", 1) == [f"START RequestId: {request} Version: 1"]


@pytest.mark.parametrize(
    ("payload", "code", "text"),
    [
        (b'{"a', "InvalidRequestContentException", "Could not parse request body into json: Could not parse payload"),
        (
            b'"' + b"x" * 1_048_575 + b'"',
            "RequestTooLargeException",
            "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
        ),
    ],
    ids=["broken", "large"],
)
def test_payloads_that_are_refused_at_once(functions: Any, name: str, payload: bytes, code: str, text: str) -> None:
    create(functions, name, CODE)
    with pytest.raises(ClientError) as raised:
        functions.invoke(FunctionName=name, InvocationType="Event", Payload=payload)
    assert raised.value.response["Error"]["Code"] == code
    assert raised.value.response["Error"]["Message"].startswith(text)


def test_functions_that_are_not_there_are_refused_at_once(functions: Any, name: str) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: functions.invoke(FunctionName=name, InvocationType="Event"),
        lambda: functions.invoke_async(FunctionName=name, InvokeArgs=b"{}"),
    ]
    for call in calls:
        with pytest.raises(ClientError) as raised:
            call()
        assert raised.value.response["Error"] == {
            "Code": "ResourceNotFoundException",
            "Message": f"Function not found: {arn(name)}:$LATEST",
        }


def test_another_account_needs_a_permission(hasty: OndolProcess, functions: Any, name: str) -> None:
    create(functions, name, CODE)
    other = hasty.client(account="111111111111")
    with pytest.raises(ClientError) as raised:
        other.invoke(FunctionName=arn(name), InvocationType="Event")
    assert raised.value.response["Error"]["Code"] == "AccessDeniedException"
    functions.add_permission(
        FunctionName=name, StatementId="s", Action="lambda:InvokeFunction", Principal="111111111111"
    )
    assert other.invoke(FunctionName=arn(name), InvocationType="Event")["StatusCode"] == 202
    lines_of(hasty, name, "got", 1)


def test_the_largest_event_arrives_whole(hasty: OndolProcess, functions: Any, name: str) -> None:
    create(functions, name, "def h(event, context): print('got', len(event))", MemorySize=1769)
    accept(functions, name, "x" * 1_048_574)
    assert lines_of(hasty, name, "got", 1) == ["got 1048574"]


def test_a_loud_function_does_not_delay_another(hasty: OndolProcess, functions: Any, name: str) -> None:
    """At small scale what the simulator shows at a larger one."""
    loud = f"{name[:50]}-loud"
    create(functions, loud, "import time\ndef h(event, context): time.sleep(4)", Timeout=20)
    functions.put_function_concurrency(FunctionName=loud, ReservedConcurrentExecutions=5)
    create(functions, name, CODE)
    invoke(functions, name, "warm")
    for _ in range(200):
        accept(functions, loud, 1)
    assert Client(hasty.endpoint).status()["events"]["waiting"] > 100, "there was nothing to wait for"
    began = time.monotonic()
    accept(functions, name, "quiet")
    lines_of(hasty, name, "got quiet", 1)
    assert time.monotonic() - began < 3.0


def test_a_reset_forgets_what_waits(hasty: OndolProcess, functions: Any, name: str) -> None:
    create(functions, name, "import time\ndef h(event, context): time.sleep(2)", Timeout=20)
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    for number in range(20):
        accept(functions, name, number)
    control = Client(hasty.endpoint)
    assert control.status()["events"]["waiting"] > 0
    control.reset()
    until = time.monotonic() + PATIENCE_S
    while any(control.status()["events"].values()):
        assert time.monotonic() < until, control.status()["events"]
        time.sleep(0.02)
