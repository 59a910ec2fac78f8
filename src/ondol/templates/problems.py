"""What is wrong with a template: gathered, so that all of it is told at once."""

from typing import NamedTuple


class Problem(NamedTuple):
    line: int
    """From 1; 0 where it is about no line."""

    text: str


class TemplateRefused(Exception):
    """A template cannot be deployed; nothing was changed."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(problem.text for problem in problems))
        self.problems = problems


class Problems:
    """Those found so far, each once."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    def add(self, line: int, text: str) -> None:
        self._found[Problem(line, text)] = None

    def refuse_any(self) -> None:
        """Raises `TemplateRefused` if there are some, by line."""
        if self._found:
            raise TemplateRefused(sorted(self._found))
