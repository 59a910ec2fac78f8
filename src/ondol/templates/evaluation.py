"""Intrinsic functions: what a value of a template is, given parameters, conditions and the names of resources.

Source: CloudFormation user guide, "Intrinsic function reference", "Condition functions", "Pseudo parameters".
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ondol.templates.document import Items, Section
from ondol.templates.problems import Problems
from ondol.templates.values import ABSENT, UNKNOWN, Attribute, Joined, Text, Unknown, joined, shown

NO_VALUE = "AWS::NoValue"

_PLACE = re.compile(r"\$\{(!?)\s*([^}]*?)\s*\}")

Reference = Callable[[str, str | None, int], Any]
"""What a resource's name (Ref, None) or attribute is, for one that is used on a line; None where there is no such."""


class Evaluation:
    """Values of one template. What is wrong is a problem, and the value `UNKNOWN`."""

    def __init__(
        self,
        *,
        parameters: Mapping[str, Any],
        mappings: Section,
        conditions: Section,
        reference: Reference,
        problems: Problems,
    ) -> None:
        self._parameters = parameters
        self._mappings = mappings
        self._conditions = conditions
        self._reference = reference
        self._problems = problems
        self._decided: dict[str, bool] = {}
        self._deciding: list[str] = []
        self._functions: dict[str, Callable[[Any, int], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_attribute,
            "Fn::Sub": self._substitute,
            "Fn::Join": self._join,
            "Fn::Split": self._split,
            "Fn::Select": self._select,
            "Fn::If": self._if,
            "Fn::FindInMap": self._find_in_map,
            "Fn::Base64": self._base64,
            "Fn::Length": self._length,
            "Fn::ToJsonString": self._to_json,
        }
        self._tests: dict[str, Callable[[Any, int], bool]] = {
            "Fn::Equals": self._equals,
            "Fn::And": lambda node, line: all(self.test(each, line) for each in node),
            "Fn::Or": lambda node, line: any(self.test(each, line) for each in node),
            "Fn::Not": lambda node, line: not self.test(node[0] if len(node) == 1 else None, line),
            "Condition": self.holds,
        }

    def value(self, node: Any, line: int) -> Any:
        """Texts, numbers, lists and dicts; `ABSENT` for AWS::NoValue."""
        if isinstance(node, Section):
            name = next(iter(node), "") if len(node) == 1 else ""
            if name in self._functions:
                return self._functions[name](node[name], node.line_of(name))
            if name.startswith("Fn::"):
                return self._wrong(node.line_of(name), f"{name} is not served by ondol")
            members = ((member, self.value(node[member], node.line_of(member))) for member in node)
            return {member: value for member, value in members if value is not ABSENT}
        if isinstance(node, list):
            lines = node.lines if isinstance(node, Items) else [line] * len(node)
            items = (self.value(item, at) for item, at in zip(node, lines, strict=True))
            return [item for item in items if item is not ABSENT]
        return node

    def chosen(self, node: Any, line: int) -> Any:
        """What stands there once its conditions are decided, not evaluated any further; `ABSENT` for AWS::NoValue."""
        while isinstance(node, Section) and node.keys() == {"Fn::If"}:
            branches, line = node["Fn::If"], node.line_of("Fn::If")
            if not isinstance(branches, list) or len(branches) != 3:
                return self._if(branches, line)
            node = branches[1] if self.holds(branches[0], line) else branches[2]
        return ABSENT if node == {"Ref": NO_VALUE} else node

    def holds(self, name: Any, line: int) -> bool:
        """Whether a condition of the template is true."""
        if not isinstance(name, str) or name not in self._conditions:
            self._wrong(line, f"there is no condition {name}")
            return False
        if name in self._deciding:
            self._wrong(line, f"the condition {name} depends on itself")
            return False
        if name not in self._decided:
            self._deciding.append(name)
            self._decided[name] = self.test(self._conditions[name], self._conditions.line_of(name))
            self._deciding.pop()
        return self._decided[name]

    def test(self, node: Any, line: int) -> bool:
        """Whether what stands where a condition must is true."""
        name = next(iter(node), "") if isinstance(node, Section) and len(node) == 1 else ""
        if name not in self._tests or (name not in {"Condition"} and not isinstance(node[name], list)):
            self._wrong(line, "this is no condition: one is Fn::Equals, Fn::And, Fn::Or, Fn::Not or Condition")
            return False
        return self._tests[name](node[name], node.line_of(name))

    def _wrong(self, line: int, text: str) -> Unknown:
        self._problems.add(line, text)
        return UNKNOWN

    def _equals(self, node: Any, line: int) -> bool:
        values = [self.value(each, line) for each in node]
        if len(values) != 2 or not all(isinstance(each, str | int | float) for each in values):
            self._wrong(line, "Fn::Equals compares two values that are known before anything is made")
            return False
        return shown(values[0]) == shown(values[1])

    def _ref(self, node: Any, line: int) -> Any:
        if not isinstance(node, str):
            return self._wrong(line, "Ref has the name of a parameter or of a resource")
        if node == NO_VALUE:
            return ABSENT
        if node in self._parameters:
            return self._parameters[node]
        name, dot, attribute = node.partition(".")
        found = self._reference(name, attribute if dot else None, line)
        return self._wrong(line, f"Ref {node}: there is no such parameter or resource") if found is None else found

    def _get_attribute(self, node: Any, line: int) -> Any:
        parts = node if isinstance(node, list) else str(node).split(".", 1)
        values = [self.value(part, line) for part in parts]
        if len(values) != 2 or not all(isinstance(each, str) for each in values):
            return self._wrong(line, "Fn::GetAtt has the name of a resource and of an attribute")
        name, attribute = values
        found = self._reference(name, attribute, line)
        text = f"Fn::GetAtt {name}.{attribute}: ondol knows no such attribute of a resource in this template"
        return self._wrong(line, text) if found is None else found

    def _substitute(self, node: Any, line: int) -> Any:
        text, variables = node, {}
        if isinstance(node, list) and len(node) == 2 and isinstance(node[1], Section):
            text, variables = node[0], self.value(node[1], line)
        if not isinstance(text, str) or not isinstance(variables, dict):
            return self._wrong(line, "Fn::Sub has a text, or a text and its variables")
        parts: list[Any] = []
        end = 0
        for place in _PLACE.finditer(text):
            parts.append(text[end : place.start()])
            end = place.end()
            literal, name = place.groups()
            if literal:
                parts.append(f"${{{name}}}")
            elif name in variables:
                parts.append(variables[name])
            elif "." in name and name not in self._parameters:
                parts.append(self._get_attribute(name, line))
            else:
                parts.append(self._ref(name, line))
        return self._text([*parts, text[end:]], line, "Fn::Sub")

    def _join(self, node: Any, line: int) -> Any:
        values = self.value(node, line)
        if not isinstance(values, list) or len(values) != 2 or not isinstance(values[0], str):
            return self._wrong(line, "Fn::Join has a separator and a list")
        separator, items = values
        if items is UNKNOWN:
            return UNKNOWN
        if not isinstance(items, list):
            return self._wrong(line, "Fn::Join has a separator and a list")
        parts = [part for item in items for part in (separator, item)][1:]
        return self._text(parts, line, "Fn::Join")

    def _text(self, parts: list[Any], line: int, function: str) -> Any:
        if any(part is UNKNOWN for part in parts):
            return UNKNOWN
        if not all(isinstance(part, str | int | float | Attribute | Joined) for part in parts):
            return self._wrong(line, f"{function} joins texts, and something else is among them")
        return joined(shown(part) if isinstance(part, int | float) else part for part in parts)

    def _split(self, node: Any, line: int) -> Any:
        values = self.value(node, line)
        texts = isinstance(values, list) and len(values) == 2 and all(isinstance(each, str) for each in values)
        if not texts or not values[0]:
            return self._wrong(line, "Fn::Split has a separator and a text that is known before anything is made")
        return values[1].split(values[0])

    def _select(self, node: Any, line: int) -> Any:
        values = self.value(node, line)
        if not isinstance(values, list) or len(values) != 2 or not isinstance(values[1], list):
            return self._wrong(line, "Fn::Select has a number and a list")
        index, items = values
        if not str(index).isdigit() or int(index) >= len(items):
            return self._wrong(line, f"Fn::Select: the list has no item {index}")
        return items[int(index)]

    def _if(self, node: Any, line: int) -> Any:
        if not isinstance(node, list) or len(node) != 3:
            return self._wrong(line, "Fn::If has a condition and two values")
        return self.value(node[1] if self.holds(node[0], line) else node[2], line)

    def _find_in_map(self, node: Any, line: int) -> Any:
        names = self.value(node, line)
        if not isinstance(names, list) or len(names) != 3 or not all(isinstance(each, str | int) for each in names):
            return self._wrong(line, "Fn::FindInMap has the names of a map and of two keys")
        found: Any = self._mappings
        for name in map(str, names):
            if not isinstance(found, Section) or name not in found:
                return self._wrong(line, f"Fn::FindInMap: there is no {'.'.join(map(str, names))}")
            found = found[name]
        return self.value(found, line)

    def _length(self, node: Any, line: int) -> Any:
        value = self.value(node, line)
        return len(value) if isinstance(value, list) else self._wrong(line, "Fn::Length has a list")

    def _to_json(self, node: Any, line: int) -> Any:
        value = self.value(node, line)
        try:
            return json.dumps(value, separators=(",", ":"))
        except TypeError:
            return self._wrong(line, "Fn::ToJsonString has a value that is known before anything is made")

    def _base64(self, node: Any, line: int) -> Any:
        value = self.value(node, line)
        if not isinstance(value, str):
            return self._wrong(line, "Fn::Base64 has a text that is known before anything is made")
        return base64.b64encode(value.encode()).decode()


def is_text(value: Any) -> bool:
    return isinstance(value, Text)
