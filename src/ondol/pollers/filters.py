"""Which records a mapping's filters let through: pure.

A record passes if one of the filters matches it. The part that a sender wrote (`body`, `data`) is held against a
filter as text or as JSON, as the filter has it; where it is the other of both, the record is dropped.

Source: developer guide, "Control which events Lambda sends to your function".
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from ondol.model.event_pattern import EventPattern, InvalidPattern, parse_pattern


class Filters:
    """The filters of a mapping, ready for records; `sent` names what of a record its sender wrote."""

    def __init__(self, patterns: tuple[str, ...], sent: str | None) -> None:
        self._sent = sent
        self._filters = [_Filter(parse_pattern(pattern), sent) for pattern in patterns]

    def pass_on(self, record: Mapping[str, Any], text: Callable[[], str | None]) -> bool:
        """`text` gives what the sender wrote; None if that is no text."""
        if not self._filters:
            return True
        written = text() if self._sent is not None else None
        decoded = _decoded(written)
        return any(one.matches(record, written, decoded) for one in self._filters)


class _Filter:
    def __init__(self, pattern: Mapping[str, Any], sent: str | None) -> None:
        self._pattern = EventPattern(pattern)
        self._sent = sent
        wanted = list(_wanted(pattern, sent)) if sent is not None else []
        self._as_json = any(isinstance(one, dict) for one in wanted)
        self._as_text = any(isinstance(one, list) for one in wanted)

    def matches(self, record: Mapping[str, Any], text: str | None, decoded: Any) -> bool:
        if self._sent is None or not (self._as_json or self._as_text):
            return self._pattern.matches(record)
        if decoded is None:
            return self._as_text and self._pattern.matches({**record, self._sent: text})
        return self._as_json and self._pattern.matches({**record, self._sent: decoded})


def check_filters(patterns: tuple[str, ...]) -> None:
    """Raises `InvalidPattern` for the first that is none."""
    for pattern in patterns:
        EventPattern(parse_pattern(pattern))


def _wanted(pattern: Mapping[str, Any], sent: str) -> Iterator[Any]:
    """What a pattern asks of a field, in its alternatives too."""
    for name, value in pattern.items():
        if name == sent:
            yield value
        elif name == "$or" and isinstance(value, list):
            for fields in value:
                yield from _wanted(fields, sent) if isinstance(fields, dict) else ()


def _decoded(text: str | None) -> dict[str, Any] | list[Any] | None:
    try:
        value = msgspec.json.decode(text) if text is not None else None
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


__all__ = ["Filters", "InvalidPattern", "check_filters"]
