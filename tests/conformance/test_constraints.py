"""The service model's constraints, sent by a client that does not check them itself: one for each operation."""

from typing import Any

import boto3
import pytest
from botocore.config import Config
from configurations import minimal
from lambda_calls import ABSENT, Refusal, refusal, unmodelled, violations

from ondol_process import OndolProcess, create

BY_NAME: dict[str, dict[str, Any]] = {
    "CreateFunction": minimal("replaced"),
    "GetFunction": {},
    "GetFunctionConfiguration": {},
    "UpdateFunctionCode": {"ZipFile": b"x"},
    "UpdateFunctionConfiguration": {},
    "PublishVersion": {},
    "ListVersionsByFunction": {},
    "CreateAlias": {"Name": "live", "FunctionVersion": "1"},
    "GetAlias": {"Name": "live"},
    "UpdateAlias": {"Name": "live"},
    "DeleteAlias": {"Name": "live"},
    "ListAliases": {},
    "PutFunctionConcurrency": {"ReservedConcurrentExecutions": 1},
    "GetFunctionConcurrency": {},
    "DeleteFunctionConcurrency": {},
    "Invoke": {},
}
"""Operations that name a function, and what else they must have."""


@pytest.fixture(scope="module")
def unchecked(ondol: OndolProcess) -> Any:
    """A client that sends whatever it is told to."""
    return boto3.client(
        "lambda",
        endpoint_url=ondol.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(parameter_validation=False, retries={"max_attempts": 0}),
    )


def refused(client: Any, operation: str, **parameters: Any) -> Refusal:
    methods = {api: method for method, api in client.meta.method_to_api_mapping.items()}
    return refusal(lambda: getattr(client, methods[operation])(**parameters))


def must(value: object, path: str, rule: str) -> str:
    return f"{value} at '{path}' failed to satisfy constraint: Member must {rule}"


@pytest.mark.parametrize("operation", BY_NAME)
def test_a_function_name_is_held_against_the_operations_own_pattern(unchecked: Any, operation: str) -> None:
    members = unchecked.meta.service_model.operation_model(operation).input_shape.members
    pattern = members["FunctionName"].metadata["pattern"]
    told = refused(unchecked, operation, **{**BY_NAME[operation], "FunctionName": "two words"})
    rule = f"satisfy regular expression pattern: {pattern}"
    assert told == violations(must("'two words'", "functionName", rule))


@pytest.mark.parametrize(
    ("operation", "parameters", "text"),
    [
        ("CreateFunction", {"Role": None}, must("null", "role", "not be null")),
        ("CreateFunction", {"Timeout": 0}, must("'0'", "timeout", "have value greater than or equal to 1")),
        ("CreateFunction", {"MemorySize": 64}, must("'64'", "memorySize", "have value greater than or equal to 128")),
        (
            "CreateFunction",
            {"PackageType": "Tar"},
            must("'Tar'", "packageType", "satisfy enum value set: [Zip, Image]"),
        ),
        (
            "CreateFunction",
            {"TracingConfig": {"Mode": "Passive"}},
            must("'Passive'", "tracingConfig.mode", "satisfy enum value set: [Active, PassThrough]"),
        ),
        (
            "UpdateFunctionConfiguration",
            {"EphemeralStorage": {"Size": 1}},
            must("'1'", "ephemeralStorage.size", "have value greater than or equal to 512"),
        ),
        ("ListFunctions", {"MaxItems": 0}, must("'0'", "maxItems", "have value greater than or equal to 1")),
        (
            "ListFunctions",
            {"FunctionVersion": "NEWEST"},
            must("'NEWEST'", "functionVersion", "satisfy enum value set: [ALL]"),
        ),
        ("ListAliases", {"MaxItems": 0}, must("'0'", "maxItems", "have value greater than or equal to 1")),
        (
            "PutFunctionConcurrency",
            {"ReservedConcurrentExecutions": -1},
            must("'-1'", "reservedConcurrentExecutions", "have value greater than or equal to 0"),
        ),
        (
            "PublishVersion",
            {"Description": "x" * 257},
            must(f"'{'x' * 257}'", "description", "have length less than or equal to 256"),
        ),
        (
            "CreateAlias",
            {"FunctionVersion": "latest"},
            must("'latest'", "functionVersion", r"satisfy regular expression pattern: (\$LATEST(\.PUBLISHED)?|[0-9]+)"),
        ),
        (
            "DeleteFunction",
            {"Qualifier": "two words"},
            must(
                "'two words'",
                "qualifier",
                r"satisfy regular expression pattern: \$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+",
            ),
        ),
        (
            "Invoke",
            {"InvocationType": "Later"},
            must("'Later'", "invocationType", "satisfy enum value set: [Event, RequestResponse, DryRun]"),
        ),
        ("Invoke", {"LogType": "Head"}, must("'Head'", "logType", "satisfy enum value set: [None, Tail]")),
    ],
)
def test_other_constraints(unchecked: Any, operation: str, parameters: dict[str, Any], text: str) -> None:
    named = {} if operation == "ListFunctions" else {"FunctionName": "any", **BY_NAME.get(operation, {})}
    given = {name: value for name, value in (named | parameters).items() if value is not None}
    status, error = refused(unchecked, operation, **given)
    assert (status, error) == violations(text)


def test_constraints_of_tags(unchecked: Any) -> None:
    for operation, members in (("TagResource", {"Tags": {}}), ("UntagResource", {"TagKeys": []}), ("ListTags", {})):
        status, error = refused(unchecked, operation, Resource="two words", **members)
        assert (status, error["Error"]["Code"]) == (400, "ValidationException")
        assert "'two words' at 'resource' failed to satisfy constraint" in error["Error"]["Message"]
    given = refused(unchecked, "TagResource", Resource=ABSENT, Tags={"k": 1})
    assert given == unmodelled(400, "SerializationException", "NUMBER_VALUE can not be converted to a String")


def test_all_violations_are_told_together(unchecked: Any) -> None:
    told = refused(unchecked, "CreateFunction", **{**minimal("any"), "Timeout": 0, "MemorySize": 1})
    assert told == violations(
        must("'0'", "timeout", "have value greater than or equal to 1"),
        must("'1'", "memorySize", "have value greater than or equal to 128"),
    )


def test_constraints_are_checked_before_whether_the_name_is_taken(client: Any, unchecked: Any, name: str) -> None:
    create(client, name, "")
    assert refused(unchecked, "CreateFunction", **{**minimal(name), "Timeout": 0})[0] == 400
