"""How names of groups and streams become paths, and back. Pure.

A name is percent-encoded, so that no name can leave its directory, and cut where it exceeds what a file name may have:
all pieces but the last are directories marked with `+`. The last piece carries numbers after `@`. Neither mark is
ever part of an encoded name.
"""

from collections.abc import Sequence
from urllib.parse import quote, unquote

_LITERAL = "$[]#=,"
_PIECE = 200
"""Characters: with its numbers a piece stays below the 255 bytes that file systems allow."""

CONTINUED = "+"


def path_of(name: str, *numbers: int) -> str:
    """The relative path of a name and the numbers that go with it."""
    encoded = quote(name, safe=_LITERAL, errors="surrogatepass")
    pieces = [encoded[start : start + _PIECE] for start in range(0, len(encoded), _PIECE)] or [""]
    last = "@".join([pieces.pop(), *map(str, numbers)])
    return "/".join([*(piece + CONTINUED for piece in pieces), last])


def name_of(pieces: Sequence[str], last: str, numbers: int) -> tuple[str, tuple[int, ...]] | None:
    """The name and its `numbers` numbers, from the continued pieces and the last one; None if it is no such path."""
    text, *rest = last.split("@")
    if len(rest) != numbers or not all(number.isascii() and number.isdigit() for number in rest):
        return None
    encoded = "".join(piece.removesuffix(CONTINUED) for piece in pieces) + text
    return unquote(encoded, errors="surrogatepass"), tuple(map(int, rest))
