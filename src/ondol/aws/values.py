"""Values of the wire, read into the types that ondol works with, and written back.

```
 model       in JSON               in a header, path or query    in ondol
 string      string                text                          str
 integer …   number                decimal text                  int, float
 boolean     true, false           "true", "false"               bool
 timestamp   seconds, a number     ISO 8601, or seconds          WallTime, milliseconds
 blob        base64                base64                        bytes
```
The texts of `SerializationFailed` are what AWS's framework says in other services; unconfirmed for Lambda.
"""

import binascii
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ondol.aws.service_model import Shape
from ondol.model.errors import SerializationFailed

Reader = Callable[[Any], Any]

_ARTICLED = {"string": "a String", "integer": "an Integer", "long": "a Long", "double": "a Double", "float": "a Float"}

_NO_MOMENT = "STRING_VALUE can not be converted to milliseconds since epoch"
_FARTHEST_S = 1 << 53
"""Seconds from 1970, either way, up to which milliseconds are told exactly and fit everywhere."""

_PIECE = 1 << 18
"""Characters, in whole groups of four; about half a millisecond's work."""


def refuse(value: Any, expected: str) -> SerializationFailed:
    """The error for a JSON value that can not be what the model has there."""
    if isinstance(value, list):
        return SerializationFailed("Start of list found where not expected")
    if isinstance(value, dict):
        return SerializationFailed("Start of structure or map found where not expected.")
    return SerializationFailed(f"{_kind(value)} can not be converted to {expected}")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    if isinstance(value, int):
        return "NUMBER_VALUE"
    return "DECIMAL_VALUE" if isinstance(value, float) else "STRING_VALUE"


def json_reader(shape: Shape) -> Reader:
    """How a scalar of this shape is read from decoded JSON."""
    return {
        "string": _string,
        "integer": _whole("an Integer"),
        "long": _whole("a Long"),
        "double": _real("a Double"),
        "float": _real("a Float"),
        "boolean": _boolean,
        "timestamp": _timestamp,
        "blob": _blob,
    }[shape.type]


def text_reader(shape: Shape) -> Reader:
    """How a scalar of this shape is read from a header, a path or a query."""
    match shape.type:
        case "integer" | "long":
            return lambda text: _number(int, text, _ARTICLED[shape.type])
        case "double" | "float":
            return lambda text: _number(float, text, _ARTICLED[shape.type])
        case "boolean":
            return _boolean_text
        case "timestamp":
            return _timestamp_text
        case "blob":
            return _blob
        case _:
            return str


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise refuse(value, "a String")
    return value


def _whole(expected: str) -> Reader:
    def read(value: Any) -> int:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return int(value)  # AWS's framework cuts decimals off
        raise refuse(value, expected)

    return read


def _real(expected: str) -> Reader:
    def read(value: Any) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        raise refuse(value, expected)

    return read


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise refuse(value, "a Boolean")
    return value


def _timestamp(value: Any) -> int:
    if isinstance(value, str):
        return _timestamp_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _FARTHEST_S:
        raise refuse(value, "milliseconds since epoch")
    return round(value * 1000)


def _blob(value: Any) -> bytes:
    if not isinstance(value, str):
        raise refuse(value, "a Blob")
    try:
        return _decoded(value)
    except (binascii.Error, ValueError) as error:
        raise SerializationFailed(f"STRING_VALUE can not be converted to a Blob: {error}") from error


def _decoded(text: str) -> bytes:
    """A long text in pieces: decoding holds the interpreter's lock, and between pieces others have their turn."""
    if len(text) <= _PIECE or text.find("=", 0, -2) >= 0:
        return binascii.a2b_base64(text, strict_mode=True)
    pieces = (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))
    return b"".join([binascii.a2b_base64(piece, strict_mode=True) for piece in pieces])


def _number(read: Callable[[str], Any], text: str, expected: str) -> Any:
    try:
        return read(text)
    except ValueError as error:
        raise SerializationFailed(f"STRING_VALUE can not be converted to {expected}") from error


def _boolean_text(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise SerializationFailed("STRING_VALUE can not be converted to a Boolean")
    return text.lower() == "true"


def _timestamp_text(text: str) -> int:
    try:
        seconds = float(text)
    except ValueError:
        return _iso8601(text)
    if not abs(seconds) <= _FARTHEST_S:  # nor is NaN
        raise SerializationFailed(_NO_MOMENT)
    return round(seconds * 1000)


def _iso8601(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SerializationFailed(_NO_MOMENT) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def json_writer(shape: Shape) -> Callable[[Any], Any] | None:
    """How a scalar of this shape is written to JSON; None for what is written as it is."""
    match shape.type:
        case "timestamp":
            return lambda moment: moment / 1000
        case "blob":
            return lambda data: binascii.b2a_base64(data, newline=False).decode()
        case _:
            return None
