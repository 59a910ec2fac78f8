"""Event patterns: which events a rule of EventBridge or a filter of an event source mapping lets through.

A pattern has the shape of the events that it matches, with a list of what is accepted at each leaf. Fields are joined
by and, what a list accepts by or. A list in an event matches if one of its elements does, and conditions on fields of
objects in a list must hold in one and the same object. Only leaves exist: a field that holds an object does not.

Sources: EventBridge user guide, "Comparison operators for use in event patterns"; developer guide, "Control which
events Lambda sends to your function".
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from ondol.model.foreign_json import UNREADABLE

_OR = "$or"
_ABSENT: Mapping[str, Any] = {}

DEEPEST = 100
"""Objects within one another in a pattern: matching takes a few calls within one another for each."""

Test = Callable[[Any], bool]
"""Of one leaf of an event: a string, number, boolean or null."""


class InvalidPattern(ValueError):
    """What is no event pattern; the text says where and why."""


class _Leaf(msgspec.Struct, frozen=True):
    """What one field may be."""

    tests: tuple[Test, ...]
    absent: bool
    """It may be missing."""

    def matches(self, value: Any, there: bool) -> bool:
        found = False
        for leaf in _leaves(value) if there else ():
            found = True
            if any(test(leaf) for test in self.tests):
                return True
        return self.absent and not found


class _Fields(msgspec.Struct, frozen=True):
    """What the fields of an object must be, and lists of alternatives of which each needs one that holds."""

    named: tuple[tuple[str, "_Leaf | _Fields"], ...]
    alternatives: tuple[tuple["_Fields", ...], ...]

    def matches(self, value: Any, there: bool = True) -> bool:
        if there and isinstance(value, list):
            objects = [element for element in value if isinstance(element, dict)]
            return any(map(self._match_object, objects)) if objects else self._match_object(_ABSENT)
        return self._match_object(value if there and isinstance(value, dict) else _ABSENT)

    def _match_object(self, value: Mapping[str, Any]) -> bool:
        return all(wanted.matches(value.get(name), name in value) for name, wanted in self.named) and all(
            any(fields.matches(value) for fields in either) for either in self.alternatives
        )


class EventPattern:
    """A pattern ready to be held against events."""

    def __init__(self, pattern: Mapping[str, Any]) -> None:
        """Raises `InvalidPattern`."""
        self._fields = _compile_fields(pattern, "the pattern", DEEPEST)

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Whether this event, as decoded from JSON, is let through."""
        return self._fields.matches(event)


def parse_pattern(text: str | bytes) -> dict[str, Any]:
    """The JSON object that a pattern is written as. Raises `InvalidPattern`."""
    try:
        pattern = msgspec.json.decode(text)
    except UNREADABLE as error:
        raise InvalidPattern(f"it is not JSON: {error}") from error
    if not isinstance(pattern, dict):
        raise InvalidPattern("it is not an object")
    return pattern


def _leaves(value: Any) -> Iterator[Any]:
    """In order. However deeply a sender has nested lists, no call is."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += reversed(one)
        elif not isinstance(one, dict):
            yield one


def _compile_fields(pattern: Mapping[str, Any], where: str, deep: int) -> _Fields:
    if not pattern:
        raise InvalidPattern(f"{where} is empty")
    if not deep:
        raise InvalidPattern(f"it has more than {DEEPEST} objects within one another")
    named: list[tuple[str, _Leaf | _Fields]] = []
    alternatives: list[tuple[_Fields, ...]] = []
    for name, wanted in pattern.items():
        if name == _OR and _are_alternatives(wanted):
            alternatives.append(tuple(_compile_fields(each, f"an alternative in {where}", deep - 1) for each in wanted))
        elif isinstance(wanted, dict):
            named.append((name, _compile_fields(wanted, name, deep - 1)))
        elif isinstance(wanted, list):
            named.append((name, _compile_leaf(wanted, name)))
        else:
            raise InvalidPattern(f"{name} is neither an object nor a list")
    return _Fields(tuple(named), tuple(alternatives))


def _are_alternatives(wanted: Any) -> bool:
    """Whether `$or` means or here; else it is a field of that name."""
    if not isinstance(wanted, list) or len(wanted) < 2:
        return False
    return all(isinstance(fields, dict) and not (fields.keys() & _OPERATORS.keys()) for fields in wanted)


def _compile_leaf(accepted: list[Any], where: str) -> _Leaf:
    if not accepted:
        raise InvalidPattern(f"{where} accepts nothing")
    tests = []
    absent = False
    for one in accepted:
        if isinstance(one, list):
            raise InvalidPattern(f"{where} accepts a list")
        if not isinstance(one, dict):
            tests.append(_equals(one))
            continue
        operator, operand = _only_member(one, where)
        if operator not in _OPERATORS:
            raise InvalidPattern(f"{where} is compared by {operator!r}, which is no operator")
        if operator == "exists" and operand is False:
            absent = True
        else:
            tests.append(_OPERATORS[operator](operand))
    return _Leaf(tuple(tests), absent)


def _only_member(value: Mapping[str, Any], where: str) -> tuple[str, Any]:
    if len(value) != 1:
        raise InvalidPattern(f"a comparison of {where} must have exactly one operator")
    return next(iter(value.items()))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any, operator: str) -> str:
    if not isinstance(value, str):
        raise InvalidPattern(f"{operator} needs a text")
    return value


def _equals(wanted: Any) -> Test:
    if wanted is None or isinstance(wanted, bool):
        return lambda value: value is wanted
    if _is_number(wanted):
        return lambda value: _is_number(value) and value == wanted
    return lambda value: isinstance(value, str) and value == wanted


def _exists(operand: Any) -> Test:
    if operand is not True:
        raise InvalidPattern("exists needs true or false")
    return lambda value: True


def _equals_ignore_case(operand: Any) -> Test:
    folded = _text(operand, "equals-ignore-case").lower()
    return lambda value: isinstance(value, str) and value.lower() == folded


def _prefix(operand: Any) -> Test:
    if isinstance(operand, dict):
        folded = _case_ignored(operand, "prefix")
        return lambda value: isinstance(value, str) and value.lower().startswith(folded)
    start = _text(operand, "prefix")
    return lambda value: isinstance(value, str) and value.startswith(start)


def _suffix(operand: Any) -> Test:
    if isinstance(operand, dict):
        folded = _case_ignored(operand, "suffix")
        return lambda value: isinstance(value, str) and value.lower().endswith(folded)
    end = _text(operand, "suffix")
    return lambda value: isinstance(value, str) and value.endswith(end)


def _case_ignored(operand: Mapping[str, Any], operator: str) -> str:
    how, text = _only_member(operand, operator)
    if how != "equals-ignore-case":
        raise InvalidPattern(f"{operator} can be modified by equals-ignore-case alone")
    return _text(text, operator).lower()


def _wildcard(operand: Any) -> Test:
    """`*` stands for any characters, `\\*` for itself."""
    literals = [""]
    for piece in re.findall(r"\\.?|\*+|[^\\*]+", _text(operand, "wildcard"), re.DOTALL):
        if piece[0] == "*":
            if len(piece) > 1:
                raise InvalidPattern("wildcard has two * in a row")
            literals.append("")
        elif piece[0] == "\\":
            if piece not in ("\\*", "\\\\"):
                raise InvalidPattern("wildcard escapes something other than * and \\")
            literals[-1] += piece[1]
        else:
            literals[-1] += piece
    return lambda value: isinstance(value, str) and _holds(value, literals)


def _holds(text: str, literals: list[str]) -> bool:
    """Whether these come in the text one after another, the first at its start and the last at its end.

    The earliest place is as good as any later one, so that no text takes long, whoever sent it.
    """
    first, *others = literals
    if not others:
        return text == first
    *inner, last = others
    end = len(text) - len(last)
    if not text.startswith(first) or not text.endswith(last) or len(first) > end:
        return False
    at = len(first)
    for literal in inner:
        found = text.find(literal, at, end)
        if found < 0:
            return False
        at = found + len(literal)
    return True


def _numeric(operand: Any) -> Test:
    """`["=", n]`, or one bound, or a lower and then an upper one."""
    if not isinstance(operand, list) or len(operand) not in (2, 4):
        raise InvalidPattern("numeric needs a comparison and a number, or two of both")
    signs, bounds = operand[0::2], operand[1::2]
    if not all(map(_is_number, bounds)) or not all(map(_is_comparison, signs)):
        raise InvalidPattern("numeric needs a comparison and a number, or two of both")
    if len(signs) == 2 and not (signs[0] in (">", ">=") and signs[1] in ("<", "<=") and bounds[0] < bounds[1]):
        raise InvalidPattern("a numeric range needs its lower bound first and a greater upper one second")
    conditions = [(_COMPARISONS[sign], bound) for sign, bound in zip(signs, bounds, strict=True)]
    return lambda value: _is_number(value) and all(holds(value, bound) for holds, bound in conditions)


def _is_comparison(sign: Any) -> bool:
    return isinstance(sign, str) and sign in _COMPARISONS


_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "=": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}


def _cidr(operand: Any) -> Test:
    try:
        network = ipaddress.ip_network(_text(operand, "cidr"), strict=False)
    except ValueError as error:
        raise InvalidPattern(f"cidr needs a block of addresses: {error}") from error

    def inside(value: Any) -> bool:
        if not isinstance(value, str):
            return False
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            return False
        return address.version == network.version and address in network

    return inside


def _anything_but(operand: Any) -> Test:
    """One text or number, a list of one kind of them, or what prefix, suffix, wildcard or another case match."""
    if isinstance(operand, dict):
        operator, excluded = _only_member(operand, "anything-but")
        if operator not in _NEGATED:
            raise InvalidPattern(f"anything-but cannot be combined with {operator!r}")
        return _none_of(map(_NEGATED[operator], _nonempty(excluded)))
    excluded = _nonempty(operand)
    if not (all(map(_is_number, excluded)) or all(isinstance(one, str) for one in excluded)):
        raise InvalidPattern("anything-but needs texts or numbers, and not both")
    return _none_of(map(_equals, excluded))


def _none_of(tests: Iterator[Test]) -> Test:
    held = tuple(tests)
    return lambda value: not any(test(value) for test in held)


def _nonempty(operand: Any) -> list[Any]:
    excluded = operand if isinstance(operand, list) else [operand]
    if not excluded:
        raise InvalidPattern("anything-but excludes nothing")
    return excluded


_NEGATED: Mapping[str, Callable[[Any], Test]] = {
    "prefix": _prefix,
    "suffix": _suffix,
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
}

_OPERATORS: Mapping[str, Callable[[Any], Test]] = {
    "exists": _exists,
    "anything-but": _anything_but,
    "numeric": _numeric,
    "cidr": _cidr,
    **_NEGATED,
}
