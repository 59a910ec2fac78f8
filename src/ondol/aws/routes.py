"""Which operation a method, path and query address, and the names that the path carries.

A path is taken apart at its slashes, each part percent-decoded on its own, so that a name may hold any character.
AWS's older clients end some paths in a slash, which means the same. Does not know what the names mean.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import parse_qs, unquote

import msgspec

from ondol.aws.service_model import Operation

_LONGEST_KEPT = 512
"""Characters of path and query up to which an answer is remembered: bounds what strangers can make us keep."""

_NO_QUERY: Mapping[str, list[str]] = {}


class Match(msgspec.Struct, frozen=True):
    """What a request line addresses. Shared between requests: do not change the mappings."""

    operation: str
    uri: Mapping[str, str] = {}
    query: Mapping[str, list[str]] = {}


class _Node:
    """One part of a path: what may follow it, and what ends here."""

    __slots__ = ("ends", "literals", "parameter")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.ends: dict[str, list[_End]] = {}


class _End(msgspec.Struct, frozen=True):
    operation: str
    parameters: tuple[str | None, ...]
    query: tuple[tuple[str, str], ...]
    """Literals that the query must hold; the end that asks for most is tried first."""


class Routes:
    """The routes of one rest-json service."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Node()
        for operation in operations:
            self._add(operation)
        self._remembered = lru_cache(maxsize=4096)(self._find)

    def match(self, method: str, path: str, query: str = "") -> Match | None:
        """`path` as it came, still percent-encoded and without the query; None when no operation has it."""
        if len(path) + len(query) <= _LONGEST_KEPT:
            return self._remembered(method, path, query)
        return self._find(method, path, query)

    def _add(self, operation: Operation) -> None:
        path, _, query = operation.http.uri.partition("?")
        node = self._root
        parameters: list[str | None] = []
        for part in _parts(path):
            if part.startswith("{"):
                parameters.append(part.strip("{}"))
                if node.parameter is None:
                    node.parameter = _Node()
                node = node.parameter
            else:
                parameters.append(None)
                node = node.literals.setdefault(part, _Node())
        wanted = tuple((name, value) for name, _, value in (pair.partition("=") for pair in query.split("&")) if name)
        ends = node.ends.setdefault(operation.http.method, [])
        ends.append(_End(operation.name, tuple(parameters), wanted))
        ends.sort(key=lambda end: -len(end.query))

    def _find(self, method: str, path: str, query_string: str) -> Match | None:
        parts = _parts(path)
        node = self._root
        for part in parts:
            following = node.literals.get(part) or node.parameter
            if following is None:
                return None
            node = following
        query = parse_qs(query_string, keep_blank_values=True) if query_string else _NO_QUERY
        for end in node.ends.get(method, ()):
            if all(value in query.get(name, ()) for name, value in end.query):
                uri = {
                    name: unquote(part) if "%" in part else part
                    for name, part in zip(end.parameters, parts, strict=True)
                    if name is not None
                }
                return Match(end.operation, uri, query)
        return None


def _parts(path: str) -> list[str]:
    parts = path.split("/")[1:]
    if parts and not parts[-1]:
        parts.pop()
    return parts
