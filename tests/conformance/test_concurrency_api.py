"""Reserved concurrency and account settings."""

from typing import Any

import pytest
from lambda_calls import ABSENT, answer, arn, invalid, invalid_untyped, invoke, not_found, refusal, violations

from ondol_process import OndolProcess, create

FUNCTIONS_ONLY = (
    "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
    "Please specify either a function name or an unqualified function ARN."
)


@pytest.fixture
def function(client: Any, name: str) -> Any:
    """A function whose reservation is given back at the end: the account's is shared by all tests."""
    create(client, name, "def h(event, context): return 1", Publish=True)
    yield name
    client.delete_function_concurrency(FunctionName=name)


def test_a_reservation_is_put_shown_and_deleted(client: Any, function: str) -> None:
    assert answer(client.get_function_concurrency(FunctionName=function)) == {}
    put = answer(client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=5))
    assert put == {"ReservedConcurrentExecutions": 5}
    assert answer(client.get_function_concurrency(FunctionName=function)) == {"ReservedConcurrentExecutions": 5}
    put = answer(client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0))
    assert put == {"ReservedConcurrentExecutions": 0}
    assert answer(client.get_function_concurrency(FunctionName=function)) == {"ReservedConcurrentExecutions": 0}
    assert refusal(lambda: client.invoke(FunctionName=function))[0] == 429
    assert answer(client.delete_function_concurrency(FunctionName=function), 204) == {}
    assert answer(client.get_function_concurrency(FunctionName=function)) == {}
    assert invoke(client, function)[1] == 1


def test_a_function_shows_it_and_what_a_qualifier_names_does_not(client: Any, function: str) -> None:
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=2)
    assert client.get_function(FunctionName=function)["Concurrency"] == {"ReservedConcurrentExecutions": 2}
    for qualifier in ("$LATEST", "1"):
        assert "Concurrency" not in client.get_function(FunctionName=function, Qualifier=qualifier)


def test_a_throttle_is_told_whole(client: Any, function: str) -> None:
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    assert refusal(lambda: client.invoke(FunctionName=function)) == (
        429,
        {
            "Error": {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."},
            "message": "Rate Exceeded.",
            "Type": "User",
            "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
        },
    )


def test_a_hundred_stay_unreserved(client: Any, function: str) -> None:
    text = (
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
        "below its minimum value of [100]."
    )
    too_many = refusal(lambda: client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=901))
    assert too_many == invalid_untyped(text)
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=900)


def test_reservations_are_for_functions_only(client: Any, function: str) -> None:
    for call in (
        lambda: client.put_function_concurrency(FunctionName=arn(function, "1"), ReservedConcurrentExecutions=1),
        lambda: client.get_function_concurrency(FunctionName=arn(function, "1")),
        lambda: client.delete_function_concurrency(FunctionName=arn(function, "1")),
    ):
        assert refusal(call) == invalid(FUNCTIONS_ONLY)


def test_existence_is_checked_before_the_value(client: Any) -> None:
    unknown = "nobody-made-this"
    put = refusal(lambda: client.put_function_concurrency(FunctionName=unknown, ReservedConcurrentExecutions=5000))
    assert put == not_found(f"Function not found: {ABSENT}:$LATEST")
    absent = not_found(f"Function not found: {ABSENT}")
    assert refusal(lambda: client.get_function_concurrency(FunctionName=unknown)) == absent
    assert refusal(lambda: client.delete_function_concurrency(FunctionName=unknown)) == absent


def test_a_name_that_cannot_be_is_a_violation(client: Any) -> None:
    status, error = refusal(lambda: client.get_function_concurrency(FunctionName="two words"))
    told = error["Error"]["Message"].removeprefix("1 validation error detected: Value ")
    assert (status, error) == violations(told)
    assert told.startswith("'two words' at 'functionName' failed to satisfy constraint: Member must satisfy regular ")


def test_account_settings_count_what_there_is(ondol: OndolProcess) -> None:
    client = ondol.client(account="444455550001")
    empty = answer(client.get_account_settings())
    assert empty == {
        "AccountLimit": {
            "TotalCodeSize": 80530636800,
            "CodeSizeUnzipped": 262144000,
            "CodeSizeZipped": 52428800,
            "ConcurrentExecutions": 1000,
            "UnreservedConcurrentExecutions": 1000,
        },
        "AccountUsage": {"TotalCodeSize": 0, "FunctionCount": 0},
    }
    create(client, "one", "def h(event, context): return 1", Publish=True)
    create(client, "two", "def h(event, context): return 1")
    client.put_function_concurrency(FunctionName="two", ReservedConcurrentExecutions=30)
    size = client.get_function_configuration(FunctionName="one")["CodeSize"]
    settings = answer(client.get_account_settings())
    assert settings["AccountUsage"] == {"TotalCodeSize": 3 * size, "FunctionCount": 2}, "versions count too"
    assert settings["AccountLimit"]["UnreservedConcurrentExecutions"] == 970
    client.delete_function(FunctionName="one")
    client.delete_function(FunctionName="two")
    assert answer(client.get_account_settings()) == empty
