"""Sample events: what AWS's services hand to a function, in our own words and values. One file each in `events/`."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ondol.cli.failure import CommandFailed

SAMPLES = {
    "alb": "a request through an Application Load Balancer",
    "api-gateway-v1": "a request through a REST API of API Gateway (payload format 1.0)",
    "api-gateway-v2": "a request through an HTTP API or a function URL (payload format 2.0)",
    "cloudwatch-logs": "log lines of a subscription, compressed",
    "dynamodb-update": "a changed item, from a table's stream",
    "eventbridge": "an event of an application's own from a bus",
    "kinesis": "a record of a stream",
    "s3-delete": "an object was removed from a bucket",
    "s3-put": "an object was put into a bucket",
    "schedule": "a rule's hour has come",
    "ses": "a mail has come in",
    "sns": "a notification of a topic",
    "sqs": "a message of a queue",
}

_EVENTS = Path(__file__).with_name("events")


def sample(name: str, settings: Sequence[str] = ()) -> Any:
    """The event of this name with what `settings` (`path=value` each) change. Raises `CommandFailed`."""
    if name not in SAMPLES:
        raise CommandFailed(f"There is no sample event {name!r}; there are: {', '.join(SAMPLES)}.", 2)
    event = json.loads((_EVENTS / f"{name}.json").read_text("utf-8"))
    for setting in settings:
        path, equals, value = setting.partition("=")
        if not path or not equals:
            raise CommandFailed(f"--set must be PATH=VALUE, such as Records.0.awsRegion=eu-west-1, not {setting!r}.", 2)
        _put(event, path, value)
    return event


def _put(event: Any, path: str, value: str) -> None:
    """Change the member that a path names: keys and places joined by dots, a dot in a key written as `\\.`."""
    *way, last = (key.replace("\\.", ".") for key in re.split(r"(?<!\\)\.", path))
    place = event
    for key in way:
        place = _member(place, key, path)
    if isinstance(place, dict):
        place[last] = _value(value, place.get(last))
    else:
        before = _member(place, last, path)
        place[int(last)] = _value(value, before)


def _member(place: Any, key: str, path: str) -> Any:
    if isinstance(place, dict) and key in place:
        return place[key]
    if isinstance(place, list) and key.isdecimal() and int(key) < len(place):
        return place[int(key)]
    there = list(place) if isinstance(place, dict) else range(len(place)) if isinstance(place, list) else ()
    known = ", ".join(map(str, there)) or "nothing"
    raise CommandFailed(f"--set {path}: there is no {key!r} here; there is: {known}.", 2)


def _value(text: str, before: Any) -> Any:
    """JSON where it is JSON, except in place of a text: that stays one, so that a body is not parsed."""
    if isinstance(before, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
