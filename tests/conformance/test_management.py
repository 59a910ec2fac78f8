"""Runtime management and recursive loops: what is kept and shown, and what is refused by name."""

from typing import Any

import pytest
from lambda_calls import ABSENT, answer, arn, error_of, not_found, refusal

from ondol_process import create


@pytest.fixture
def function(client: Any, name: str) -> str:
    create(client, name, "", Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    return name


def test_when_runtimes_are_updated(client: Any, function: str) -> None:
    shown = answer(client.get_runtime_management_config(FunctionName=function))
    assert shown == {"UpdateRuntimeOn": "Auto", "FunctionArn": arn(function)}
    put = answer(
        client.put_runtime_management_config(FunctionName=function, Qualifier="1", UpdateRuntimeOn="FunctionUpdate")
    )
    assert put == {"UpdateRuntimeOn": "FunctionUpdate", "FunctionArn": arn(function, "1")}
    assert answer(client.get_runtime_management_config(FunctionName=f"{function}:1")) == put
    assert client.get_runtime_management_config(FunctionName=function)["UpdateRuntimeOn"] == "Auto"


def test_a_runtimes_version_is_the_one_that_runs(client: Any, function: str) -> None:
    runtime = client.get_function_configuration(FunctionName=function)["RuntimeVersionConfig"]["RuntimeVersionArn"]
    manual = {"FunctionName": function, "UpdateRuntimeOn": "Manual"}
    put = answer(client.put_runtime_management_config(**manual, RuntimeVersionArn=runtime))
    assert put == {"UpdateRuntimeOn": "Manual", "FunctionArn": arn(function), "RuntimeVersionArn": runtime}
    assert answer(client.get_runtime_management_config(FunctionName=function)) == put
    other = runtime[:-1] + ("0" if runtime[-1] != "0" else "1")
    for wrong in ({"RuntimeVersionArn": other}, {}, {"UpdateRuntimeOn": "Auto", "RuntimeVersionArn": runtime}):
        error = error_of(lambda wrong=wrong: client.put_runtime_management_config(**{**manual, **wrong}))["Error"]
        assert error["Code"] == "InvalidParameterValueException"
    assert refusal(lambda: client.get_runtime_management_config(FunctionName=function, Qualifier="live"))[0] == 400
    assert refusal(lambda: client.get_runtime_management_config(FunctionName=function, Qualifier="7"))[0] == 404


def test_recursive_loops(client: Any, function: str) -> None:
    assert answer(client.get_function_recursion_config(FunctionName=function)) == {"RecursiveLoop": "Terminate"}
    put = client.put_function_recursion_config(FunctionName=function, RecursiveLoop="Allow")
    assert answer(put) == {"RecursiveLoop": "Allow"}
    assert answer(client.get_function_recursion_config(FunctionName=function)) == {"RecursiveLoop": "Allow"}
    absent = not_found(f"Function not found: {ABSENT}")
    assert refusal(lambda: client.get_function_recursion_config(FunctionName=ABSENT)) == absent


def test_what_ondol_does_not_have_says_why(client: Any, function: str) -> None:
    for call in (
        client.list_capacity_providers,
        lambda: client.get_function_scaling_config(FunctionName=function, Qualifier="1"),
    ):
        status, error = refusal(call)
        assert (status, error["Error"]["Code"]) == (501, "NotImplementedException")
        assert "machines" in error["Error"]["Message"]
