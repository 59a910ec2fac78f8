"""Targets of rules: functions, and what they are given. Texts are AWS's where it has been seen to send them."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from ondol.model.errors import LimitExceeded, ValidationFailed
from ondol.triggers.api import Owner
from ondol.triggers.inputs import PREDEFINED, InvalidInput, check_path, check_template
from ondol.triggers.invoking import is_function, is_queue
from ondol.triggers.operations.rules import RuleOperations, missing_rule
from ondol.triggers.operations.table import Operations
from ondol.triggers.paging import page
from ondol.triggers.records import Rule, RuleTarget
from ondol.triggers.registry import Registry

TARGETS = 5
"""Of a rule (EventBridge user guide, "Quotas")."""

_KNOWN = frozenset(
    {"Id", "Arn", "RoleArn", "Input", "InputPath", "InputTransformer", "RetryPolicy", "DeadLetterConfig"}
)


class TargetOperations:
    def __init__(self, rules: Registry[Rule], of_rules: RuleOperations) -> None:
        self._rules = rules
        self._of_rules = of_rules

    def table(self) -> Operations:
        return {
            "PutTargets": self.put,
            "RemoveTargets": self.remove,
            "ListTargetsByRule": self.list,
        }

    async def put(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        rule = self._of_rules.require(owner, parameters.get("EventBusName"), parameters["Rule"])
        added = {target["Id"]: _target(target) for target in parameters["Targets"]}

        def decide(rule: Rule) -> Rule:
            targets = rule.targets | added
            if len(targets) > TARGETS:
                raise LimitExceeded("The requested resource exceeds the maximum number allowed.")
            return replace(rule, targets=targets)

        await self._change(rule, decide)
        return {"FailedEntryCount": 0, "FailedEntries": []}

    async def remove(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """One that is not there is no error."""
        rule = self._of_rules.require(owner, parameters.get("EventBusName"), parameters["Rule"])
        ids = set(parameters["Ids"])

        def decide(rule: Rule) -> Rule:
            return replace(rule, targets={id: target for id, target in rule.targets.items() if id not in ids})

        await self._change(rule, decide)
        return {"FailedEntryCount": 0, "FailedEntries": []}

    async def list(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        rule = self._of_rules.require(owner, parameters.get("EventBusName"), parameters["Rule"])
        shown = [(id, _shown(target)) for id, target in sorted(rule.targets.items())]
        targets, following = page(shown, parameters.get("NextToken"), parameters.get("Limit"))
        return {"Targets": targets, **following}

    async def _change(self, rule: Rule, decide: Any) -> None:
        def decide_existing(now: Rule | None) -> Rule:
            if now is None:
                raise missing_rule(rule.bus, rule.name)
            changed: Rule = decide(now)
            return changed

        await self._rules.change((rule.account, rule.region, rule.bus), rule.name, decide_existing)


def _target(target: Mapping[str, Any]) -> RuleTarget:
    """Raises `ValidationFailed`."""
    id, arn = target["Id"], target["Arn"]
    if not is_function(arn):
        raise ValidationFailed(
            f"Parameter {arn} is not valid. Reason: ondol's EventBridge invokes Lambda functions and nothing else. For "
            'other targets name a server that has them in ondol.toml under [endpoints], as events = "http://HOST:PORT".'
        )
    for member in target.keys() - _KNOWN:
        raise ValidationFailed(f"{member} of target {id} cannot be set: ondol does not have that for functions.")
    given = [member for member in ("Input", "InputPath", "InputTransformer") if target.get(member) is not None]
    if len(given) > 1:
        raise ValidationFailed(f"Only one of Input, InputPath, or InputTransformer must be provided for target {id}.")
    transformer, policy = target.get("InputTransformer") or {}, target.get("RetryPolicy") or {}
    made = RuleTarget(
        id,
        arn,
        role=target.get("RoleArn"),
        input=target.get("Input"),
        input_path=target.get("InputPath"),
        template=transformer.get("InputTemplate"),
        paths=transformer.get("InputPathsMap") or {},
        max_age_s=policy.get("MaximumEventAgeInSeconds"),
        max_retries=policy.get("MaximumRetryAttempts"),
        dead_letters=(target.get("DeadLetterConfig") or {}).get("Arn"),
    )
    if made.dead_letters is not None and not is_queue(made.dead_letters):
        raise ValidationFailed(
            f"Parameter {made.dead_letters} is not valid. Reason: dead letters go to a standard queue."
        )
    _check_input(made)
    return made


def _check_input(target: RuleTarget) -> None:
    if target.input is not None:
        try:
            msgspec.json.decode(target.input)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValidationFailed(f"JSON syntax error in input for target {target.id} : {error}") from error
    try:
        for path in (*target.paths.values(), *([target.input_path] if target.input_path is not None else [])):
            check_path(path)
    except InvalidInput as error:
        raise ValidationFailed(f"Invalid InputPath for target {target.id} : {error}") from error
    if target.template is None:
        return
    if reserved := PREDEFINED & target.paths.keys():
        raise ValidationFailed(f"Invalid InputPathsMap for target {target.id} : {min(reserved)} is reserved")
    try:
        check_template(target.template, frozenset(target.paths))
    except InvalidInput as error:
        raise ValidationFailed(f"Invalid InputTemplate for target {target.id} : {error}") from error


def _shown(target: RuleTarget) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Id": target.id,
        "Arn": target.arn,
        "RoleArn": target.role,
        "Input": target.input,
        "InputPath": target.input_path,
    }
    if target.template is not None:
        paths = {"InputPathsMap": target.paths} if target.paths else {}
        shown["InputTransformer"] = {**paths, "InputTemplate": target.template}
    policy = {"MaximumRetryAttempts": target.max_retries, "MaximumEventAgeInSeconds": target.max_age_s}
    if any(value is not None for value in policy.values()):
        shown["RetryPolicy"] = policy
    if target.dead_letters is not None:
        shown["DeadLetterConfig"] = {"Arn": target.dead_letters}
    return shown
