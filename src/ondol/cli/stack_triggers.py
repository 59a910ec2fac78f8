"""What invokes functions of a stack: buses with rules, schedules, notifications of buckets, subscriptions of topics."""

import contextlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ondol.cli.aws_calls import AwsCalls, attribute_of
from ondol.cli.stack_functions import CREATED, UNCHANGED, UPDATED
from ondol.templates.steps import Kind, Step


class StackTriggers:
    """Each operation answers what it did. What is as it should be is not touched: a schedule would begin anew."""

    def __init__(self, aws: AwsCalls) -> None:
        self._aws = aws

    def make(self, step: Step, members: Mapping[str, Any]) -> str:
        make = {
            Kind.BUS: self.bus,
            Kind.RULE: self.rule,
            Kind.SCHEDULE: self.schedule,
            Kind.NOTIFICATION: self.notification,
            Kind.SUBSCRIPTION: self.subscription,
        }
        return make[step.kind](members)

    def bus(self, members: Mapping[str, Any]) -> str:
        current = self._aws.find("events", "DescribeEventBus", {"Name": members["Name"]})
        if current is None:
            self._aws("events", "CreateEventBus", members)
            return CREATED
        if (current.get("Description") or "") == members["Description"]:
            return UNCHANGED
        self._aws("events", "UpdateEventBus", members)
        return UPDATED

    def rule(self, members: Mapping[str, Any]) -> str:
        wanted = {member: value for member, value in members.items() if member != "Target"}
        if "EventPattern" in wanted:
            wanted["EventPattern"] = json.dumps(wanted["EventPattern"])
        bus = {"EventBusName": wanted["EventBusName"]} if "EventBusName" in wanted else {}
        named = {"Rule": wanted["Name"], **bus}
        current = self._aws.find("events", "DescribeRule", {"Name": wanted["Name"], **bus})
        targets = [] if current is None else self._aws("events", "ListTargetsByRule", named)["Targets"]
        same = current is not None and _same_rule(current, wanted)
        if same and targets == [members["Target"]]:
            return UNCHANGED
        if not same:
            self._aws("events", "PutRule", wanted)
        self._aws("events", "PutTargets", {**named, "Targets": [members["Target"]]})
        left = [target["Id"] for target in targets if target["Id"] != members["Target"]["Id"]]
        if left:
            self._aws("events", "RemoveTargets", {**named, "Ids": left})
        return CREATED if current is None else UPDATED

    def schedule(self, members: Mapping[str, Any]) -> str:
        named = {"Name": members["Name"], "GroupName": members["GroupName"]}
        current = self._aws.find("scheduler", "GetSchedule", named)
        if current is None:
            self._aws("scheduler", "CreateSchedule", members)
            return CREATED
        if _same_schedule(current, members):
            return UNCHANGED
        self._aws("scheduler", "UpdateSchedule", members)
        return UPDATED

    def notification(self, members: Mapping[str, Any]) -> str:
        bucket = {"Bucket": members["Bucket"]}
        told = self._aws("s3", "GetBucketNotificationConfiguration", bucket)
        current = told.get("LambdaFunctionConfigurations", [])
        wanted = {member: members[member] for member in _OWN if members.get(member) is not None}
        same_events = ("EventBridgeConfiguration" in told) == ("EventBridgeConfiguration" in wanted)
        if same_events and sorted(map(_told, current)) == sorted(map(_told, members["LambdaFunctionConfigurations"])):
            return UNCHANGED
        others = {member: told[member] for member in _OTHERS if member in told}
        self._aws("s3", "PutBucketNotificationConfiguration", {**bucket, "NotificationConfiguration": others | wanted})
        return UPDATED if told.keys() & {*_OWN} else CREATED

    def subscription(self, members: Mapping[str, Any]) -> str:
        arn = self.subscription_of(members["TopicArn"], members["Endpoint"])
        members = {**members, "Attributes": {name: attribute_of(of) for name, of in members["Attributes"].items()}}
        if arn is None:
            self._aws("sns", "Subscribe", {**members, "ReturnSubscriptionArn": True})
            return CREATED
        current = self._aws("sns", "GetSubscriptionAttributes", {"SubscriptionArn": arn})["Attributes"]
        wanted = {"FilterPolicy": "{}", **members["Attributes"]}
        changed = {name: value for name, value in wanted.items() if not _same(current.get(name), value)}
        for name, value in changed.items():
            told = {"SubscriptionArn": arn, "AttributeName": name, "AttributeValue": value}
            self._aws("sns", "SetSubscriptionAttributes", told)
        return UPDATED if changed else UNCHANGED

    def subscription_of(self, topic: str, endpoint: str) -> str | None:
        found = self._aws.pages("sns", "ListSubscriptionsByTopic", {"TopicArn": topic}, "Subscriptions")
        return next((each["SubscriptionArn"] for each in found if each["Endpoint"] == endpoint), None)

    # What left the template

    def remove_bus(self, name: str) -> None:
        self._aws("events", "DeleteEventBus", {"Name": name})

    def remove_rule(self, name: str) -> None:
        bus, slash, rule = name.rpartition("/")
        on = {"EventBusName": bus} if slash else {}
        if self._aws.find("events", "DescribeRule", {"Name": rule, **on}) is None:
            return
        targets = self._aws("events", "ListTargetsByRule", {"Rule": rule, **on})["Targets"]
        if targets:
            self._aws("events", "RemoveTargets", {"Rule": rule, **on, "Ids": [target["Id"] for target in targets]})
        self._aws("events", "DeleteRule", {"Name": rule, **on})

    def remove_schedule(self, name: str) -> None:
        group, _, schedule = name.partition("/")
        self._aws.find("scheduler", "DeleteSchedule", {"Name": schedule, "GroupName": group})

    def remove_notification(self, bucket: str) -> None:
        told = self._aws.find("s3", "GetBucketNotificationConfiguration", {"Bucket": bucket})
        if told is not None and told.keys() & {*_OWN}:
            others = {member: told[member] for member in _OTHERS if member in told}
            members = {"Bucket": bucket, "NotificationConfiguration": others}
            self._aws("s3", "PutBucketNotificationConfiguration", members)

    def remove_subscription(self, name: str) -> None:
        topic, _, endpoint = name.partition(" ")
        if self._aws.find("sns", "GetTopicAttributes", {"TopicArn": topic}) is None:
            return
        arn = self.subscription_of(topic, endpoint)
        if arn is not None:
            self._aws("sns", "Unsubscribe", {"SubscriptionArn": arn})


_OWN = ("LambdaFunctionConfigurations", "EventBridgeConfiguration")
_OTHERS = ("QueueConfigurations", "TopicConfigurations")
"""What a bucket may tell beside: it stays."""


def _same_rule(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    if not _same(current.get("EventPattern"), wanted.get("EventPattern")):
        return False
    others = ("ScheduleExpression", "State", "Description")
    return all((current.get(name) or "") == (wanted.get(name) or "") for name in others)


def _same_schedule(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """What is wanted of nothing is as it is where nothing is said."""
    target, own = current["Target"], dict(wanted["Target"])
    own["RetryPolicy"] = _RETRIES | own.get("RetryPolicy", {})
    if any(target.get(member) != own.get(member) for member in (*own, "Input", "DeadLetterConfig")):
        return False
    whole = _SCHEDULE | {member: value for member, value in wanted.items() if member != "Target"}
    return all(_moment(current.get(member)) == _moment(value) for member, value in whole.items())


_SCHEDULE = {
    **{"State": "ENABLED", "ScheduleExpressionTimezone": "UTC", "ActionAfterCompletion": "NONE"},
    **dict.fromkeys(("Description", "StartDate", "EndDate")),
}
_RETRIES = {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}


def _moment(value: Any) -> Any:
    """A moment may be shown otherwise than it was written."""
    if isinstance(value, str) and "T" in value:
        with contextlib.suppress(ValueError):
            value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).astimezone(UTC)
    return value


def _same(one: str | None, other: str | None) -> bool:
    """Whether two texts are the same JSON, if they are JSON."""
    if one is None or other is None:
        return (one or "{}") == (other or "{}")
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return one == other


def _told(configuration: Mapping[str, Any]) -> str:
    rules = configuration.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    filters = sorted((str(rule["Name"]).lower(), str(rule["Value"])) for rule in rules)
    return json.dumps(
        [configuration["Id"], configuration["LambdaFunctionArn"], sorted(configuration["Events"]), filters]
    )
