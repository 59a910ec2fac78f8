"""Files of a stream: reading both ways, finding a time, torn ends."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.model.time import WallTime
from ondol.telemetry import segments as module
from ondol.telemetry.api import LogEvent
from ondol.telemetry.segments import Segment, append, line_of, position_of, read_backward, read_forward


def pieces(events: Iterable[LogEvent]) -> list[bytes]:
    return [line_of(event.time, event.message) for event in events]


def stream(directory: Path, *batches: list[LogEvent]) -> list[Segment]:
    """One segment for each batch."""
    made: list[Segment] = []
    for number, events in enumerate(batches):
        base = made[-1].end if made else 0
        empty = Segment(str(directory / f"{number}"), base, events[0].time, events[0].time, 0)
        made.append(append(empty, pieces(events)))
    return made


def events(*times: int, width: int = 0) -> list[LogEvent]:
    return [LogEvent(WallTime(time), f"line {number} é\n" + "x" * width) for number, time in enumerate(times)]


@given(
    batches=st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=12), min_size=1, max_size=3),
    block=st.integers(1, 200),
    width=st.sampled_from([0, 7, 150]),
)
def test_both_directions_show_every_line_at_any_block_size(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], block: int, width: int
) -> None:
    written = [events(*sorted(times), width=width) for times in batches]
    made = stream(tmp_path_factory.mktemp("stream"), *written)
    messages = [event.message for batch in written for event in batch]
    forward = list(read_forward(made, 0, block))
    assert [line.message for line in forward] == messages
    assert list(read_backward(made, made[-1].end, block)) == forward[::-1]
    for line in forward[:: max(len(forward) // 4, 1)]:
        assert next(read_forward(made, line.position, block)) == line
        assert next(read_backward(made, line.end, block)) == line
    assert [line.end for line in forward] == [*[line.position for line in forward[1:]], made[-1].end]


def test_finds_a_time_wherever_it_lies(tmp_path: Path) -> None:
    times = [10 * number for number in range(6000)]
    made = stream(tmp_path, events(*times[:4000], width=60), events(*times[4000:], width=60))
    assert made[0].size > 4 * module.BLOCK
    for wanted in (0, 1, 10, 9_999, 20_005, 39_990, 39_991, 40_000, 55_555, 59_990):
        line = next(read_forward(made, position_of(made, wanted)))
        assert line.time == -(-wanted // 10) * 10
    assert position_of(made, 59_991) == made[-1].end
    assert position_of([], 5) == 0


def test_finds_a_time_among_huge_lines(tmp_path: Path) -> None:
    made = stream(tmp_path, events(*range(0, 100, 10), width=200_000))
    for wanted in (0, 15, 50, 89):
        assert next(read_forward(made, position_of(made, wanted))).time == -(-wanted // 10) * 10


def test_a_torn_last_record_is_skipped(tmp_path: Path) -> None:
    (whole,) = stream(tmp_path, events(1, 2, 3))
    path = Path(whole.path)
    path.write_bytes(path.read_bytes()[:-9])
    torn = Segment(whole.path, 0, whole.first, whole.last, path.stat().st_size)
    (_, after) = stream(tmp_path / "..", events(0), events(4))
    after = Segment(after.path, torn.end, after.first, after.last, after.size)
    assert [line.time for line in read_forward([torn, after], 0)] == [1, 2, 4]
    assert [line.time for line in read_backward([torn, after], after.end)] == [4, 2, 1]


def test_the_last_lines_of_a_large_file_cost_one_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (made,) = stream(tmp_path, events(*range(100_000), width=480))
    assert made.size > 50_000_000
    read = 0
    real = module._read

    def counted(segment: Segment, offset: int, size: int) -> bytes:
        nonlocal read
        data = real(segment, offset, size)
        read += len(data)
        return data

    monkeypatch.setattr(module, "_read", counted)
    backward = read_backward([made], made.end)
    assert [next(backward).time for _ in range(100)] == list(range(99_999, 99_899, -1))
    assert read <= 2 * module.BLOCK
    read = 0
    assert next(read_forward([made], position_of([made], 77_777))).time == 77_777
    assert read < 1_000_000


def test_a_failed_write_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (made,) = stream(tmp_path, events(1))
    real = module._write_all

    def full(descriptor: int, data: bytes) -> None:
        real(descriptor, data[:5])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_write_all", full)
        with pytest.raises(OSError, match="No space"):
            append(made, pieces(events(2)))
    made = append(made, pieces(events(3)))
    assert [line.time for line in read_forward([made], 0)] == [1, 3]


def test_what_would_be_older_than_the_segment_is_as_old_as_that(tmp_path: Path) -> None:
    (made,) = stream(tmp_path, events(7))
    made = append(made, [line_of(WallTime(5), "one\n") + line_of(WallTime(5), "two\n"), *pieces(events(8))])
    assert [line.time for line in read_forward([made], 0)] == [7, 7, 7, 8]
