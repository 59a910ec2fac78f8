"""What destinations and dead-letter queues are sent. Pure.

Source: developer guide, "Retaining records of asynchronous invocations" and "Adding a dead-letter queue". Unconfirmed:
what a record says of an attempt that was refused.
"""

import re
from enum import Enum
from typing import Any

import msgspec

from ondol.aws.moments import to_the_millisecond
from ondol.events.api import Event, Failed, Outcome, Refused, Succeeded
from ondol.model.foreign_json import UNREADABLE
from ondol.model.function import FunctionKey
from ondol.model.ids import RequestId
from ondol.model.limits import MEBIBYTE
from ondol.model.time import WallTime

ERROR_MESSAGE_CHARACTERS = 1024

SOURCE = "lambda"
"""Where an event bus is told that a record comes from."""

_LARGEST = {"sqs": MEBIBYTE, "sns": 262_144, "events": 262_144, "lambda": MEBIBYTE}
"""Bytes of a record that each service takes; payloads are left out of a larger one."""

_SWITCHED_OFF = "Function not invoked. Function isconfigured with zero reserved concurrent executions"
"""As AWS spells it, at second hand."""

_UNSENDABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What messages of SQS and SNS cannot have in them, such as the colours of a terminal (API reference, SendMessage)."""

_JSON = msgspec.json.Decoder(msgspec.Raw)


class Condition(Enum):
    """Why there are no more attempts, in AWS's words."""

    SUCCESS = "Success"
    EXHAUSTED = "RetriesExhausted"
    TOO_OLD = "EventAgeExceeded"
    SWITCHED_OFF = "ZeroReservedConcurrency"
    RECURSIVE = "RecursiveInvocation"
    """Unconfirmed."""


class Delivery(msgspec.Struct, frozen=True, gc=False, tag="delivery", omit_defaults=True):
    """Something that a destination is to be sent. Kept in the store as it is here."""

    request_id: RequestId
    function: FunctionKey
    source: str
    """ARN of the function, with a qualifier."""

    destination: str
    """ARN."""

    body: str
    at: WallTime
    success: bool = False
    attributes: dict[str, tuple[str, str]] = {}
    """Of a message: by name, its type and its value."""

    trace: str | None = None

    @property
    def service(self) -> str:
        """Which service the destination belongs to."""
        return self.destination.split(":", 3)[2]


def detail_type(delivery: Delivery) -> str:
    """As an event bus is told what this is."""
    return f"Lambda Function Invocation Result - {'Success' if delivery.success else 'Failure'}"


def destination_record(
    event: Event, destination: str, condition: Condition, last: Outcome | None, now: WallTime
) -> Delivery:
    """The record of an invocation that is over; `last` is how the last attempt ended, if there was one."""
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": to_the_millisecond(now),
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": event.arn,
            "condition": condition.value,
            "approximateInvokeCount": _invoke_count(event, last),
        },
        "requestPayload": msgspec.Raw(event.payload),
    }
    if last is not None:
        record["responseContext"] = _response_context(last)
    if isinstance(last, Succeeded | Failed):
        record["responsePayload"] = _json(last.payload)
    return Delivery(
        request_id=event.request_id,
        function=event.function,
        source=event.arn,
        destination=destination,
        body=_fitting(record, destination),
        at=now,
        success=condition is Condition.SUCCESS,
        trace=event.trace,
    )


def dead_letter(
    event: Event, destination: str, condition: Condition, last: Failed | Refused | None, now: WallTime
) -> Delivery:
    """The event itself, with attributes that say what was wrong."""
    status, message = _error(condition, last)
    attributes = {"RequestID": ("String", str(event.request_id))}
    if status is not None:
        attributes["ErrorCode"] = ("Number", str(status))
    if message:
        attributes["ErrorMessage"] = ("String", _UNSENDABLE.sub("\ufffd", message[:ERROR_MESSAGE_CHARACTERS]))
    return Delivery(
        request_id=event.request_id,
        function=event.function,
        source=event.arn,
        destination=destination,
        body=event.payload.decode(),
        at=now,
        attributes=attributes,
        trace=event.trace,
    )


def _invoke_count(event: Event, last: Outcome | None) -> int:
    ran = isinstance(last, Succeeded | Failed) or (isinstance(last, Refused) and last.status == 404)
    return event.failures + ran


def _response_context(last: Outcome) -> dict[str, Any]:
    match last:
        case Succeeded(version, _):
            return {"statusCode": 200, "executedVersion": version}
        case Failed(version, _):
            return {"statusCode": 200, "executedVersion": version, "functionError": "Unhandled"}
        case Refused(status, _):
            return {"statusCode": status}


def _error(condition: Condition, last: Failed | Refused | None) -> tuple[int | None, str]:
    match last:
        case None:
            return None, _SWITCHED_OFF if condition is Condition.SWITCHED_OFF else ""
        case Refused(status, message):
            return status, message
        case Failed(_, payload):
            try:
                return 200, str(msgspec.json.decode(payload)["errorMessage"])
            except (*UNREADABLE, TypeError, KeyError):
                return 200, payload.decode(errors="replace")


def _json(payload: bytes) -> msgspec.Raw | str:
    """A result as it is, if it is JSON; a runtime may answer with anything."""
    try:
        payload.decode()
        return _JSON.decode(payload)
    except UNREADABLE:
        return payload.decode(errors="replace")


def _fitting(record: dict[str, Any], destination: str) -> str:
    largest = _LARGEST.get(destination.split(":", 3)[2])
    body = msgspec.json.encode(record)
    for member in ("responsePayload", "requestPayload"):
        if largest is not None and len(body) > largest and member in record:
            del record[member]
            body = msgspec.json.encode(record)
    return body.decode()
