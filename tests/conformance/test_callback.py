"""Code in a sandbox calls back into ondol, with nothing configured: as its own role, in its own account, no further."""

import json
from typing import Any

import pytest
from lambda_calls import invoke

from ondol_process import OndolProcess, create

pytestmark = pytest.mark.sandbox

CODE = """
import json, os, urllib.request, urllib.error
import boto3, botocore.exceptions

def client(service="lambda", **options):
    return boto3.client(service, **options)

def handler(event, context):
    try:
        return globals()[event["do"]](event, context)
    except botocore.exceptions.ClientError as error:
        return [error.response["Error"]["Code"], error.response["Error"]["Message"]]

def call(event, context):
    caller = client(**event.get("options", {}))
    return json.load(caller.invoke(FunctionName=event["function"], Payload=json.dumps({"do": "who"}))["Payload"])

def who(event, context):
    return [context.function_name, os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]]

def read(event, context):
    shown = client().get_function_configuration(FunctionName=context.function_name)
    return [shown["FunctionName"], shown["MemorySize"]]

def change(event, context):
    return client().update_function_configuration(FunctionName=context.function_name, MemorySize=512)

def identity(event, context):
    return client("sts").get_caller_identity()["Arn"]

def keys(event, context):
    return [os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]

def unsigned(event, context):
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"] + "/2015-03-31/functions", headers=event["headers"])
    try:
        return urllib.request.urlopen(request).status
    except urllib.error.HTTPError as error:
        return error.code
"""


@pytest.fixture
def function(client: Any, name: str) -> str:
    create(client, name, CODE, Handler="m.handler", MemorySize=1769, Timeout=20)
    return name


def test_it_invokes_another_function_and_reads_its_own_configuration(client: Any, function: str, name: str) -> None:
    other = f"{name[:57]}-other"
    create(client, other, CODE, Handler="m.handler", MemorySize=1769, Timeout=20)
    assert invoke(client, function, {"do": "call", "function": other})[1][0] == other
    assert invoke(client, function, {"do": "read"})[1] == [function, 1769]


def test_it_may_not_change_functions(client: Any, function: str) -> None:
    code, message = invoke(client, function, {"do": "change"})[1]
    assert code == "AccessDeniedException"
    assert message.startswith("User: arn:aws:sts::000000000000:assumed-role/")
    assert f"/{function} is not authorized to perform: lambda:UpdateFunctionConfiguration" in message


def test_it_reaches_no_other_account_and_no_other_region(client: Any, function: str, ondol: OndolProcess) -> None:
    foreign = ondol.client(account="999999999999")
    create(foreign, function, CODE, Handler="m.handler")
    arn = foreign.get_function(FunctionName=function)["Configuration"]["FunctionArn"]
    assert invoke(client, function, {"do": "call", "function": arn})[1][0] == "AccessDeniedException"
    options = {"region_name": "eu-west-3"}
    assert invoke(client, function, {"do": "call", "function": function, "options": options})[1][0] == (
        "AccessDeniedException"
    )


def test_made_up_and_borrowed_credentials_are_refused(client: Any, function: str, name: str) -> None:
    def called_with(access_key: str, secret: str, token: str) -> Any:
        options = {"aws_access_key_id": access_key, "aws_secret_access_key": secret, "aws_session_token": token}
        return invoke(client, function, {"do": "call", "function": function, "options": options})[1][0]

    access_key, _, token = invoke(client, function, {"do": "keys"})[1]
    assert called_with("000000000000", "x", "x") == "UnrecognizedClientException"
    assert called_with(access_key, "x" * 40, token) == "InvalidSignatureException"
    other = f"{name[:57]}-other"
    create(client, other, CODE, Handler="m.handler", MemorySize=1769, Timeout=20)
    assert called_with(*invoke(client, other, {"do": "keys"})[1]) == "UnrecognizedClientException"


HALF_SIGNED = "AWS4-HMAC-SHA256 Credential=1/20260101/us-east-1/lambda/aws4_request"


@pytest.mark.parametrize(("headers", "status"), [({}, 403), ({"Authorization": HALF_SIGNED}, 400)])
def test_what_is_not_signed_is_not_served(client: Any, function: str, headers: dict[str, str], status: int) -> None:
    assert invoke(client, function, {"do": "unsigned", "headers": headers})[1] == status


def test_sts_says_that_it_acts_in_the_functions_role(client: Any, function: str) -> None:
    assert invoke(client, function, {"do": "identity"})[1].endswith(f"/{function}")


def test_the_credentials_are_those_of_the_environment(client: Any, function: str) -> None:
    access_key, secret, token = invoke(client, function, {"do": "keys"})[1]
    assert access_key.startswith("ASIA")
    assert len(secret) == 40
    assert json.dumps(token).isascii()
