"""What a function is given when it is invoked for a durable execution. Pure.

As much of what there is as fits; the rest it reads with GetDurableExecutionState.
"""

from collections.abc import Sequence

import msgspec

from ondol.durable.paging import marker_of, position_of
from ondol.durable.records import Operation
from ondol.durable.shown import shown_operation

FIRST_PAGE_BYTES = 4_194_304
"""Of the JSON of operations: their payloads are strings in it, and the whole is to have room in 6 MB."""

_encode = msgspec.json.Encoder().encode


def invocation_input(arn: str, token: str, operations: Sequence[Operation], updated: Sequence[str]) -> bytes:
    """`operations` are those that are replayed; `updated` names what has changed since the function last ran."""
    shown: list[msgspec.Raw] = []
    size = 0
    for operation in operations:
        text = _encode(shown_operation(operation))
        size += len(text)
        if shown and size > FIRST_PAGE_BYTES:
            break
        shown.append(msgspec.Raw(text))
    marker = marker_of(position_of(len(shown))) if len(shown) < len(operations) else ""
    return _encode(
        {
            "DurableExecutionArn": arn,
            "CheckpointToken": token,
            "InitialExecutionState": {"Operations": shown, "NextMarker": marker},
            "UpdatedOperationIds": updated,
        }
    )
