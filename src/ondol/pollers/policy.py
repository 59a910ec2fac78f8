"""What becomes of a batch once the function has answered: pure.

Sources: developer guide, "Implementing partial batch responses" for queues and for streams, and "Retry and bisect
behavior" of Kinesis and DynamoDB mappings.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from ondol.model.time import MINUTE, SECOND


class _Item(msgspec.Struct):
    # Any: whatever is no text makes the whole report worthless, and must be told from one that is absent.
    identifier: Any = msgspec.field(default=None, name="itemIdentifier")


class _Report(msgspec.Struct):
    items: list[_Item] | None = msgspec.field(default=None, name="batchItemFailures")


_REPORTS = msgspec.json.Decoder(_Report | None)

FIRST_RETRY = SECOND // 5
"""After this long a failed batch of a stream is tried again, then after twice as long, and so on."""

SLOWEST_RETRY = MINUTE


def reported_failures(result: bytes, identifiers: Sequence[str]) -> set[str] | None:
    """The records that a function says it failed for; None if its report is worthless, so that all failed.

    Nothing, null, an empty object or an empty list of failures means that none did.
    """
    try:
        report = _REPORTS.decode(result) if result else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None if _is_object(result) else set()
    failures = [item.identifier for item in report.items or ()] if report is not None else []
    sent = set(identifiers)
    if any(not isinstance(failure, str) or failure not in sent for failure in failures):
        return None
    return set(failures)


def _is_object(result: bytes) -> bool:
    """Only an object can be a report; what else a function returns says nothing about its batch."""
    return result.lstrip()[:1] == b"{"


def retry_delay(attempts: int) -> int:
    """Nanoseconds until a batch that was tried so often is tried again."""
    return min(FIRST_RETRY << min(attempts - 1, 16), SLOWEST_RETRY)


def last_result(of_function: str | None, problem: str | None) -> str | None:
    """What a mapping shows of the last batch, or of the source while that cannot be read. AWS's words for the first;
    for the second only their beginning is AWS's."""
    return of_function if problem is None else f"PROBLEM: {problem}"
