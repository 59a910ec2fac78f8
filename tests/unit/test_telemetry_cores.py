"""The pure parts of telemetry: file names, filter patterns, tokens, merging."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.model.errors import InvalidParameter
from ondol.model.time import WallTime
from ondol.telemetry.merging import Cursor, merge
from ondol.telemetry.names import name_of, path_of
from ondol.telemetry.pattern import compile_pattern
from ondol.telemetry.segments import Line
from ondol.telemetry.tokens import page_token, position_token, read_page, read_position


@given(st.text(min_size=1, max_size=512), st.lists(st.integers(0, 2**62), max_size=2))
def test_any_name_survives_its_path(name: str, numbers: list[int]) -> None:
    *pieces, last = path_of(name, *numbers).split("/")
    assert name_of(pieces, last, len(numbers)) == (name, tuple(numbers))
    assert all(len(piece.encode()) <= 255 for piece in (*pieces, last))


@pytest.mark.parametrize("name", ["..", ".", "../../etc/passwd", "/", "/" * 512, "a\0b", "@1@2", "x+"])
def test_no_name_leaves_its_directory(name: str) -> None:
    pieces = path_of(name, 0, 0).split("/")
    assert not {"", ".", ".."} & set(pieces)
    assert all("\0" not in piece for piece in pieces)


@pytest.mark.parametrize("foreign", ["lost+found", "notes.txt", "a@x@1", "a@1", "a@1@2@3", "a@²@1"])
def test_foreign_files_are_no_names(foreign: str) -> None:
    assert name_of((), foreign, 2) is None


LINE = '[ERROR] 2025-01-01T00:00:00Z ab12 Could not reach "db": timeout'


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", True),
        (" ", True),
        ("ERROR", True),
        ("error", False),
        ("ERROR timeout", True),
        ("ERROR success", False),
        ('"not reach"', True),
        ('"reach not"', False),
        (r'"\"db\""', True),
        ("?success ?timeout", True),
        ("?success ?done", False),
        ("-ERROR", False),
        ("-success", True),
        ("ERROR -timeout", False),
        ('ERROR -"all good"', True),
        ("?success ERROR", True),
        ('"[ERROR]"', True),
        ('"100%"', False),
    ],
)
def test_filter_patterns(pattern: str, expected: bool) -> None:
    assert compile_pattern(pattern)(LINE) is expected


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ('{ $.level = "ERROR" }', "JSON"),
        ("[ip, user]", "space-delimited"),
        ("%ERR.*%", "regular expressions"),
        ("user@example.com", "'user@example.com'"),
        ('"open', "Invalid character"),
        ('""', "Invalid character"),
    ],
)
def test_patterns_that_are_refused_say_why(pattern: str, text: str) -> None:
    with pytest.raises(InvalidParameter, match=text):
        compile_pattern(pattern)


def test_position_tokens_look_like_those_of_aws() -> None:
    token = position_token(True, 17)
    assert token.startswith("f/")
    assert token.endswith("/s")
    assert read_position(token) == (True, 17)
    assert read_position(position_token(False, 0)) == (False, 0)


@pytest.mark.parametrize("token", ["", "f/1", "x/1/s", "f/-1/s", "f/one/s"])
def test_a_made_up_position_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidParameter, match="nextToken is invalid"):
        read_position(token)


@pytest.mark.parametrize("token", ["", "AAAA", "é", page_token("streams", (1, "a")), page_token("groups", 7)])
def test_a_made_up_or_foreign_page_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidParameter, match="nextToken is invalid"):
        read_page("groups", token, str)


def lines(*times: int) -> list[Line]:
    return [Line(at * 10, at * 10 + 10, WallTime(time), f"{time}") for at, time in enumerate(times)]


@given(st.dictionaries(st.text("abc", min_size=1), st.lists(st.integers(0, 50)).map(sorted), max_size=6))
def test_merging_sorts_by_time_then_stream_then_position(streams: dict[str, list[int]]) -> None:
    expected = sorted((line.time, name, line.position) for name, times in streams.items() for line in lines(*times))
    cursors = [Cursor(min(times, default=0), name, iter(lines(*times))) for name, times in streams.items()]
    assert [placed for placed, _ in merge(cursors, forward=True)] == expected
    cursors = [Cursor(max(times, default=0), name, iter(lines(*times)[::-1])) for name, times in streams.items()]
    assert [placed for placed, _ in merge(cursors, forward=False)] == expected[::-1]


def test_a_stream_is_not_read_before_its_turn() -> None:
    read = []

    def later() -> Iterator[Line]:
        read.append("later")
        yield from lines(90)

    merged = merge([Cursor(1, "early", iter(lines(1, 2, 3))), Cursor(80, "later", later())], forward=True)
    assert [next(merged)[0].time for _ in range(2)] == [1, 2]
    assert read == []
    assert [placed.stream for placed, _ in merged] == ["early", "later"]
