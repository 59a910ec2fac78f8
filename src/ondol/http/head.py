"""The head of a response as bytes: what may stand in it, and how it is put together fast.

Responses to the same kind of request have the same fields, with other values: their form is made once.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus

from ondol.http.errors import InvalidResponse

Fields = Sequence[tuple[str, str]]
"""Names and values in the order in which they are sent; a repeated name makes a repeated field."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_UNSENDABLE = re.compile(r"[\r\n\0]")
_OURS = frozenset(
    ("connection", "content-length", "date", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)
"""Fields that frame the message or belong to the connection: the server's own business."""


_FEW = 32
"""Fields of a response whose form is kept: a function may answer with any number of any names."""


def _form(status: int, names: Sequence[str]) -> str:
    """What has `%s` for each value, and for the server's own field lines. Raises `InvalidResponse`."""
    if not 200 <= status <= 599:
        raise InvalidResponse(f"{status!r} is no final status")
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise InvalidResponse(f"{name[:300]!r} is no name of a field")
        if name.lower() in _OURS:
            raise InvalidResponse(f"the server itself decides the field {name!r}")
    lines = "".join(f"{name.replace('%', '%%')}: %s\r\n" for name in names)
    return f"HTTP/1.1 {status} {phrase}\r\n{lines}%s\r\n"


_kept_form = lru_cache(maxsize=1024)(_form)


def response_head(status: int, fields: Fields, framing: str) -> bytes:
    """The status line, the fields, the server's own field lines and the empty line.

    Raises `InvalidResponse` for a status outside 200 to 599, and for a name or value that would break the framing.
    """
    names, values = zip(*fields, strict=True) if fields else ((), ())
    form = _kept_form(status, names) if len(names) <= _FEW else _form(status, names)
    text = "".join(values)
    if not text.isprintable() and _UNSENDABLE.search(text):
        raise InvalidResponse("the value of a field holds a line break or a zero byte")
    try:
        return (form % (*values, framing)).encode("latin-1")
    except UnicodeEncodeError as error:
        raise InvalidResponse("the value of a field holds a character above U+00FF") from error
