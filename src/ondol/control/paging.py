"""Lists in pages. A marker names the item that the next page begins with, so what is deleted meanwhile does no harm."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, TypeVar

from ondol.model.errors import InvalidParameterValue

PAGE_ITEMS = 50
"""The most that one page has, whatever is asked for (API reference, ListFunctions)."""

_LONGEST_POSITION = 512
"""Characters; a longer marker is none of ours."""

Item = TypeVar("Item")


def start(parameters: Mapping[str, Any]) -> str:
    """The position that the page begins with; "" is the beginning. Raises `InvalidParameterValue`."""
    marker = parameters.get("Marker", "")
    try:
        position = base64.b64decode(marker.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise _invalid() from None
    if len(position) > _LONGEST_POSITION:
        raise _invalid()
    return position


def _invalid() -> InvalidParameterValue:
    return InvalidParameterValue("The provided marker is not valid.")


def page(
    items: Iterable[tuple[str, Item]], parameters: Mapping[str, Any], most: int = PAGE_ITEMS
) -> tuple[list[Item], dict[str, str]]:
    """One page of (position, item), which begin where the page does, and `NextMarker` if there are more."""
    size = min(parameters.get("MaxItems", most), most)
    taken = list(islice(items, size + 1))
    following = {}
    if len(taken) > size:
        following["NextMarker"] = base64.urlsafe_b64encode(taken[size][0].encode()).decode()
    return [item for _, item in taken[:size]], following
