"""Paging tokens: opaque to callers, stateless here. Pure.

Those of GetLogEvents say a direction and a position in one stream (`f/…/s`, `b/…/s`, as on AWS); all others hold the
sort key of the last item of a page, together with what they page through, so that no token fits a foreign request.
"""

import base64
import binascii
import re
from typing import TypeVar

import msgspec

from ondol.model.errors import InvalidParameter

_POSITION = re.compile(r"([fb])/([0-9]{1,56})/s")

Key = TypeVar("Key")


def position_token(forward: bool, position: int) -> str:
    return f"{'f' if forward else 'b'}/{position:056d}/s"


def read_position(token: str) -> tuple[bool, int]:
    """Direction (True: forward) and position. Raises `InvalidParameter`."""
    match = _POSITION.fullmatch(token)
    if match is None:
        raise InvalidParameter("The specified nextToken is invalid.")
    return match[1] == "f", int(match[2])


def page_token(kind: str, key: object) -> str:
    """A token for the page after `key`, to be read with the same `kind`."""
    return base64.urlsafe_b64encode(msgspec.json.encode((kind, key))).decode()


def read_page(kind: str, token: str, key_type: type[Key]) -> Key:
    """The key of the last item of the page before. Raises `InvalidParameter`."""
    try:
        found, key = msgspec.json.decode(base64.urlsafe_b64decode(token), type=tuple[str, key_type])  # type: ignore[valid-type]
    except (binascii.Error, ValueError) as error:
        raise InvalidParameter("The specified nextToken is invalid.") from error
    if found != kind:
        raise InvalidParameter("The specified nextToken is invalid.")
    return key
