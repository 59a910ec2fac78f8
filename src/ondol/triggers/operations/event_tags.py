"""Tags of buses and rules."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from ondol.model.errors import LimitExceeded, ResourceNotFound, ValidationFailed
from ondol.model.time import Clock
from ondol.triggers.api import Owner
from ondol.triggers.arns import owner_and_name
from ondol.triggers.operations.rules import missing_rule
from ondol.triggers.operations.table import Operations, shown_tags, tags_of
from ondol.triggers.records import DEFAULT_BUS, Bus, Rule
from ondol.triggers.registry import Registry

TAGS = 50

Change = Callable[[dict[str, str]], dict[str, str]]


class EventTagOperations:
    def __init__(self, buses: Registry[Bus], rules: Registry[Rule], clock: Clock) -> None:
        self._buses = buses
        self._rules = rules
        self._clock = clock

    def table(self) -> Operations:
        return {
            "TagResource": self.tag,
            "UntagResource": self.untag,
            "ListTagsForResource": self.list,
        }

    async def tag(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        def added(tags: dict[str, str]) -> dict[str, str]:
            changed = tags | tags_of(parameters)
            if len(changed) > TAGS:
                raise LimitExceeded("The requested resource exceeds the maximum number allowed.")
            return changed

        await self._change(owner, parameters["ResourceARN"], added)
        return {}

    async def untag(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        keys = set(parameters["TagKeys"])
        await self._change(
            owner,
            parameters["ResourceARN"],
            lambda tags: {key: value for key, value in tags.items() if key not in keys},
        )
        return {}

    async def list(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        bus, rule = _named(owner, parameters["ResourceARN"])
        if rule is None:
            tags = _tags_of_bus(self._buses.get((owner.account, owner.region), bus), bus)
        else:
            tags = _existing(self._rules.get((owner.account, owner.region, bus), rule), bus, rule).tags
        return {"Tags": shown_tags(tags)}

    async def _change(self, owner: Owner, arn: str, change: Change) -> None:
        bus, rule = _named(owner, arn)
        if rule is None:
            await self._change_bus(owner, bus, change)
        else:
            await self._change_rule(owner, bus, rule, change)

    async def _change_bus(self, owner: Owner, name: str, change: Change) -> None:
        now = self._clock.wall()

        def decide(bus: Bus | None) -> Bus | None:
            tags = _tags_of_bus(bus, name)
            changed = change(tags)
            if changed == tags:
                return bus
            return replace(bus or Bus(owner.account, owner.region, name, now, now), tags=changed)

        await self._buses.change((owner.account, owner.region), name, decide)

    async def _change_rule(self, owner: Owner, bus: str, name: str, change: Change) -> None:
        def decide(rule: Rule | None) -> Rule:
            rule = _existing(rule, bus, name)
            changed = change(rule.tags)
            return rule if changed == rule.tags else replace(rule, tags=changed)

        await self._rules.change((owner.account, owner.region, bus), name, decide)


def _named(owner: Owner, arn: str) -> tuple[str, str | None]:
    """A bus, and the rule on it if it is one that is meant.

    Raises `ResourceNotFound` for somebody else's, and `ValidationFailed` for the ARN of anything else.
    """
    bus, rule = owner_and_name(arn, "events", "event-bus"), owner_and_name(arn, "events", "rule")
    if bus is not None and bus[0] == owner:
        return bus[1], None
    if rule is not None and rule[0] == owner:
        on, _, name = rule[1].rpartition("/")
        return on or DEFAULT_BUS, name
    if bus is not None or rule is not None:
        raise ResourceNotFound(f"{arn} does not exist.")
    raise ValidationFailed(f"Parameter {arn} is not valid. Reason: it is the ARN of no rule and no event bus.")


def _tags_of_bus(bus: Bus | None, name: str) -> dict[str, str]:
    """The default bus is there before anybody has made a record of it. Raises `ResourceNotFound`."""
    if bus is None and name != DEFAULT_BUS:
        raise ResourceNotFound(f"Event bus {name} does not exist.")
    return bus.tags if bus is not None else {}


def _existing(rule: Rule | None, bus: str, name: str) -> Rule:
    """Raises `ResourceNotFound`."""
    if rule is None:
        raise missing_rule(bus, name)
    return rule
