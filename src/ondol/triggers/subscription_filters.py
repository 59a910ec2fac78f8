"""Filter policies of subscriptions: which messages of a topic reach a function. Pure.

Source: SNS developer guide, "Message filtering", "Filter policy constraints". The language is that of event patterns.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from ondol.model.event_pattern import EventPattern, InvalidPattern, parse_pattern
from ondol.model.sns import MessageAttribute

ATTRIBUTES, BODY = "MessageAttributes", "MessageBody"
KEYS = 5
"""The most that a policy may have at its top."""


class InvalidPolicy(ValueError):
    """What is no filter policy; the text says why."""


def check_policy(text: str, scope: str) -> None:
    """Raises `InvalidPolicy`."""
    try:
        policy = parse_pattern(text)
        EventPattern(policy)
    except InvalidPattern as error:
        raise InvalidPolicy(str(error)) from error
    if len(policy) > KEYS:
        raise InvalidPolicy(f"Filter policy can not have more than {KEYS} keys")
    nested = [name for name, accepted in policy.items() if isinstance(accepted, dict)]
    if scope == ATTRIBUTES and nested:
        raise InvalidPolicy(f"Filter policy scope MessageAttributes does not support nested filter policy: {nested[0]}")


def passes(policy: str | None, scope: str, body: str, attributes: Mapping[str, MessageAttribute]) -> bool:
    """Whether a message reaches the subscription that has this policy."""
    if policy is None:
        return True
    if scope == BODY:
        try:
            message = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return False
        return isinstance(message, dict) and _compiled(policy).matches(message)
    return _compiled(policy).matches({name: _value(each) for name, each in attributes.items()})


def _value(attribute: MessageAttribute) -> Any:
    kind = attribute.type.partition(".")
    try:
        if attribute.type == "String.Array" or kind[0] == "Number":
            return msgspec.json.decode(attribute.value)
    except (msgspec.DecodeError, RecursionError):
        return None
    # What is binary is there, and equals nothing that a policy could name.
    return None if kind[0] == "Binary" else attribute.value


@lru_cache(maxsize=4096)
def _compiled(policy: str) -> EventPattern:
    return EventPattern(parse_pattern(policy))
