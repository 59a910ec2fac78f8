"""The constraints of the service model, and AWS's words where a request breaks them.

Every operation's constraints are compiled once into small closures that collect what is wrong; all of it is
answered together. Says nothing of types (`ondol.aws.parse` does) nor of what only the service can know.
The texts are AWS's, as published answers have them. Unconfirmed for Lambda is the order of several: fields come as
in the model, the constraints of one value as pattern, length, enum.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ondol.aws.patterns import translate
from ondol.aws.service_model import Member, ServiceModel, Shape
from ondol.model.errors import CallerError, ValidationFailed

Check = Callable[[Any, str, list[str]], None]
"""Looks at a value that is there, knows its path, and adds what is wrong with it."""

Constraint = tuple[Callable[[Any], bool], str]
"""What a value must satisfy, and how AWS says so."""

_NOT_NULL = "Member must not be null"
_LONGEST_MATCHED = 100_000
"""Characters up to which a pattern is tried; what is longer breaks a length constraint, or fails as unmatched."""


class Validator:
    """The constraints of one service; operations are compiled as they are first used."""

    def __init__(self, model: ServiceModel, refusal: type[CallerError] = ValidationFailed) -> None:
        self._shapes = model.shapes
        self._refusal = refusal
        self._compiled: dict[str, Check | None] = {}

    def check(self, structure: str, params: Mapping[str, Any]) -> None:
        """Hold `params` against the input structure of an operation. Raises the refusal with all that is wrong."""
        check = self._check_of(structure)
        if check is None:
            return
        wrong: list[str] = []
        check(params, "", wrong)
        if wrong:
            raise self._refusal(
                f"{len(wrong)} validation error{'s' if len(wrong) > 1 else ''} detected: {'; '.join(wrong)}"
            )

    def _check_of(self, name: str) -> Check | None:
        if name not in self._compiled:
            # Shapes may hold themselves; while one is compiled it stands for what it will become.
            self._compiled[name] = partial(self._check_named, name)
            self._compiled[name] = self._compile(self._shapes[name])
        return self._compiled[name]

    def _check_named(self, name: str, value: Any, path: str, wrong: list[str]) -> None:
        check = self._compiled[name]
        if check is not None:
            check(value, path, wrong)

    def _compile(self, shape: Shape) -> Check | None:
        match shape.type:
            case "structure":
                return self._structure(shape)
            case "list":
                return self._list(shape)
            case "map":
                return self._map(shape)
            case _:
                return _each(shape, _constraints(shape))

    def _structure(self, shape: Shape) -> Check | None:
        fields = []
        for name, member in shape.members.items():
            check = self._check_of(member.shape)
            if check is not None or name in shape.required:
                fields.append((name, name[0].lower() + name[1:], name in shape.required, check))
        if not fields:
            return None

        def check_fields(value: Mapping[str, Any], path: str, wrong: list[str]) -> None:
            prefix = f"{path}." if path else ""
            for name, shown, required, check in fields:
                field = value.get(name)
                if field is not None:
                    if check is not None:
                        check(field, prefix + shown, wrong)
                elif required:
                    wrong.append(f"Value null at '{prefix}{shown}' failed to satisfy constraint: {_NOT_NULL}")

        return check_fields

    def _list(self, shape: Shape) -> Check | None:
        member = _known(shape.member)
        own = _each(shape, _constraints(shape))
        inside = self._within(member, "Member must satisfy constraint", shape.sensitive)
        nested = None if inside is not None else self._check_of(member.shape)
        if own is None and inside is None and nested is None:
            return None

        def check_list(value: list[Any], path: str, wrong: list[str]) -> None:
            if own is not None:
                own(value, path, wrong)
            if inside is not None:
                inside(value, value, path, wrong)
            elif nested is not None:
                for number, element in enumerate(value, start=1):
                    _check_element(nested, element, f"{path}.{number}.member", wrong)

        return check_list

    def _map(self, shape: Shape) -> Check | None:
        own = _each(shape, _constraints(shape))
        keys = self._within(_known(shape.key), "Map keys must satisfy constraint", shape.sensitive, nullable=True)
        member = _known(shape.value)
        values = self._within(member, "Map value must satisfy constraint", shape.sensitive)
        nested = None if values is not None else self._check_of(member.shape)
        if own is None and keys is None and values is None and nested is None:
            return None

        def check_map(value: dict[str, Any], path: str, wrong: list[str]) -> None:
            if own is not None:
                own(value, path, wrong)
            if keys is not None:
                keys(value, value.keys(), path, wrong)
            if values is not None:
                values(value, value.values(), path, wrong)
            elif nested is not None:
                for key, element in value.items():
                    _check_element(nested, element, f"{path}.{key}.member", wrong)

        return check_map

    def _within(
        self, member: Member, opening: str, sensitive: bool, nullable: bool = False
    ) -> Callable[[Any, Any, str, list[str]], None] | None:
        """Scalars in a list or map are held against all their constraints at once, and all are told."""
        shape = self._shapes[member.shape]
        if shape.type in ("structure", "list", "map"):
            return None
        constraints = _constraints(shape, within=True)
        told = [text for _, text in constraints] + ([] if nullable else [_NOT_NULL])
        if not told:
            return None
        ending = f"failed to satisfy constraint: {opening}: [{', '.join(told)}]"
        tests = [test for test, _ in constraints]
        hidden = sensitive or shape.sensitive

        def check_elements(whole: Any, elements: Any, path: str, wrong: list[str]) -> None:
            for element in elements:
                if element is None or not all(test(element) for test in tests):
                    what = "Value" if hidden else f"Value '{shown(whole)}'"
                    wrong.append(f"{what} at '{path}' {ending}")
                    return

        return check_elements


def _check_element(check: Check, element: Any, path: str, wrong: list[str]) -> None:
    if element is None:
        wrong.append(f"Value null at '{path}' failed to satisfy constraint: {_NOT_NULL}")
    else:
        check(element, path, wrong)


def _known(member: Member | None) -> Member:
    if member is None:
        raise LookupError("a list or map of the service model that does not say what it holds")
    return member


def _each(shape: Shape, constraints: list[Constraint]) -> Check | None:
    if not constraints:
        return None
    hidden = shape.sensitive

    def check(value: Any, path: str, wrong: list[str]) -> None:
        for satisfied, text in constraints:
            if not satisfied(value):
                what = "Value" if hidden else f"Value '{shown(value)}'"
                wrong.append(f"{what} at '{path}' failed to satisfy constraint: {text}")

    return check


def _constraints(shape: Shape, within: bool = False) -> list[Constraint]:
    """What a value of this shape must satisfy by itself, in the order in which AWS tells it."""
    low, high = shape.min, shape.max
    if shape.type in ("integer", "long", "double", "float"):
        bounds: list[Constraint] = []
        if high is not None:
            bounds.append((lambda value: value <= high, f"Member must have value less than or equal to {high}"))
        if low is not None:
            bounds.append((lambda value: value >= low, f"Member must have value greater than or equal to {low}"))
        return bounds
    lengths: list[Constraint] = []
    if high is not None:
        lengths.append((lambda value: len(value) <= high, f"Member must have length less than or equal to {high}"))
    if low:
        lengths.append((lambda value: len(value) >= low, f"Member must have length greater than or equal to {low}"))
    elif within and high is not None and low is not None:
        lengths.append((lambda value: True, "Member must have length greater than or equal to 0"))
    patterns: list[Constraint] = []
    if shape.pattern is not None:
        text = f"Member must satisfy regular expression pattern: {shape.pattern}"
        patterns.append((_matcher(shape.pattern), text))
    enums: list[Constraint] = []
    if shape.enum:
        among = frozenset(shape.enum)
        enums.append((among.__contains__, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"))
    return [*lengths, *patterns, *enums] if within else [*patterns, *lengths, *enums]


def _matcher(pattern: str) -> Callable[[str], bool]:
    fullmatch = translate(pattern).fullmatch
    return lambda value: len(value) <= _LONGEST_MATCHED and fullmatch(value) is not None


def shown(value: Any) -> str:
    """A value as AWS prints it in these texts: Java's way."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(shown(element) for element in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}={shown(element)}' for key, element in value.items())}}}"
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    return str(value)
