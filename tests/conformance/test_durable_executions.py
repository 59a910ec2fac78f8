"""AWS's durable execution SDK, unmodified, in functions; and the operations to see and handle executions."""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lambda_calls import arn, error_of

from durable_functions import WORKFLOWS, sdk_layer
from ondol_process import OndolProcess, create

pytestmark = pytest.mark.sandbox

PATIENCE_S = 30.0
PLAIN = """
def h(event, context):
    if event == "fail":
        raise LookupError("no such room")
    return {"got": event}
"""

_numbers = itertools.count()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Of an ondol that has the functions `durable` and `plain`, and tries failed invocations again soon."""
    with OndolProcess(tmp_path_factory.mktemp("durable") / "data", {"DURABLE_RETRY_S": "0.01"}) as ondol:
        client = ondol.client()
        layers = [sdk_layer(client)]
        settings = {"Layers": layers, "MemorySize": 1769, "Timeout": 30}
        create(client, "durable", WORKFLOWS, DurableConfig={"ExecutionTimeout": 300}, **settings)
        create(client, "plain", PLAIN)
        yield client


def call(client: Any, **request: Any) -> dict[str, Any]:
    """The answer to an Invoke, its payload read."""
    told: dict[str, Any] = client.invoke(**request)
    return {**told, "Payload": told["Payload"].read()}


def begin(client: Any, do: str, **event: Any) -> str:
    """An execution of which nobody waits for the end."""
    payload = json.dumps({"do": do, **event})
    told = call(client, FunctionName="durable:$LATEST", InvocationType="Event", Payload=payload)
    assert told["StatusCode"] == 202
    execution: str = told["DurableExecutionArn"]
    return execution


def run(client: Any, do: str, **event: Any) -> Any:
    """The result of an execution that somebody waits for."""
    told = call(client, FunctionName="durable:$LATEST", Payload=json.dumps({"do": do, **event}))
    assert "FunctionError" not in told, told["Payload"]
    assert told["DurableExecutionArn"].startswith(f"{arn('durable', '$LATEST')}/durable-execution/")
    return json.loads(told["Payload"])


def until(found: Callable[[], Any]) -> Any:
    """What `found` finds, as soon as it does."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return value


def get(client: Any, execution: str, **more: Any) -> dict[str, Any]:
    shown: dict[str, Any] = client.get_durable_execution(DurableExecutionArn=execution, **more)
    return shown


def ended(client: Any, execution: str) -> dict[str, Any]:
    shown: dict[str, Any] = until(lambda: (it := get(client, execution))["Status"] != "RUNNING" and it)
    return shown


def history(client: Any, execution: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = client.get_durable_execution_history(DurableExecutionArn=execution)["Events"]
    return events


def callback_of(client: Any, execution: str) -> str:
    """The id of the callback that it waits for."""

    def suspended() -> str | None:
        events = history(client, execution)
        if events[-1]["EventType"] != "InvocationCompleted":
            return None
        [started] = [event for event in events if event["EventType"] == "CallbackStarted"]
        id: str = started["CallbackStartedDetails"]["CallbackId"]
        return id

    found: str = until(suspended)
    return found


# Workflows


def test_steps_and_waits(client: Any) -> None:
    execution = begin(client, "steps", by=21)
    shown = ended(client, execution)
    assert (shown["Status"], shown["Result"], shown["Version"]) == ("SUCCEEDED", "43", "$LATEST")
    assert json.loads(shown["InputPayload"]) == {"do": "steps", "by": 21}
    assert shown["EndTimestamp"] > shown["StartTimestamp"]
    events = history(client, execution)
    assert [event["EventType"] for event in events] == [
        *("ExecutionStarted", "StepStarted", "StepSucceeded", "WaitStarted", "InvocationCompleted", "WaitSucceeded"),
        *("StepStarted", "StepSucceeded", "InvocationCompleted", "ExecutionSucceeded"),
    ]
    assert [event["EventId"] for event in events] == list(range(1, 11))
    assert events[2]["StepSucceededDetails"] == {
        "Result": {"Payload": "42", "Truncated": False},
        "RetryDetails": {"CurrentAttempt": 1},
    }
    assert events[5]["EventTimestamp"] >= events[3]["WaitStartedDetails"]["ScheduledEndTimestamp"]


def test_a_step_is_tried_again_at_its_time(client: Any) -> None:
    execution = begin(client, "retries")
    assert "attempt 3" in ended(client, execution)["Result"]
    attempts = [event for event in history(client, execution) if event["EventType"] == "StepFailed"]
    told = [event["StepFailedDetails"]["RetryDetails"] for event in attempts]
    assert told == [
        {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 1},
        {"CurrentAttempt": 2, "NextAttemptDelaySeconds": 1},
        {"CurrentAttempt": 3},
    ]
    times = [event["EventTimestamp"].timestamp() for event in attempts]
    assert all(later - earlier >= 1 for earlier, later in itertools.pairwise(times))


def test_what_a_function_raises_ends_its_execution(client: Any) -> None:
    told = call(client, FunctionName="durable:$LATEST", Payload=b'{"do": "fails"}')
    failure = json.loads(told["Payload"])
    assert (told["StatusCode"], told["FunctionError"]) == (200, "Unhandled")
    assert "division by zero" in failure["errorMessage"]
    shown = get(client, told["DurableExecutionArn"])
    assert (shown["Status"], shown["Error"]["ErrorMessage"]) == ("FAILED", failure["errorMessage"])
    assert "Result" not in shown


def test_branches_items_and_contexts_of_their_own(client: Any) -> None:
    assert run(client, "fan_out", branches=4) == [[0, 1, 4, 9], [1, 2, 3], "inside"]


def test_a_condition_that_is_looked_at_again(client: Any) -> None:
    assert run(client, "polls") == 2


@pytest.mark.parametrize(
    ("function", "payload", "answer"),
    [
        ("plain", {"room": 7}, {"answer": {"got": {"room": 7}}}),
        ("durable:$LATEST", {"do": "steps", "by": 1}, {"answer": 3}),
        (arn("plain"), None, {"answer": {"got": None}}),
    ],
)
def test_it_invokes_other_functions(client: Any, function: str, payload: Any, answer: Any) -> None:
    assert run(client, "chain", function=function, payload=payload) == answer


@pytest.mark.parametrize(
    ("function", "payload", "error"),
    [
        ("plain", "fail", "no such room"),
        ("durable:$LATEST", {"do": "fails"}, "division by zero"),
        ("nobody", 1, "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody:$LATEST"),
        ("durable", {"do": "steps"}, "You cannot invoke a durable function using an unqualified ARN."),
    ],
)
def test_how_other_functions_fail_it(client: Any, function: str, payload: Any, error: str) -> None:
    assert error in run(client, "chain", function=function, payload=payload)["error"]


def test_more_than_one_request_can_carry(client: Any) -> None:
    """6 MB of results are told page by page; more than that a step may have, but the SDK cannot send it."""
    assert run(client, "large", size=250_000, parts=24) == [250_000] * 24
    assert run(client, "many", steps=150) == "done"


def test_a_function_that_dies_is_run_again_until_it_is_given_up(client: Any) -> None:
    execution = begin(client, "dies")
    shown = ended(client, execution)
    assert (shown["Status"], shown["Error"]["ErrorType"]) == ("FAILED", "Runtime.ExitError")
    events = history(client, execution)
    completed = [event for event in events if event["EventType"] == "InvocationCompleted"]
    # The first invocation took a step; the others came no further.
    assert len(completed) == 8
    assert all("Error" in event["InvocationCompletedDetails"] for event in completed)
    assert sum(event["EventType"] == "StepStarted" for event in events) == 1


# Callbacks


def test_a_callback(client: Any) -> None:
    execution = begin(client, "waits_for_approval")
    callback = callback_of(client, execution)
    client.send_durable_execution_callback_heartbeat(CallbackId=callback)
    client.send_durable_execution_callback_success(CallbackId=callback, Result=b'"by me"')
    assert json.loads(ended(client, execution)["Result"]) == {"approved": '"by me"'}
    error = error_of(lambda: client.send_durable_execution_callback_success(CallbackId=callback, Result=b"2"))
    assert error["Error"]["Code"] == "CallbackTimeoutException"


def test_a_callback_that_fails(client: Any) -> None:
    execution = begin(client, "waits_for_approval")
    client.send_durable_execution_callback_failure(
        CallbackId=callback_of(client, execution), Error={"ErrorType": "No", "ErrorMessage": "not today"}
    )
    assert "not today" in json.loads(ended(client, execution)["Result"])["refused"]


@pytest.mark.parametrize(("limit", "error"), [("timeout", "Callback timed out"), ("heartbeat", "on heartbeat")])
def test_a_callback_that_nobody_completes(client: Any, limit: str, error: str) -> None:
    assert error in run(client, "waits_for_approval", **{limit: 1})["refused"]


def test_callbacks_that_are_none(client: Any) -> None:
    for id, code in (("bm9uZQ==", "InvalidParameterValueException"), ("WyJ4IiwgInkiXQ==", "CallbackTimeoutException")):
        error = error_of(lambda id=id: client.send_durable_execution_callback_heartbeat(CallbackId=id))
        assert error["Error"]["Code"] == code


# Names


def test_an_execution_begins_once_under_its_name(client: Any) -> None:
    name = f"order-{next(_numbers)}"
    request = {"FunctionName": "durable:$LATEST", "DurableExecutionName": name, "Payload": b'{"do": "steps", "by": 4}'}
    accepted = call(client, InvocationType="Event", **request)
    execution = accepted["DurableExecutionArn"]
    assert f"/durable-execution/{name}/" in execution
    # While it runs, and when it has ended, who asks again gets the one and its result.
    for _ in range(2):
        told = call(client, **request)
        assert (told["DurableExecutionArn"], told["Payload"]) == (execution, b"9")
    assert sum(event["EventType"] == "ExecutionStarted" for event in history(client, execution)) == 1
    error = error_of(lambda: call(client, **{**request, "Payload": b'{"do": "steps", "by": 5}'}))
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert error["Error"] == {
        "Code": "DurableExecutionAlreadyStartedException",
        "Message": f"Execution already started: {execution}",
    }


def test_how_a_durable_function_cannot_be_invoked(client: Any) -> None:
    error = error_of(lambda: call(client, FunctionName="durable"))
    assert error["Error"]["Message"] == "You cannot invoke a durable function using an unqualified ARN."
    error = error_of(lambda: call(client, FunctionName="plain", DurableExecutionName="name"))
    assert error["Error"]["Code"] == "InvalidParameterValueException"
    assert call(client, FunctionName="durable:$LATEST", InvocationType="DryRun")["StatusCode"] == 204


def test_a_long_execution_is_not_waited_for(client: Any) -> None:
    layers = client.get_function_configuration(FunctionName="durable")["Layers"]
    create(client, "long", WORKFLOWS, Layers=[layers[0]["Arn"]], DurableConfig={"ExecutionTimeout": 901})
    error = error_of(lambda: call(client, FunctionName="long:$LATEST", Payload=b"{}"))
    assert error["Error"]["Message"] == (
        "You cannot synchronously invoke a durable function with an executionTimeout greater than 15 minutes."
    )
    assert call(client, FunctionName="long:$LATEST", InvocationType="Event", Payload=b"{}")["DurableExecutionArn"]


# Being looked after


def test_it_is_stopped(client: Any) -> None:
    execution = begin(client, "sleeps", seconds=1000)
    until(lambda: history(client, execution)[-1]["EventType"] == "InvocationCompleted")
    error = {"ErrorType": "Operator", "ErrorMessage": "enough"}
    at = client.stop_durable_execution(DurableExecutionArn=execution, Error=error)["StopTimestamp"]
    shown = get(client, execution)
    assert (shown["Status"], shown["Error"], shown["EndTimestamp"]) == ("STOPPED", error, at)
    assert client.stop_durable_execution(DurableExecutionArn=execution)["StopTimestamp"] == at
    assert history(client, execution)[-1]["EventType"] == "ExecutionStopped"


def test_it_is_paused_and_resumed(client: Any) -> None:
    execution = begin(client, "sleeps", seconds=1)
    client.pause_durable_execution(DurableExecutionArn=execution, Reason="a look")
    until(lambda: get(client, execution)["Status"] == "PAUSED")
    details = get(client, execution)["PauseDetails"]
    assert (details["Reason"], details["ExecutionTimeoutPaused"]) == ("a look", True)
    error = error_of(lambda: client.pause_durable_execution(DurableExecutionArn=execution))
    assert error["Error"]["Code"] == "ResourceConflictException"
    client.resume_durable_execution(DurableExecutionArn=execution, Reason="seen")
    shown = ended(client, execution)
    assert (shown["Status"], shown["Result"]) == ("SUCCEEDED", '"slept"')
    told = [event["EventType"] for event in history(client, execution)]
    assert told.index("ExecutionPaused") < told.index("ExecutionResumed")
    error = error_of(lambda: client.resume_durable_execution(DurableExecutionArn=execution))
    assert error["Error"]["Code"] == "ResourceConflictException"


def test_it_is_deleted(client: Any) -> None:
    execution = begin(client, "sleeps", seconds=1000)
    error = error_of(lambda: client.delete_durable_execution(DurableExecutionArn=execution))
    assert error["Error"]["Code"] == "ResourceConflictException"
    client.stop_durable_execution(DurableExecutionArn=execution)
    until(lambda: client.delete_durable_execution(DurableExecutionArn=execution)["DeletionRequestTimestamp"])

    def gone() -> bool:
        listed = client.list_durable_executions_by_function(FunctionName="durable")["DurableExecutions"]
        return execution not in [each["DurableExecutionArn"] for each in listed]

    until(gone)
    error = error_of(lambda: get(client, execution))
    assert error["Error"] == {"Code": "ResourceNotFoundException", "Message": "Durable Execution does not exist"}


def test_it_times_out(client: Any) -> None:
    layers = client.get_function_configuration(FunctionName="durable")["Layers"]
    create(client, "short", WORKFLOWS, Layers=[layers[0]["Arn"]], DurableConfig={"ExecutionTimeout": 1})
    payload = b'{"do": "sleeps", "seconds": 100}'
    told = call(client, FunctionName="short:$LATEST", Payload=payload)
    assert json.loads(told["Payload"]) == {"errorMessage": "Execution timed out after 1 seconds."}
    assert get(client, told["DurableExecutionArn"])["Status"] == "TIMED_OUT"


def test_lists_and_pages(client: Any) -> None:
    names = [f"listed-{next(_numbers)}" for _ in range(3)]
    for name in names:
        call(client, FunctionName="durable:$LATEST", DurableExecutionName=name, Payload=b'{"do": "steps", "by": 1}')

    def listed(**more: Any) -> list[str]:
        pages = client.get_paginator("list_durable_executions_by_function").paginate(FunctionName="durable", **more)
        return [each["DurableExecutionName"] for page in pages for each in page["DurableExecutions"]]

    assert listed(PaginationConfig={"PageSize": 2})[:3] == names[::-1]
    assert listed(ReverseOrder=True, PaginationConfig={"PageSize": 2})[-3:] == names
    assert listed(DurableExecutionName=names[1]) == [names[1]]
    assert listed(Statuses=["RUNNING"], DurableExecutionName=names[1]) == []
    assert listed(Qualifier="$LATEST")[:3] == names[::-1]
    [one] = client.list_durable_executions_by_function(FunctionName="durable", DurableExecutionName=names[0])[
        "DurableExecutions"
    ]
    execution = one["DurableExecutionArn"]
    pages = client.get_paginator("get_durable_execution_history").paginate(
        DurableExecutionArn=execution, ReverseOrder=True, IncludeExecutionData=False, PaginationConfig={"PageSize": 3}
    )
    events = [event for page in pages for event in page["Events"]]
    assert [event["EventId"] for event in events] == list(range(10, 0, -1))
    assert events[-1]["ExecutionStartedDetails"]["Input"] == {"Truncated": True}
    shown = get(client, execution, IncludeExecutionData=False)
    assert not {"InputPayload", "Result"} & shown.keys()
    error = error_of(lambda: client.list_durable_executions_by_function(FunctionName="nobody"))
    assert error["Error"]["Code"] == "ResourceNotFoundException"


# Versions, and who may say what


def test_an_execution_stays_with_its_version(client: Any) -> None:
    layers = client.get_function_configuration(FunctionName="durable")["Layers"]
    code = (
        "from aws_durable_execution_sdk_python import durable_execution\nfrom aws_durable_execution_sdk_python.config "
    )
    code += "import Duration\nimport os\n@durable_execution\ndef h(event, context):\n"
    code += '    context.wait(Duration.from_seconds(1))\n    return os.environ["AWS_LAMBDA_FUNCTION_VERSION"]\n'
    create(client, "versioned", code, Layers=[layers[0]["Arn"]], DurableConfig={"ExecutionTimeout": 60})
    client.publish_version(FunctionName="versioned")
    client.create_alias(FunctionName="versioned", Name="live", FunctionVersion="1")
    execution = call(client, FunctionName="versioned:live", InvocationType="Event")["DurableExecutionArn"]
    assert execution.startswith(f"{arn('versioned', '1')}/durable-execution/")
    client.update_function_configuration(FunctionName="versioned", MemorySize=256)
    client.get_waiter("function_updated_v2").wait(FunctionName="versioned", WaiterConfig={"Delay": 0.05})
    assert ended(client, execution)["Result"] == '"1"'


def test_a_function_speaks_for_its_own_executions_alone(client: Any) -> None:
    other = f"{arn('plain', '$LATEST')}/durable-execution/name/id"
    assert "is not authorized to perform: lambda:CheckpointDurableExecution" in run(
        client, "other_executions", arn=other
    )
    unknown = f"{arn('durable', '$LATEST')}/durable-execution/name/id"
    assert "Invalid checkpoint token" in run(client, "other_executions", arn=unknown)


def test_settings_of_durable_functions(client: Any) -> None:
    shown = client.get_function_configuration(FunctionName="durable")
    assert shown["DurableConfig"] == {"ExecutionTimeout": 300, "RetentionPeriodInDays": 14}
    assert "DurableConfig" not in client.get_function_configuration(FunctionName="plain")
    error = error_of(
        lambda: client.update_function_configuration(FunctionName="plain", DurableConfig={"ExecutionTimeout": 1})
    )
    assert error["Error"]["Code"] == "InvalidParameterValueException"
    create(client, "settled", PLAIN, DurableConfig={"ExecutionTimeout": 1})
    changed = client.update_function_configuration(FunctionName="settled", DurableConfig={"RetentionPeriodInDays": 90})
    assert changed["DurableConfig"] == {"ExecutionTimeout": 1, "RetentionPeriodInDays": 90}


def test_executions_of_other_accounts_are_not_there(client: Any, tmp_path: Path) -> None:
    execution = begin(client, "sleeps", seconds=1000)
    region = client.meta.region_name
    foreign = OndolProcess(tmp_path)
    foreign.endpoint = client.meta.endpoint_url
    stranger = foreign.client(account="999999999999", region=region)
    assert error_of(lambda: get(stranger, execution))["Error"]["Code"] == "ResourceNotFoundException"
    assert (
        error_of(lambda: stranger.stop_durable_execution(DurableExecutionArn=execution))["Error"]["Code"]
        == "ResourceNotFoundException"
    )
    client.stop_durable_execution(DurableExecutionArn=execution)
