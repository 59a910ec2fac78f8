"""What boto3's answers are compared with: whole, so that one key too many is as wrong as one missing."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

ACCOUNT = "000000000000"
REGION = "us-east-1"
ABSENT = "arn:aws:lambda:us-east-1:000000000000:function:nobody-made-this"

Refusal = tuple[int, dict[str, Any]]
"""Status and members of an error, `ResponseMetadata` aside."""


def arn(name: str, qualifier: str | None = None) -> str:
    text = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    return text if qualifier is None else f"{text}:{qualifier}"


def answer(response: dict[str, Any], status: int = 200) -> dict[str, Any]:
    """All members of an answer that has this status."""
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    return {member: value for member, value in response.items() if member != "ResponseMetadata"}


def refusal(call: Callable[[], Any]) -> Refusal:
    """How a call is refused."""
    response = error_of(call)
    members = {member: value for member, value in response.items() if member != "ResponseMetadata"}
    return response["ResponseMetadata"]["HTTPStatusCode"], members


def error_of(call: Callable[[], Any]) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call()
    response: dict[str, Any] = caught.value.response
    return response


def invoke(client: Any, name: str, event: Any = None, **more: Any) -> tuple[dict[str, Any], Any]:
    """The answer, and the result that it carries."""
    told = client.invoke(FunctionName=name, Payload=json.dumps(event), **more)
    return told, json.loads(told["Payload"].read())


CALL_URL = {"StatementId": "url", "Action": "lambda:InvokeFunctionUrl"}
CALL_BY_URL = {"StatementId": "function", "Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True}


def permit_url(client: Any, name: str, principal: str = "*", auth_type: str = "NONE", **qualified: str) -> None:
    """Both permissions that AWS asks for of whoever calls a function URL."""
    named = {"FunctionName": name, "Principal": principal, **qualified}
    client.add_permission(**named, **CALL_URL, FunctionUrlAuthType=auth_type)
    client.add_permission(**named, **CALL_BY_URL)


def not_found(text: str) -> Refusal:
    return 404, _error("ResourceNotFoundException", text, Message=text, Type="User")


def invalid(text: str) -> Refusal:
    return 400, _error("InvalidParameterValueException", text, message=text, Type="User")


def conflict(text: str) -> Refusal:
    return 409, _error("ResourceConflictException", text, message=text, Type="User")


def stale() -> Refusal:
    """The refusal of a RevisionId that is not the latest."""
    text = (
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
    )
    return 412, _error("PreconditionFailedException", text, message=text, Type="User")


def invalid_untyped(text: str) -> Refusal:
    """As `invalid`, of the few checks that say no `Type`."""
    return 400, _error("InvalidParameterValueException", text, message=text)


def unmodelled(status: int, code: str, text: str) -> Refusal:
    return status, _error(code, text)


def violations(*texts: str) -> Refusal:
    """Constraints that are not met, each as `'value' at 'path' ...: what must be`."""
    counted = f"{len(texts)} validation error{'s' if len(texts) > 1 else ''} detected: "
    return unmodelled(400, "ValidationException", counted + "; ".join(f"Value {text}" for text in texts))


def _error(code: str, text: str, **members: str) -> dict[str, Any]:
    return {"Error": {"Code": code, "Message": text}, **members}
