"""What holds of every event pattern, whatever it and the events are."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ondol.model.event_pattern import EventPattern, InvalidPattern

names = st.sampled_from(["a", "b", "c", "$or", "prefix"])
scalars = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(-2, 2), st.text("ab*\\", max_size=3))
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
events = st.dictionaries(names, values, max_size=4)


def leaf_of(value: Any) -> Any:
    """A pattern that asks for exactly this value, if something can."""
    if isinstance(value, dict):
        nested = {name: leaf_of(inner) for name, inner in value.items()}
        return {name: inner for name, inner in nested.items() if inner}
    if isinstance(value, list):
        return []
    return [value]


@given(events)
def test_an_event_matches_the_pattern_made_of_it(event: dict[str, Any]) -> None:
    pattern = leaf_of(event)
    try:
        compiled = EventPattern(pattern)
    except InvalidPattern:
        assert not pattern
        return
    assert compiled.matches(event)


@given(events, st.dictionaries(names, values, max_size=3))
def test_no_pattern_and_no_event_breaks_it(event: dict[str, Any], pattern: dict[str, Any]) -> None:
    try:
        compiled = EventPattern(pattern)
    except InvalidPattern:
        return
    assert compiled.matches(event) in (True, False)


@given(events, scalars)
def test_a_field_exists_or_does_not(event: dict[str, Any], _: Any) -> None:
    exists, absent = ({"a": [{"exists": there}]} for there in (True, False))
    assert EventPattern(exists).matches(event) != EventPattern(absent).matches(event)


@given(st.text("ab", max_size=4), st.text("ab*", max_size=4))
def test_a_wildcard_is_what_its_pieces_are(text: str, wildcard: str) -> None:
    try:
        pattern = EventPattern({"f": [{"wildcard": wildcard}]})
    except InvalidPattern:
        assert "**" in wildcard
        return
    assert pattern.matches({"f": text}) == _fits(text, wildcard)


def _fits(text: str, wildcard: str) -> bool:
    if not wildcard:
        return not text
    if wildcard[0] == "*":
        return any(_fits(text[cut:], wildcard[1:]) for cut in range(len(text) + 1))
    return bool(text) and text[0] == wildcard[0] and _fits(text[1:], wildcard[1:])


@given(scalars, st.lists(st.text("ab", max_size=2), min_size=1, max_size=3))
def test_anything_but_is_the_opposite_for_a_single_value(value: Any, excluded: list[str]) -> None:
    inside, outside = EventPattern({"f": [*excluded]}), EventPattern({"f": [{"anything-but": excluded}]})
    assert inside.matches({"f": value}) != outside.matches({"f": value})
