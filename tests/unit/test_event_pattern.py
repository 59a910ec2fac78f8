"""What event patterns let through, by the examples of AWS's user guide and at their edges."""

import time
from typing import Any

import pytest

from ondol.model.event_pattern import DEEPEST, EventPattern, InvalidPattern, parse_pattern


def matches(accepted: list[Any], value: Any) -> bool:
    return EventPattern({"field": accepted}).matches({"field": value})


@pytest.mark.parametrize(
    ("accepted", "let_through", "kept_out"),
    [
        (["Alice"], ["Alice"], ["alice", "", None, ["Bob"], {"Alice": 1}]),
        ([""], [""], ["x", None, False]),
        ([None], [None], ["", 0, False, "null"]),
        ([True], [True], [1, "true", False]),
        ([1], [1, 1.0], [True, "1", 2]),
        ([100, "a"], [100, "a"], ["b"]),
        ([{"prefix": "us-"}], ["us-east-1", "us-"], ["eu-us-", 5, None]),
        ([{"prefix": {"equals-ignore-case": "EventB"}}], ["eventbridge", "EVENTB"], ["event"]),
        ([{"suffix": ".png"}], ["a.png"], ["a.PNG", "png"]),
        ([{"suffix": {"equals-ignore-case": ".png"}}], ["a.PNG"], ["a.jpg"]),
        ([{"equals-ignore-case": "alice"}], ["ALICE"], ["alices", 1]),
        ([{"wildcard": "*/lib/*"}], ["a/lib/b", "/lib/"], ["lib", "/lib"]),
        ([{"wildcard": "a\\*b\\\\*"}], ["a*b\\", "a*b\\c"], ["axb\\", "a*b"]),
        ([{"numeric": ["=", 5]}], [5, 5.0], ["5", 6, True]),
        ([{"numeric": [">", 0, "<=", 5]}], [0.1, 5], [0, 5.1, -1]),
        ([{"numeric": ["<", -2.5]}], [-3], [-2.5]),
        ([{"exists": True}], ["", None, 0, False], [[], {}]),
        ([{"exists": False}], [[], {}], ["", None]),
        ([{"exists": False}, "a"], ["a", []], ["b"]),
        ([{"anything-but": "initializing"}], ["running", 1, None], ["initializing", []]),
        ([{"anything-but": 0}], [1, "0"], [0, 0.0]),
        ([{"anything-but": ["a", "b"]}], ["c"], ["a", "b"]),
        ([{"anything-but": [1, 2]}], [3], [1, 2]),
        ([{"anything-but": {"prefix": "us-"}}], ["eu-1"], ["us-1"]),
        ([{"anything-but": {"prefix": ["us-", "eu-"]}}], ["ap-1"], ["us-1", "eu-1"]),
        ([{"anything-but": {"suffix": [".png"]}}], ["a.jpg"], ["a.png"]),
        ([{"anything-but": {"equals-ignore-case": ["init", "stop"]}}], ["run"], ["INIT", "Stop"]),
        ([{"anything-but": {"wildcard": "*/lib/*"}}], ["/usr"], ["/lib/x"]),
        ([{"cidr": "10.0.0.0/24"}], ["10.0.0.255"], ["10.0.1.0", "::1", "host", 10]),
        ([{"cidr": "2001:db8::/32"}], ["2001:db8::1"], ["2001:db9::1", "10.0.0.1"]),
    ],
)
def test_what_a_field_may_be(accepted: list[Any], let_through: list[Any], kept_out: list[Any]) -> None:
    assert [value for value in let_through if not matches(accepted, value)] == []
    assert [value for value in kept_out if matches(accepted, value)] == []


def test_fields_are_joined_by_and_and_nested() -> None:
    pattern = EventPattern({"source": ["aws.s3"], "detail": {"size": [{"numeric": [">", 1]}]}})
    assert pattern.matches({"source": "aws.s3", "detail": {"size": 2}, "more": 1})
    assert not pattern.matches({"source": "aws.s3", "detail": {"size": 1}})
    assert not pattern.matches({"source": "aws.s3", "detail": 2})
    assert not pattern.matches({"detail": {"size": 2}})


def test_a_list_in_an_event_matches_by_one_element() -> None:
    assert matches(["a"], ["b", "a"])
    assert matches([{"anything-but": "a"}], ["a", "b"])
    assert not matches([{"anything-but": "a"}], ["a"])
    assert matches(["deep"], [["x"], [["deep"]]])


def test_conditions_on_objects_in_a_list_hold_in_one_object() -> None:
    pattern = EventPattern({"people": {"name": ["Ann"], "age": [40]}})
    assert pattern.matches({"people": [{"name": "Bob"}, {"name": "Ann", "age": 40}]})
    assert not pattern.matches({"people": [{"name": "Ann", "age": 30}, {"name": "Bob", "age": 40}]})


def test_what_is_absent_is_so_under_a_missing_parent_too() -> None:
    pattern = EventPattern({"a": {"b": [{"exists": False}]}})
    assert pattern.matches({})
    assert pattern.matches({"a": 1})
    assert pattern.matches({"a": {"c": 1}})
    assert pattern.matches({"a": [1]})
    assert not pattern.matches({"a": {"b": None}})


def test_alternatives_over_several_fields() -> None:
    pattern = EventPattern({"source": ["s"], "$or": [{"a": [1]}, {"b": [2], "c": {"d": [3]}}]})
    assert pattern.matches({"source": "s", "a": 1})
    assert pattern.matches({"source": "s", "b": 2, "c": {"d": 3}})
    assert not pattern.matches({"source": "s", "b": 2})
    assert not pattern.matches({"a": 1})
    nested = EventPattern({"detail": {"$or": [{"a": [1]}, {"b": [2]}]}})
    assert nested.matches({"detail": {"b": 2}})
    assert not nested.matches({"b": 2})


def test_a_field_may_be_named_like_the_operator() -> None:
    assert EventPattern({"$or": ["x"]}).matches({"$or": "x"})
    assert EventPattern({"$or": [{"prefix": "x"}, {"prefix": "y"}]}).matches({"$or": "yes"})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"text"',
        "{}",
        '{"a": "b"}',
        '{"a": 1}',
        '{"a": []}',
        '{"a": {}}',
        '{"a": [[1]]}',
        '{"a": [{}]}',
        '{"a": [{"prefix": "x", "suffix": "y"}]}',
        '{"a": [{"unknown": 1}]}',
        '{"a": [{"prefix": 1}]}',
        '{"a": [{"suffix": {"prefix": "x"}}]}',
        '{"a": [{"exists": "yes"}]}',
        '{"a": [{"numeric": ["=", "5"]}]}',
        '{"a": [{"numeric": [">", 5, "<", 5]}]}',
        '{"a": [{"numeric": ["<", 5, ">", 0]}]}',
        '{"a": [{"numeric": ["!", 5]}]}',
        '{"a": [{"numeric": [">"]}]}',
        '{"a": [{"numeric": 5}]}',
        '{"a": [{"numeric": [["<"], 5]}]}',
        '{"a": [{"cidr": "10.0.0.0/64"}]}',
        '{"a": [{"wildcard": "a**b"}]}',
        '{"a": [{"wildcard": "a\\\\b"}]}',
        '{"a": [{"anything-but": []}]}',
        '{"a": [{"anything-but": ["a", 1]}]}',
        '{"a": [{"anything-but": [null]}]}',
        '{"a": [{"anything-but": {"numeric": ["=", 5]}}]}',
        '{"a": [{"equals-ignore-case": ["a"]}]}',
        '{"$or": [{"a": [1]}, {}]}',
    ],
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(InvalidPattern):
        EventPattern(parse_pattern(text))


def test_what_is_nested_deeply_is_matched_or_refused_and_nothing_else() -> None:
    event: Any = "x"
    for _ in range(950):
        event = [event]
    assert EventPattern({"a": ["x"]}).matches({"a": event})
    pattern: dict[str, Any] = {"a": ["x"]}
    for _ in range(DEEPEST - 1):
        pattern = {"a": pattern}
    assert not EventPattern(pattern).matches({"a": event})
    with pytest.raises(InvalidPattern, match="within one another"):
        EventPattern({"a": pattern})


def test_no_text_makes_a_wildcard_slow() -> None:
    pattern = EventPattern({"field": [{"wildcard": "*a" * 50 + "*b*c"}]})
    began = time.perf_counter()
    assert not pattern.matches({"field": "a" * 1_000_000})
    assert time.perf_counter() - began < 1
