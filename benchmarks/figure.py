"""A line of the table: a figure, what it is held against, and whether it passes."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple


@dataclass(frozen=True, kw_only=True)
class Line:
    """One figure.

    `judged` is the number that `must` and `aim` bound: a ratio to the peer, a difference from it, or the figure
    itself. A line without `must` only informs.
    """

    name: str
    ours: float
    unit: str
    peer: str = ""
    theirs: float | None = None
    judged: float | None = None
    judged_unit: str = ""
    must: float | None = None
    aim: float | None = None
    at_most: bool = True
    """Whether the bounds are ceilings; otherwise they are floors."""

    note: str = ""

    @property
    def verdict(self) -> Literal["aim", "pass", "FAIL", ""]:
        """Which bound the judged number keeps."""
        if self.aim is not None and self._keeps(self.aim):
            return "aim"
        if self.must is None:
            return ""
        return "pass" if self._keeps(self.must) else "FAIL"

    def _keeps(self, bound: float) -> bool:
        number = self.ours if self.judged is None else self.judged
        return number <= bound if self.at_most else number >= bound

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "verdict": self.verdict}


class Effort(NamedTuple):
    """How much time a run may take."""

    quick: bool

    def pick(self, full: int, quick: int) -> int:
        return quick if self.quick else full


class Figure(NamedTuple):
    """Something to measure, by the name that `--only` takes."""

    name: str
    measure: Callable[[Effort], list[Line]]
