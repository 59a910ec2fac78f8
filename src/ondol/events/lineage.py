"""Which functions a chain of events has been through, as told in its X-Ray trace header: how endless loops are noticed.

Pure. SDKs in a function send on the header that it was given (`X-Amzn-Trace-Id`), and with it `Lineage`:
`HASH:COUNT` for each function, joined by commas. AWS's own form of it is not published.

Source: developer guide, "Use Lambda recursive loop detection to prevent infinite loops".
"""

import hashlib
from urllib.parse import unquote

from ondol.events.api import Event
from ondol.model.function import FunctionKey

MOST_PASSES = 16
"""An event that has been through its function so often is stopped."""

_LINEAGE = "Lineage"
_MOST_FUNCTIONS = 32
"""In one header; the oldest are left out."""


def times_passed(trace: str | None, function: FunctionKey) -> int:
    """How often the chain that this header comes from has been through the function."""
    return _counts(_fields(trace or "")).get(_hash(function), 0)


def passed_on(event: Event) -> str:
    """The header that the function is given: the event's own, or a new one, with this function added."""
    fields = _fields(event.trace or "")
    if "Root" not in fields:
        fields["Root"] = f"1-{event.accepted // 1000:x}-{event.request_id.replace('-', '')[:24]}"
    counts = _counts(fields)
    own = _hash(event.function)
    counts[own] = counts.pop(own, 0) + 1
    kept = list(counts.items())[-_MOST_FUNCTIONS:]
    fields[_LINEAGE] = ",".join(f"{function}:{count}" for function, count in kept)
    return ";".join(f"{name}={value}" for name, value in fields.items())


def _fields(trace: str) -> dict[str, str]:
    """The header's parts by name, as far as a header can carry them; SDKs send it percent-encoded, in part."""
    parts = (part.strip() for part in unquote(trace).split(";"))
    pairs = (part.partition("=") for part in parts if part.isascii() and part.isprintable())
    return {name: value for name, equals, value in pairs if equals and name.isalnum()}


def _counts(fields: dict[str, str]) -> dict[str, int]:
    """From whoever sent it: what is no count counts as none."""
    entries = (entry.rpartition(":") for entry in fields.get(_LINEAGE, "").split(","))
    return {
        function: min(int(count), MOST_PASSES)
        for function, _, count in entries
        if function and count.isascii() and count.isdecimal()
    }


def _hash(function: FunctionKey) -> str:
    return hashlib.blake2b(function.arn.encode(), digest_size=4).hexdigest()
