"""Update code and configuration: what is answered at once, what holds when it is done, and what is refused."""

import base64
import hashlib
import json
import threading
from typing import Any

import pytest
from configurations import CODE, plain, settled
from lambda_calls import ABSENT, answer, arn, conflict, invalid, invoke, not_found, refusal, stale, violations

from ondol_process import RUNTIME, OndolProcess, create, package

IN_PROGRESS = {
    "State": "Active",
    "LastUpdateStatus": "InProgress",
    "LastUpdateStatusReason": "The function is being created.",
    "LastUpdateStatusReasonCode": "Creating",
}
OTHER = package({"m.py": "def h(event, context): return 'other'"})


@pytest.fixture
def function(client: Any, name: str) -> str:
    """A plain function that is active."""
    create(client, name, {"m.py": "def h(event, context): return event"})
    return name


def update(client: Any, name: str, **settings: Any) -> dict[str, Any]:
    """Update the configuration and wait until it holds."""
    updated: dict[str, Any] = client.update_function_configuration(FunctionName=name, **settings)
    wait(client, name)
    return updated


def wait(client: Any, name: str) -> None:
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})


def test_an_update_of_the_code_is_in_progress_and_then_successful(client: Any, function: str) -> None:
    before = client.get_function_configuration(FunctionName=function)
    updated = answer(client.update_function_code(FunctionName=function, ZipFile=OTHER))
    changed = {
        "CodeSize": len(OTHER),
        "CodeSha256": base64.b64encode(hashlib.sha256(OTHER).digest()).decode(),
    }
    assert settled(updated) == plain(function) | changed | IN_PROGRESS
    wait(client, function)
    after = answer(client.get_function_configuration(FunctionName=function))
    assert settled(after) == plain(function) | changed
    assert len({before["RevisionId"], updated["RevisionId"], after["RevisionId"]}) == 3
    assert before["LastModified"] < updated["LastModified"] == after["LastModified"]
    assert invoke(client, function)[1] == "other"


def test_an_update_of_the_configuration_leaves_what_it_does_not_name(client: Any, function: str) -> None:
    given: dict[str, Any] = {
        "Description": "new",
        "Timeout": 7,
        "MemorySize": 256,
        "EphemeralStorage": {"Size": 1024},
        "Environment": {"Variables": {"KEY": "value"}},
        "TracingConfig": {"Mode": "Active"},
        "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/1",
        "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:dead"},
        "Handler": "m.other",
    }
    told = update(client, function, **given)
    assert settled(answer(told)) == plain(function) | given | IN_PROGRESS
    assert settled(client.get_function_configuration(FunctionName=function) | {"ResponseMetadata": 0}) == (
        plain(function) | given | {"ResponseMetadata": 0}
    )
    for setting, value in given.items():
        update(client, function, Description="once more")
        assert client.get_function_configuration(FunctionName=function)[setting] == (
            "once more" if setting == "Description" else value
        )
    update(client, function, KMSKeyArn="", DeadLetterConfig={"TargetArn": ""}, Environment={"Variables": {}})
    emptied = client.get_function_configuration(FunctionName=function)
    assert not {"KMSKeyArn", "DeadLetterConfig"} & set(emptied)
    assert emptied["Environment"] == {"Variables": {}}


def test_an_environment_without_variables_leaves_them(client: Any, function: str) -> None:
    update(client, function, Environment={"Variables": {"KEY": "value"}})
    assert update(client, function, Environment={})["Environment"] == {"Variables": {"KEY": "value"}}


def test_an_invocation_sees_what_was_updated(client: Any, name: str) -> None:
    code = "import os\ndef h(event, context): return [os.environ.get('KEY'), context.memory_limit_in_mb, __name__]"
    create(client, name, code)
    assert invoke(client, name)[1] == [None, "128", "m"]
    update(client, name, Environment={"Variables": {"KEY": "온돌"}}, MemorySize=192)
    assert invoke(client, name)[1] == ["온돌", "192", "m"]


def test_what_no_environment_can_notice_keeps_the_warm_ones(client: Any, name: str) -> None:
    create(client, name, "n = 0\ndef h(event, context):\n    global n\n    n += 1\n    return n")
    assert invoke(client, name)[1] == 1
    update(client, name, Description="only words")
    assert invoke(client, name)[1] == 2
    update(client, name, Timeout=5)
    assert invoke(client, name)[1] == 1


@pytest.mark.parametrize(
    ("steps", "shown"),
    [
        ([{"LogFormat": "JSON"}, {"SystemLogLevel": "DEBUG"}], ["JSON", "INFO", "DEBUG"]),
        ([{"LogFormat": "JSON", "ApplicationLogLevel": "ERROR"}, {"LogFormat": "JSON"}], ["JSON", "INFO", "INFO"]),
        ([{"LogFormat": "JSON", "LogGroup": "/mine"}, {"LogFormat": "Text"}], ["Text", None, None]),
        ([{"LogFormat": "JSON"}, {"LogGroup": "/mine"}], ["JSON", "INFO", "INFO"]),
        ([{"LogFormat": "JSON"}, {"LogFormat": "Text"}], ["Text", None, None]),
    ],
)
def test_a_logging_config_is_whole_with_its_format_and_partial_without(
    client: Any, function: str, steps: list[dict[str, str]], shown: list[str | None]
) -> None:
    for step in steps:
        update(client, function, LoggingConfig=step)
    logging = client.get_function_configuration(FunctionName=function)["LoggingConfig"]
    assert [logging.get(key) for key in ("LogFormat", "ApplicationLogLevel", "SystemLogLevel")] == shown
    assert logging["LogGroup"] == steps[-1].get("LogGroup", f"/aws/lambda/{function}")


def test_a_removed_vpc_config_stays_as_an_empty_one(client: Any, function: str) -> None:
    update(client, function, VpcConfig={"SubnetIds": [], "SecurityGroupIds": []})
    assert client.get_function_configuration(FunctionName=function)["VpcConfig"] == {
        "SubnetIds": [],
        "SecurityGroupIds": [],
        "VpcId": "",
        "Ipv6AllowedForDualStack": False,
    }


def test_updating_with_publish_answers_the_version(client: Any, function: str) -> None:
    told = answer(client.update_function_code(FunctionName=function, ZipFile=OTHER, Publish=True))
    assert (told["Version"], told["FunctionArn"]) == ("1", arn(function, "1"))
    client.get_waiter("published_version_active").wait(
        FunctionName=function, Qualifier="1", WaiterConfig={"Delay": 0.05}
    )
    wait(client, function)
    client.update_function_code(FunctionName=function, ZipFile=CODE)
    wait(client, function)
    assert invoke(client, function, "echo")[1] == "echo"
    assert invoke(client, function, Qualifier="1")[1] == "other"


def test_a_dry_run_changes_nothing(client: Any, function: str) -> None:
    before = answer(client.get_function_configuration(FunctionName=function))
    told = client.update_function_code(FunctionName=function, ZipFile=OTHER, DryRun=True)
    assert told["CodeSize"] == len(OTHER)
    assert answer(client.get_function_configuration(FunctionName=function)) == before


def test_a_stale_revision_is_refused(client: Any, function: str) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    for call in (
        lambda: client.update_function_code(FunctionName=function, ZipFile=OTHER, RevisionId=unknown),
        lambda: client.update_function_configuration(FunctionName=function, Timeout=5, RevisionId=unknown),
        lambda: client.publish_version(FunctionName=function, RevisionId=unknown),
    ):
        assert refusal(call) == stale()
    current = client.get_function_configuration(FunctionName=function)["RevisionId"]
    update(client, function, Timeout=5, RevisionId=current)


def test_one_update_at_a_time(client: Any, function: str, ondol: OndolProcess) -> None:
    """Two at once, until one of them came while the other was in progress; none is lost, none half done."""
    refused = []

    def call(own: Any, timeout: int) -> None:
        try:
            own.update_function_configuration(FunctionName=function, Timeout=timeout)
        except own.exceptions.ResourceConflictException as error:
            refused.append(error.response)

    for attempt in range(20):
        threads = [threading.Thread(target=call, args=(ondol.client(), 10 + 2 * attempt + each)) for each in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait(client, function)
        if refused:
            break
    text = f"The operation cannot be performed at this time. An update is in progress for resource: {arn(function)}"
    members = {member: value for member, value in refused[0].items() if member != "ResponseMetadata"}
    assert (409, members) == conflict(text)


def test_an_unknown_function_cannot_be_updated(client: Any) -> None:
    absent = not_found(f"Function not found: {ABSENT}")
    assert refusal(lambda: client.update_function_code(FunctionName="nobody-made-this", ZipFile=CODE)) == absent
    assert refusal(lambda: client.update_function_configuration(FunctionName="nobody-made-this")) == absent


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"ImageUri": "000000000000.dkr.ecr.us-east-1.amazonaws.com/i:t"},
            invalid("Please don't provide ImageUri when updating a function with packageType Zip."),
        ),
        (
            {"ZipFile": b"no zip"},
            invalid("Could not unzip uploaded file. Please check your file, then try to upload again."),
        ),
        ({}, invalid("Please provide a source for function code.")),
    ],
)
def test_code_that_is_refused(client: Any, function: str, settings: Any, expected: Any) -> None:
    assert refusal(lambda: client.update_function_code(FunctionName=function, **settings)) == expected


def test_configurations_that_are_refused(client: Any, function: str) -> None:
    def refused(**settings: Any) -> Any:
        return refusal(lambda: client.update_function_configuration(FunctionName=function, **settings))

    above = "'901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900"
    assert refused(Timeout=901) == violations(above)
    assert refused(Runtime="python2.7")[1]["Error"]["Code"] == "InvalidParameterValueException"
    variables = {"LONG": "x" * 4096}
    status, error = refused(Environment={"Variables": variables})
    assert status == 400
    measured = json.dumps(variables, separators=(",", ":"))
    assert error["Error"]["Message"].endswith(f"exceeded the 4KB limit. String measured: {measured}")
    assert settled(answer(client.get_function_configuration(FunctionName=function))) == plain(function)
    assert client.get_function_configuration(FunctionName=function)["Runtime"] == RUNTIME
