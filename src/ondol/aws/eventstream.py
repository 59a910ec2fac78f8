"""AWS's event stream, `application/vnd.amazon.eventstream`, as InvokeWithResponseStream answers with it.

```
 total length │ headers' length │ CRC of both │ headers │ payload │ CRC of all before it
```
Numbers are of four bytes, big-endian. Source: the AWS Smithy specification, "Amazon Event Stream Specification"; the
events are the service model's. Encodes only.
"""

import struct
from collections.abc import Mapping
from zlib import crc32

import msgspec

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7
"""The type of a header's value that is text."""

_FRAMING_BYTES = 16
"""Of a message without headers and payload."""


def payload_chunk(payload: bytes) -> bytes:
    """The event PayloadChunk: a piece of what the function answers, of at most 16 MB."""
    return _message(_CHUNK, payload)


def invoke_complete(error_code: str | None, error_details: str | None, log_result: str | None) -> bytes:
    """The event InvokeComplete, the last of a stream; what there is not is left out."""
    told = {"ErrorCode": error_code, "ErrorDetails": error_details, "LogResult": log_result}
    return _message(_COMPLETE, msgspec.json.encode({name: value for name, value in told.items() if value is not None}))


def error(code: str, message: str) -> bytes:
    """The service itself failed after the stream began: the stream's last message, and no event."""
    return _message(_headers({":message-type": "error", ":error-code": code, ":error-message": message}), b"")


def _message(headers: bytes, payload: bytes) -> bytes:
    prelude = struct.pack("!II", _FRAMING_BYTES + len(headers) + len(payload), len(headers))
    prelude_crc = struct.pack("!I", crc32(prelude))
    crc = crc32(payload, crc32(headers, crc32(prelude_crc, crc32(prelude))))
    return b"".join((prelude, prelude_crc, headers, payload, struct.pack("!I", crc)))


def _headers(texts: Mapping[str, str]) -> bytes:
    encoded = ((name.encode(), value.encode()) for name, value in texts.items())
    return b"".join(
        struct.pack("!B", len(name)) + name + struct.pack("!BH", _STRING, len(value)) + value for name, value in encoded
    )


def _event(kind: str, content_type: str) -> bytes:
    return _headers({":event-type": kind, ":content-type": content_type, ":message-type": "event"})


_CHUNK = _event("PayloadChunk", "application/octet-stream")
_COMPLETE = _event("InvokeComplete", "application/json")
