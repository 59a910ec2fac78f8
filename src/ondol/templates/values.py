"""Values of a template of which a part is not known before something is made."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec


class Attribute(msgspec.Struct, frozen=True, order=True):
    """What a resource says of itself once it is there: `Ref` or an attribute of Fn::GetAtt."""

    resource: str
    name: str


class Joined(msgspec.Struct, frozen=True):
    """A text with such parts."""

    parts: tuple[str | Attribute, ...]


class Unknown:
    """What a value would have been, of which a problem is told already."""

    def __repr__(self) -> str:
        return "?"

    def __bool__(self) -> bool:
        """So that `or` finds what stands for it until the problem is told."""
        return False


class Absent:
    """AWS::NoValue: as if it had not been written."""


UNKNOWN = Unknown()
ABSENT = Absent()

Text = str | Attribute | Joined


def joined(parts: Iterable[Text]) -> Text:
    """One text of several."""
    flat: list[str | Attribute] = []
    for part in parts:
        for piece in part.parts if isinstance(part, Joined) else (part,):
            if isinstance(piece, str) and flat and isinstance(flat[-1], str):
                flat[-1] += piece
            elif piece != "":
                flat.append(piece)
    if not flat:
        return ""
    return flat[0] if len(flat) == 1 else Joined(tuple(flat))


def attributes_in(value: Any) -> Iterator[Attribute]:
    """What must be known before this value is."""
    if isinstance(value, Attribute):
        yield value
    elif isinstance(value, Joined):
        yield from (part for part in value.parts if isinstance(part, Attribute))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from attributes_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from attributes_in(item)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from attributes_in(getattr(value, name))


def filled(value: Any, known: Mapping[Attribute, str]) -> Any:
    """The value, with what is known now. Raises KeyError for what is not."""
    if isinstance(value, Attribute):
        return known[value]
    if isinstance(value, Joined):
        return "".join(part if isinstance(part, str) else known[part] for part in value.parts)
    if isinstance(value, Mapping):
        return {name: filled(item, known) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [filled(item, known) for item in value]
    return value


def shown(value: Any) -> str:
    """A text for people: what is not known yet as `${Resource.Attribute}`."""
    if isinstance(value, Attribute):
        return f"${{{value.resource}.{value.name}}}"
    if isinstance(value, Joined):
        return "".join(map(shown, value.parts))
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
