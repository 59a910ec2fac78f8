"""What modules of operations share: how an operation looks."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from ondol.triggers.api import Owner

Operation = Callable[[Owner, Mapping[str, Any]], Coroutine[Any, Any, dict[str, Any]]]
Operations = dict[str, Operation]


def tags_of(parameters: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in parameters.get("Tags") or ()}


def shown_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
