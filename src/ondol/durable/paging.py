"""Lists in pages. A marker holds the position that the next page begins with, so changes do no harm. Pure."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from ondol.model.errors import InvalidParameterValue
from ondol.model.limits import REQUEST_PAYLOAD_BYTES

PAGE_ITEMS = 100
"""If nothing is asked for (API reference)."""

PAGE_BYTES = REQUEST_PAYLOAD_BYTES
"""Of the texts in one page, but for the first item: an execution may have 100 MB of them."""

Item = TypeVar("Item")


def position_of(number: int) -> str:
    """Of what is counted: texts in the order of the numbers."""
    return f"{number:012}"


def marker_of(position: str) -> str:
    return base64.urlsafe_b64encode(position.encode()).decode()


def page(
    items: Iterable[tuple[str, Item]], parameters: Mapping[str, Any], descending: bool = False
) -> tuple[list[Item], dict[str, str]]:
    """One page of (position, item), which are in the order of their positions; and `NextMarker` if there are more.

    Items are as JSON has them. A page may have fewer than were asked for.

    Raises `InvalidParameterValue` for a marker that is none.
    """
    first = _first(parameters.get("Marker"))
    size = parameters.get("MaxItems") or PAGE_ITEMS
    room = PAGE_BYTES
    taken: list[Item] = []
    for position, item in items:
        if first is not None and (position > first if descending else position < first):
            continue
        room -= _characters(item)
        if taken and (len(taken) == size or room < 0):
            return taken, {"NextMarker": marker_of(position)}
        taken.append(item)
    return taken, {}


def _characters(value: Any) -> int:
    """Of all texts in a value."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_characters, value.values()))
    return sum(map(_characters, value)) if isinstance(value, list) else 0


def _first(marker: str | None) -> str | None:
    if not marker:
        return None
    try:
        return base64.b64decode(marker.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise InvalidParameterValue("Invalid Marker") from None
