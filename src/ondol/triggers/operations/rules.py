"""Rules: PutRule and what follows it. Texts are AWS's where it has been seen to send them."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from ondol.model.errors import InvalidEventPattern, LimitExceeded, ResourceNotFound, ValidationFailed
from ondol.model.event_pattern import EventPattern, InvalidPattern, parse_pattern
from ondol.model.time import Clock
from ondol.triggers.api import Owner
from ondol.triggers.arns import rule_arn
from ondol.triggers.cron import InvalidExpression
from ondol.triggers.expressions import Once, Rate, parse_expression
from ondol.triggers.operations.buses import BusOperations
from ondol.triggers.operations.table import Operations, tags_of
from ondol.triggers.paging import page
from ondol.triggers.records import DEFAULT_BUS, Rule
from ondol.triggers.registry import Registry

RULES = 300
"""On a bus (EventBridge user guide, "Quotas")."""

_STATES = {"ENABLED": True, "DISABLED": False}


class RuleOperations:
    """`replanned` is told of each rule whose schedule may be another."""

    def __init__(
        self, rules: Registry[Rule], buses: BusOperations, clock: Clock, replanned: Callable[[Rule], None]
    ) -> None:
        self._rules = rules
        self._buses = buses
        self._clock = clock
        self._replanned = replanned

    def table(self) -> Operations:
        return {
            "PutRule": self.put,
            "DescribeRule": self.describe,
            "ListRules": self.list,
            "ListRuleNamesByTarget": self.list_names_by_target,
            "EnableRule": self.enable,
            "DisableRule": self.disable,
            "DeleteRule": self.delete,
            "TestEventPattern": self.test_pattern,
        }

    async def put(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Make a rule, or another one of it; its targets stay, and so do its tags."""
        name, bus = parameters["Name"], self._buses.require(owner, parameters.get("EventBusName"))
        pattern, schedule = parameters.get("EventPattern") or None, parameters.get("ScheduleExpression") or None
        if pattern is None and schedule is None:
            raise ValidationFailed("Parameter(s) EventPattern or ScheduleExpression must be specified.")
        if schedule is not None:
            _check_schedule(schedule, bus)
        if pattern is not None:
            compiled(pattern)
        state = parameters.get("State", "ENABLED")
        if state not in _STATES:
            raise ValidationFailed(f"The state {state} cannot be set: ondol has no CloudTrail.")
        now = self._clock.wall()

        def decide(rule: Rule | None) -> Rule:
            if rule is None:
                if len(self._rules.of((owner.account, owner.region, bus))) >= RULES:
                    raise LimitExceeded("The requested resource exceeds the maximum number allowed.")
                rule = Rule(owner.account, owner.region, bus, name, now, now, tags=tags_of(parameters))
            same = (rule.schedule, rule.enabled) == (schedule, _STATES[state])
            return replace(
                rule,
                pattern=pattern,
                schedule=schedule,
                enabled=_STATES[state],
                description=parameters.get("Description"),
                role=parameters.get("RoleArn"),
                since=rule.since if same else now,
            )

        return {"RuleArn": rule_arn(await self._change(owner, bus, name, decide))}

    async def describe(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        rule = self.require(owner, parameters.get("EventBusName"), parameters["Name"])
        return {**_shown(rule), "CreatedBy": rule.account}

    async def list(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        bus = self._buses.require(owner, parameters.get("EventBusName"))
        prefix = parameters.get("NamePrefix", "")
        named = [
            (rule.name, _shown(rule))
            for rule in self._rules.of((owner.account, owner.region, bus))
            if rule.name.startswith(prefix)
        ]
        rules, following = page(named, parameters.get("NextToken"), parameters.get("Limit"))
        return {"Rules": rules, **following}

    async def list_names_by_target(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        bus = self._buses.require(owner, parameters.get("EventBusName"))
        wanted = parameters["TargetArn"]
        named = [
            (rule.name, rule.name)
            for rule in self._rules.of((owner.account, owner.region, bus))
            if any(target.arn == wanted for target in rule.targets.values())
        ]
        names, following = page(named, parameters.get("NextToken"), parameters.get("Limit"))
        return {"RuleNames": names, **following}

    async def enable(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return await self._switch(owner, parameters, True)

    async def disable(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return await self._switch(owner, parameters, False)

    async def delete(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """One that is not there is no error."""
        bus = self._buses.require(owner, parameters.get("EventBusName"))
        parent, name = (owner.account, owner.region, bus), parameters["Name"]
        gone = self._rules.get(parent, name)

        def decide(rule: Rule | None) -> None:
            if rule is not None and rule.targets:
                raise ValidationFailed("Rule can't be deleted since it has targets.")

        await self._rules.change(parent, name, decide)
        if gone is not None:
            self._replanned(gone)
        return {}

    async def test_pattern(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        pattern = compiled(parameters["EventPattern"])
        try:
            event = parse_pattern(parameters["Event"])
        except InvalidPattern as error:
            raise ValidationFailed(f"Parameter Event is not valid. Reason: {error}.") from error
        missing = [name for name in ("id", "detail-type", "source", "account", "time", "region") if name not in event]
        if missing:
            raise ValidationFailed(f"Parameter Event is not valid. Reason: {missing[0]} is a required field.")
        return {"Result": pattern.matches(event)}

    def require(self, owner: Owner, bus: str | None, name: str) -> Rule:
        """Raises `ResourceNotFound`."""
        on = self._buses.require(owner, bus)
        rule = self._rules.get((owner.account, owner.region, on), name)
        if rule is None:
            raise missing_rule(on, name)
        return rule

    async def _switch(self, owner: Owner, parameters: Mapping[str, Any], enabled: bool) -> dict[str, Any]:
        bus, name = self._buses.require(owner, parameters.get("EventBusName")), parameters["Name"]

        def decide(rule: Rule | None) -> Rule:
            if rule is None:
                raise missing_rule(bus, name)
            return rule if rule.enabled is enabled else replace(rule, enabled=enabled, since=self._clock.wall())

        await self._change(owner, bus, name, decide)
        return {}

    async def _change(self, owner: Owner, bus: str, name: str, decide: Callable[[Rule | None], Rule]) -> Rule:
        rule = await self._rules.change((owner.account, owner.region, bus), name, decide)
        assert rule is not None
        self._replanned(rule)
        return rule


def compiled(pattern: str) -> EventPattern:
    """Raises `InvalidEventPattern`."""
    try:
        return EventPattern(parse_pattern(pattern))
    except InvalidPattern as error:
        raise InvalidEventPattern(f"Event pattern is not valid. Reason: {error}") from error


def missing_rule(bus: str, name: str) -> ResourceNotFound:
    return ResourceNotFound(f"Rule {name} does not exist on EventBus {bus}.")


def _check_schedule(text: str, bus: str) -> None:
    if bus != DEFAULT_BUS:
        raise ValidationFailed("ScheduleExpression is supported only on the default event bus.")
    try:
        expression = parse_expression(text)
    except InvalidExpression as error:
        raise ValidationFailed("Parameter ScheduleExpression is not valid.") from error
    if isinstance(expression, Once) or (isinstance(expression, Rate) and not expression.exact):
        raise ValidationFailed("Parameter ScheduleExpression is not valid.")


def _shown(rule: Rule) -> dict[str, Any]:
    return {
        "Name": rule.name,
        "Arn": rule_arn(rule),
        "EventPattern": rule.pattern,
        "ScheduleExpression": rule.schedule,
        "State": "ENABLED" if rule.enabled else "DISABLED",
        "Description": rule.description,
        "RoleArn": rule.role,
        "EventBusName": rule.bus,
    }
