"""What a function answers to an invocation of a durable execution, and errors as its failures tell them. Pure.

Source: the durable execution SDKs, whose wrappers answer `{"Status": ..., "Result": ..., "Error": ...}`.
"""

from typing import Any

import msgspec

from ondol.durable.records import Error
from ondol.model.foreign_json import UNREADABLE

_MEMBERS = {"errorMessage": "ErrorMessage", "errorType": "ErrorType", "stackTrace": "StackTrace", "trace": "StackTrace"}


class FunctionAnswer(msgspec.Struct, frozen=True):
    status: str = msgspec.field(name="Status")
    result: str | None = msgspec.field(default=None, name="Result")
    error: Error | None = msgspec.field(default=None, name="Error")


_answers = msgspec.json.Decoder(FunctionAnswer)


def read_answer(payload: bytes) -> FunctionAnswer | None:
    """None for what is no such answer."""
    try:
        answer = _answers.decode(payload)
    except UNREADABLE:
        return None
    return answer if answer.status in ("SUCCEEDED", "FAILED", "PENDING") else None


def what_is_wrong(answer: FunctionAnswer | None, something_waits: bool) -> str | None:
    """Why an answer counts as a failure of the execution; None if it does not."""
    if answer is None:
        return "Invalid Status in invocation output."
    if answer.status == "SUCCEEDED" and answer.error is not None:
        return "Cannot provide an Error for SUCCEEDED status."
    if answer.status == "FAILED" and answer.result is not None:
        return "Cannot provide a Result for FAILED status."
    if answer.status == "PENDING" and not something_waits:
        return "Cannot return PENDING status with no pending operations."
    return None


def error_of(failure: bytes) -> Error:
    """The error that a runtime reported, in the words of the service model."""
    try:
        told: Any = msgspec.json.decode(failure)
    except UNREADABLE:
        told = None
    if not isinstance(told, dict):
        return {"ErrorMessage": failure.decode(errors="replace")}
    error: Error = {}
    for member, name in _MEMBERS.items():
        value = told.get(member)
        if isinstance(value, str):
            error[name] = value
        elif isinstance(value, list) and value:
            error[name] = [str(line) for line in value]
    return error


def failure_of(error: Error) -> dict[str, Any]:
    """The reverse, for whoever invoked a durable function and waited."""
    names = {"ErrorMessage": "errorMessage", "ErrorType": "errorType", "ErrorData": "errorData"}
    told: dict[str, Any] = {names[member]: error[member] for member in names if member in error}
    if "StackTrace" in error:
        told["stackTrace"] = error["StackTrace"]
    return told
