"""What a rule's target is given: the event, a part of it, a constant, or a template that is filled in from it.

Pure. Source: EventBridge user guide, "Amazon EventBridge input transformation"; API reference, InputTransformer.
Unconfirmed: that a variable which the event has nothing for becomes null, or nothing inside a text; and that an object
inside a text is escaped.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ondol.model.foreign_json import UNREADABLE
from ondol.model.limits import EVENT_PAYLOAD_BYTES
from ondol.triggers.records import RuleTarget

_STEP = re.compile(r"\.([A-Za-z0-9_/-]+|\*)|\[([0-9]+|\*)\]")
_VARIABLE = re.compile(r"<([A-Za-z0-9._-]+)>")
_TEXT_OR_VARIABLE = re.compile(r'"(?:[^"\\]|\\.)*"|<[A-Za-z0-9._-]+>', re.DOTALL)

RULE_ARN = "aws.events.rule-arn"
RULE_NAME = "aws.events.rule-name"
INGESTION_TIME = "aws.events.event.ingestion-time"
EVENT = "aws.events.event"
EVENT_JSON = "aws.events.event.json"
PREDEFINED = frozenset({RULE_ARN, RULE_NAME, INGESTION_TIME, EVENT, EVENT_JSON})


class InvalidInput(ValueError):
    """A path or template that cannot be; the text says why."""


class NothingToSend(Exception):
    """A template whose result, with this event, is no JSON."""


def input_of(target: RuleTarget, event: Mapping[str, Any], predefined: Mapping[str, Any]) -> bytes:
    """JSON. `predefined` has the values of the names above, but for the event's. Raises `NothingToSend`."""
    if target.input is not None:
        return target.input.encode()
    if target.input_path is not None:
        return msgspec.json.encode(find(event, target.input_path))
    if target.template is None:
        return msgspec.json.encode(event)
    values = {
        EVENT: {name: value for name, value in event.items() if name != "detail"},
        EVENT_JSON: event,
        **predefined,
        **{name: find(event, path) for name, path in target.paths.items()},
    }
    filled = fill(target.template, values).encode()
    if not _is_json(filled):
        raise NothingToSend(f"the input template of target {target.id} makes no JSON of this event")
    return filled


def check_path(path: str) -> None:
    """Raises `InvalidInput`."""
    list(_steps(path))


def check_template(template: str, names: frozenset[str]) -> None:
    """Raises `InvalidInput` for a name that no value has, and for what can make no JSON."""
    for name in _VARIABLE.findall(template):
        if name not in names and name not in PREDEFINED:
            raise InvalidInput(f"there is no value for the variable {name}")
    if not _is_json(fill(template, dict.fromkeys(names | PREDEFINED, "x")).encode()):
        raise InvalidInput("the template is no JSON text: a function takes nothing else")


def find(event: Any, path: str) -> Any:
    """What is at this path; null where there is nothing, and a list of all for a path with a wildcard."""
    found = [event]
    many = False
    for step in _steps(path):
        many = many or step == "*"
        found = [inner for value in found for inner in _step(value, step)]
    return found if many else (found[0] if found else None)


def fill(template: str, values: Mapping[str, Any]) -> str:
    """The template with each `<name>` that has a value replaced: as JSON, or inside a text as a part of it.

    Raises `NothingToSend` for more than a function takes: a few letters of a template may stand for a whole event.
    """
    left = EVENT_PAYLOAD_BYTES

    def counted(text: str) -> str:
        nonlocal left
        left -= len(text)
        if left < 0:
            raise NothingToSend(f"the input template makes more than {EVENT_PAYLOAD_BYTES} bytes of this event")
        return text

    def in_text(found: re.Match[str]) -> str:
        if found[1] not in values:
            return found[0]
        value = values[found[1]]
        shown = value if isinstance(value, str) else ("" if value is None else _json(value))
        return counted(_json(shown)[1:-1])

    def replaced(found: re.Match[str]) -> str:
        if found[0].startswith('"'):
            return _VARIABLE.sub(in_text, found[0])
        name = found[0][1:-1]
        return counted(_json(values[name])) if name in values else found[0]

    return _TEXT_OR_VARIABLE.sub(replaced, template)


def _steps(path: str) -> Iterator[str | int]:
    if not path.startswith("$"):
        raise InvalidInput(f"the path {path} does not begin with $")
    at = 1
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            raise InvalidInput(f"the path {path} is more than names, numbers and *")
        name, number = found[1], found[2]
        yield name if name is not None else ("*" if number == "*" else int(number))
        at = found.end()


def _step(value: Any, step: str | int) -> list[Any]:
    if isinstance(value, dict):
        if step == "*":
            return list(value.values())
        return [value[step]] if step in value else []
    if isinstance(value, list):
        if step == "*":
            return value
        return [value[step]] if isinstance(step, int) and step < len(value) else []
    return []


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text)
    except UNREADABLE:
        return False
    return True
