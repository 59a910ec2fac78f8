"""Several streams read as one, in the order of time. Pure."""

import heapq
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ondol.telemetry.segments import Line


class Placed(NamedTuple):
    """A line's place among all lines of a group; also what a page of FilterLogEvents resumes after."""

    time: int
    stream: str
    position: int


class Cursor(NamedTuple):
    """One stream to be merged. Its lines are not asked for before `bound`, so a stream costs nothing until its turn."""

    bound: int
    """No line comes before this time (after it, when reading backwards)."""

    stream: str
    lines: Iterator[Line]


def merge(cursors: Iterable[Cursor], forward: bool) -> Iterator[tuple[Placed, Line]]:
    """Lines by (time, stream, position), ascending or descending; each cursor must yield in that direction."""
    sign = 1 if forward else -1
    # Names break ties, and descending they cannot be negated: streams get their rank instead.
    ordered = sorted(cursors, key=lambda cursor: cursor.stream, reverse=not forward)
    heap: list[tuple[int, int, Line | None]] = [
        (sign * cursor.bound, rank, None) for rank, cursor in enumerate(ordered)
    ]
    heapq.heapify(heap)
    while heap:
        _, rank, line = heap[0]
        cursor = ordered[rank]
        if line is not None:
            yield Placed(line.time, cursor.stream, line.position), line
        following = next(cursor.lines, None)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (sign * following.time, rank, following))
