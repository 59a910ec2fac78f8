"""What an Invoke asks for, read in a few microseconds: the one request on the warm path. And its sisters.

Says the same as the general way (`ondol.aws.parse`, `ondol.aws.validate`), which it takes for whatever it does not
recognise, so that there is one set of errors.
"""

import base64
import binascii
import re
from enum import Enum

import msgspec

from ondol.model.errors import InvalidRequestContent
from ondol.model.function import FunctionKey

OPERATION = "Invoke"
ASYNC_OPERATION = "InvokeAsync"
STREAM_OPERATION = "InvokeWithResponseStream"
TYPE_HEADER = "x-amz-invocation-type"
LOG_HEADER = "x-amz-log-type"
CONTEXT_HEADER = "x-amz-client-context"
TENANT_HEADER = "x-amz-tenant-id"
DURABLE_HEADER = "x-amz-durable-execution-name"


class InvocationType(Enum):
    REQUEST_RESPONSE = "RequestResponse"
    EVENT = "Event"
    DRY_RUN = "DryRun"


class InvokeParameters(msgspec.Struct, frozen=True, gc=False):
    """A valid Invoke, but for its payload and for whether the function exists."""

    function: FunctionKey
    qualifier: str | None
    """As it was asked for, in the name or the query; None for `$LATEST` unsaid."""

    type: InvocationType
    tail: bool
    """The last 4 KB of the log are wanted with the answer."""

    client_context: str | None
    """JSON in base64, as it came, checked."""

    tenant: str | None = None
    durable_execution: str | None = None
    stream: bool = False
    """The answer is an event stream."""


TYPES: dict[str | None, InvocationType] = {
    None: InvocationType.REQUEST_RESPONSE,
    **{t.value: t for t in InvocationType},
}
TAILS: dict[str | None, bool] = {None: False, "None": False, "Tail": True}


_NOT_PLAIN = re.compile("[^ -~]")


def client_context_of(text: str) -> str:
    """What a checked client context says, as a field of a header can carry it: the same JSON on one line, in ASCII."""
    return _NOT_PLAIN.sub(_plain, base64.b64decode(text).decode())


def _plain(character: re.Match[str]) -> str:
    """Of JSON: between values there may be control characters, inside of texts any but these."""
    if character[0] < " ":
        return " "
    units = character[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def check_client_context(text: str) -> str:
    """Raises `InvalidRequestContent` unless `text` is a JSON object in base64."""
    try:
        context = msgspec.json.decode(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _bad_context() from error
    if not isinstance(context, dict):
        raise _bad_context()
    return text


def _bad_context() -> InvalidRequestContent:
    return InvalidRequestContent("Client context must be a valid Base64-encoded JSON object.", Type="")
