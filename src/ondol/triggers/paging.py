"""Lists in pages. A token names the item that the page ended with, so what is deleted meanwhile does no harm."""

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from ondol.model.errors import ValidationFailed

Item = TypeVar("Item")

PAGE_ITEMS = 100


def page(items: Sequence[tuple[str, Item]], token: str | None, size: int | None) -> tuple[list[Item], dict[str, str]]:
    """One page of (position, item), which go up by position, and `NextToken` if there are more.

    Raises `ValidationFailed` for a token that is none of ours.
    """
    begun_after = "" if token is None else _decoded(token)
    left = [pair for pair in items if token is None or pair[0] > begun_after]
    shown = left[: size or PAGE_ITEMS]
    following = {}
    if len(left) > len(shown):
        following["NextToken"] = base64.urlsafe_b64encode(shown[-1][0].encode()).decode()
    return [item for _, item in shown], following


def _decoded(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise ValidationFailed("Invalid value for parameter nextToken.") from None
