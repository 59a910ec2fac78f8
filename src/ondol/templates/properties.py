"""The members of a resource, each asked for by who knows what it means; what nobody asked for is refused by name."""

from collections.abc import Iterator
from typing import Any

from ondol.templates.document import Section
from ondol.templates.evaluation import Evaluation
from ondol.templates.problems import Problems
from ondol.templates.values import ABSENT, UNKNOWN, Attribute, Joined


class Properties:
    """A section whose values are taken one by one. `place` says where it is, as `Resources.Hello.Properties`."""

    def __init__(self, section: Any, place: str, line: int, evaluation: Evaluation, problems: Problems) -> None:
        self.place = place
        self.line = line
        self._evaluation = evaluation
        self._problems = problems
        if not isinstance(section, Section):
            if section is not None:
                self.wrong(f"{place} must be an object", line)
            section = Section()
            section.line, section.lines = line, {}
        self._section: Section = section
        self._left = dict.fromkeys(section)

    def __contains__(self, name: str) -> bool:
        return name in self._section

    def line_of(self, name: str) -> int:
        return self._section.line_of(name)

    def wrong(self, text: str, line: int) -> None:
        self._problems.add(line, text)

    def value(self, name: str, default: Any = None) -> Any:
        """Whatever it is; the default where it is not there, or no value."""
        if name not in self._section:
            return default
        self._left.pop(name, None)
        value = self._evaluation.value(self._section[name], self.line_of(name))
        return default if value is ABSENT else value

    def text(self, name: str, default: Any = None, *, required: bool = False) -> Any:
        """A text, of which a part may be known later."""
        value = self._typed(name, (str, int, float, Attribute, Joined), "a text", required)
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        return default if value is None else value

    def known(self, name: str, default: Any = None, *, required: bool = False) -> Any:
        """A text that is known before anything is made."""
        value = self.text(name, default, required=required)
        if isinstance(value, Attribute | Joined):
            self.wrong(f"{self.place}.{name} must be known before anything is made", self.line_of(name))
            return UNKNOWN
        return value

    def number(self, name: str) -> Any:
        value = self.known(name)
        if isinstance(value, str):
            if not value.removeprefix("-").isdigit():
                self.wrong(f"{self.place}.{name} must be a whole number", self.line_of(name))
                return UNKNOWN
            return int(value)
        return value

    def flag(self, name: str, default: bool | None = None) -> Any:
        value = self._typed(name, (bool, str), "true or false", False)
        if isinstance(value, str):
            if value.lower() not in {"true", "false"}:
                self.wrong(f"{self.place}.{name} must be true or false", self.line_of(name))
                return UNKNOWN
            value = value.lower() == "true"
        return default if value is None else value

    def items(self, name: str) -> list[Any]:
        """A list; one thing alone is a list of it, as CloudFormation takes it."""
        value = self.value(name, [])
        if value is UNKNOWN:
            return []
        return value if isinstance(value, list) else [value]

    def object(self, name: str) -> Any:
        """An object as it is, whatever is in it."""
        return self._typed(name, (dict,), "an object", False)

    def inside(self, name: str) -> "Properties | None":
        """An object whose members are taken in turn; None where it is not there."""
        if name not in self._section:
            return None
        self._left.pop(name, None)
        line = self.line_of(name)
        found = self._evaluation.chosen(self._section[name], line)
        if found is ABSENT or found is UNKNOWN:
            return None
        return Properties(found, f"{self.place}.{name}", line, self._evaluation, self._problems)

    def each(self, name: str) -> Iterator[tuple[str, "Properties"]]:
        """The members of an object of objects."""
        inside = self.inside(name)
        for member in inside._section if inside is not None else ():
            found = inside.inside(member) if inside is not None else None
            if found is not None:
                yield member, found

    def without_effect(self, *names: str) -> frozenset[str]:
        """Take what makes no difference here; the answer is what there was."""
        there = frozenset(names) & self._section.keys()
        for name in there:
            self._left.pop(name, None)
        return there

    def finish(self, what: str = "ondol does not serve it") -> None:
        """Refuse what was not taken, but for what is no value in the end."""
        for name in self._left:
            line = self.line_of(name)
            if self._evaluation.chosen(self._section[name], line) is not ABSENT:
                self.wrong(f"{self.place}.{name}: {what}", line)
        self._left = {}

    def _typed(self, name: str, types: tuple[type, ...], what: str, required: bool) -> Any:
        value = self.value(name)
        if value is None:
            if required:
                self.wrong(f"{self.place} must have {name}", self.line)
                return UNKNOWN
            return None
        if value is not UNKNOWN and not isinstance(value, types):
            self.wrong(f"{self.place}.{name} must be {what}", self.line_of(name))
            return UNKNOWN
        return value
