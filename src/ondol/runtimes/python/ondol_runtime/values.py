"""Event and result, to and from JSON, with the choices that AWS's runtime has made.

Where the standard encoder would write something else (a named tuple as a list) or nothing at all (a Decimal, bytes
inside a value), the slow writer below does what AWS's does: object, bare number, text. Results are written in ASCII up
to Python 3.11 and in UTF-8 from 3.12 on.
"""

from __future__ import annotations

import decimal
import json
import os
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import TYPE_CHECKING, Any

from .faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

_SCALARS = frozenset((str, int, float, bool, type(None)))
_decode = json.JSONDecoder().decode


class _NeedsSlowWriter(TypeError):
    """The standard encoder met a value that it does not know."""


def _unknown(value: object) -> object:
    raise _NeedsSlowWriter(f"Object of type {type(value).__name__} is not JSON serializable")


def _writes_ascii() -> bool:
    family, _, minor = os.environ.get("AWS_EXECUTION_ENV", "").rpartition("python3.")
    return not (family and minor.isdigit() and int(minor) >= 12)


class Json:
    """Encodes results and errors of one runtime."""

    def __init__(self) -> None:
        ascii_only = _writes_ascii()
        self._encode = json.JSONEncoder(ensure_ascii=ascii_only, default=_unknown).encode
        self._text: Callable[[str], str] = encode_basestring_ascii if ascii_only else encode_basestring

    def dumps(self, value: object) -> str:
        """JSON of a value. Raises what the customer is told: TypeError, ValueError, RecursionError."""
        try:
            text = self._encode(value)
        except TypeError:
            return self._write(value, set())
        if _holds_named_tuple(value):
            return self._write(value, set())
        return text

    def _write(self, value: Any, ancestors: set[int]) -> str:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, bytes):
            return self._text(value.decode())
        if isinstance(value, decimal.Decimal):
            return "NaN" if value.is_nan() else str(value)
        fields = value._asdict() if hasattr(value, "_asdict") and not isinstance(value, type) else value
        if not isinstance(fields, (dict, list, tuple)):
            return self._encode(fields)
        if id(value) in ancestors:
            raise ValueError("Circular reference detected")
        ancestors.add(id(value))
        if isinstance(fields, dict):
            pairs = (f"{self._key(key)}: {self._write(item, ancestors)}" for key, item in fields.items())
            text = "{" + ", ".join(pairs) + "}"
        else:
            text = "[" + ", ".join([self._write(item, ancestors) for item in fields]) + "]"
        ancestors.discard(id(value))
        return text

    def _key(self, key: Any) -> str:
        if isinstance(key, bytes):
            return self._text(key.decode())
        if isinstance(key, str):
            return self._text(key)
        if key is not None and not isinstance(key, (int, float)):
            raise TypeError(f"keys must be str, int, float, bool or None, not {type(key).__name__}")
        return self._encode({key: None})[1 : -len(": null}")]


def _holds_named_tuple(value: object) -> bool:
    """Only asked of what the standard encoder has written: it is finite, and all of it is JSON's own kinds."""
    pending = [value]
    while pending:
        item = pending.pop()
        kind = type(item)
        if kind in _SCALARS:
            continue
        if isinstance(item, dict):
            if kind is not dict and hasattr(item, "_asdict"):
                return True
            pending.extend([inner for inner in item.values() if type(inner) not in _SCALARS])
        elif isinstance(item, (list, tuple)):
            if hasattr(item, "_asdict"):
                return True
            pending.extend([inner for inner in item if type(inner) not in _SCALARS])
    return False


def event_of(body: bytes, content_type: str | None) -> Any:
    """The handler's first argument: what the JSON says, or the bytes themselves where they are not said to be JSON."""
    if content_type != "application/json":
        return body
    try:
        return _decode(body.decode())
    except Exception as error:
        raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from error


def result_of(encoder: Json, value: object) -> tuple[bytes | str, str]:
    """The body and content type of a handler's result; bytes pass as they are."""
    if isinstance(value, bytes):
        return value, "application/unknown"
    try:
        return encoder.dumps(value), "application/json"
    except Exception as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from error
