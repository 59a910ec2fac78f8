"""A template's text as sections, each member with the line it stands on; short tags in their long form.

YAML 1.1, of which JSON is a part, as CloudFormation reads it: what looks like a date stays a text, and a key that is
there twice is an error.
"""

from collections.abc import Hashable
from typing import Any

import yaml

from ondol.templates.problems import Problem, TemplateRefused

_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_PLAIN = frozenset({"Ref", "Condition"})
"""Tags whose long form has no `Fn::` before it."""


class Section(dict[str, Any]):
    """An object, and where it and each of its members are."""

    line: int = 0
    lines: dict[str, int]

    def line_of(self, name: str) -> int:
        return self.lines.get(name, self.line)


class Items(list[Any]):
    """A list, and where each of its items is."""

    lines: list[int]


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
    """Of templates. Nothing in one makes an object of Python's."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(text: str) -> Section:
    """Raises `TemplateRefused` for what is no YAML, or no object."""
    loader = _Loader(text)
    try:
        document = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 0 if mark is None else mark.line + 1
        raise TemplateRefused([Problem(line, f"this is no YAML: {error.problem or error.context}")]) from error
    except yaml.YAMLError as error:
        raise TemplateRefused([Problem(0, f"this is no YAML: {error}")]) from error
    finally:
        loader.dispose()
    if not isinstance(document, Section):
        raise TemplateRefused([Problem(1, "this is no template: it is not an object")])
    return document


def _section(loader: _Loader, node: yaml.MappingNode) -> Section:
    loader.flatten_mapping(node)
    section = Section()
    section.line = node.start_mark.line + 1
    section.lines = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(None, None, "a key is not a text", key_node.start_mark)
        name = key if isinstance(key, str) else key_node.value
        if name in section:
            raise yaml.constructor.ConstructorError(None, None, f"{name!r} is there twice", key_node.start_mark)
        section[name] = loader.construct_object(value_node, deep=True)
        section.lines[name] = key_node.start_mark.line + 1
    return section


def _items(loader: _Loader, node: yaml.SequenceNode) -> Items:
    items = Items(loader.construct_object(item, deep=True) for item in node.value)
    items.lines = [item.start_mark.line + 1 for item in node.value]
    return items


def _tagged(loader: _Loader, suffix: str, node: yaml.Node) -> Section:
    """`!Sub x` as `{"Fn::Sub": x}`."""
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = _items(loader, node)
    elif isinstance(node, yaml.MappingNode):
        value = _section(loader, node)
    name = suffix if suffix in _PLAIN else f"Fn::{suffix}"
    section = Section({name: value})
    section.line = node.start_mark.line + 1
    section.lines = {name: section.line}
    return section


_Loader.add_constructor("tag:yaml.org,2002:map", _section)
_Loader.add_constructor("tag:yaml.org,2002:seq", _items)
_Loader.add_multi_constructor("!", _tagged)
