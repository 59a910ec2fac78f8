"""The head of a response as bytes: what may stand in it, and how it is put together fast."""

import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus

from ondol.http.errors import InvalidResponse

Fields = Iterable[tuple[str, str]]
"""Names and values in the order in which they are sent; a repeated name makes a repeated field."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSENDABLE = re.compile(r"[\r\n\0]")
_OURS = frozenset(
    ("connection", "content-length", "date", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)
"""Fields that frame the message or belong to the connection: the server's own business."""


class _Names(dict[str, str]):
    """How the names of fields begin their lines, each checked once."""

    def __missing__(self, name: str) -> str:
        if not _TOKEN.fullmatch(name):
            raise InvalidResponse(f"{name!r} is no name of a field")
        if name.lower() in _OURS:
            raise InvalidResponse(f"the server itself decides the field {name!r}")
        beginning = f"{name}: "
        if len(self) < _NAMES_KEPT:
            self[name] = beginning
        return beginning


_NAMES_KEPT = 1024
_NAMES = _Names()


@lru_cache(maxsize=512)
def _status_line(status: int) -> str:
    if not 200 <= status <= 599:
        raise InvalidResponse(f"{status!r} is no final status")
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n"


def response_head(status: int, fields: Fields, framing: str) -> bytes:
    """The status line, the fields, the server's own field lines and the empty line.

    Raises `InvalidResponse` for a status outside 200 to 599, and for a name or value that would break the framing.
    """
    text = _status_line(status)
    for name, value in fields:
        if not value.isprintable() and _UNSENDABLE.search(value):
            raise InvalidResponse("the value of a field holds a line break or a zero byte")
        text += f"{_NAMES[name]}{value}\r\n"
    try:
        return f"{text}{framing}\r\n".encode("latin-1")
    except UnicodeEncodeError as error:
        raise InvalidResponse("the value of a field holds a character above U+00FF") from error
