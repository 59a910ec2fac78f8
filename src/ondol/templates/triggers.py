"""Events by which services invoke a function of a template: rules, schedules, buckets, topics; and event buses.

Source: AWS SAM developer guide, "Schedule", "ScheduleV2", "EventBridgeRule", "S3", "SNS" of AWS::Serverless::Function;
CloudFormation user guide, "AWS::Events::EventBus", "AWS::SNS::Subscription".
"""

from collections.abc import Callable, Mapping
from typing import Any

from ondol.templates.made_function import MadeFunction, permission
from ondol.templates.making import Making, Resource
from ondol.templates.properties import Properties
from ondol.templates.steps import Kind, Step
from ondol.templates.stores import BUCKET, store_reference
from ondol.templates.values import Attribute, Joined, Text, joined

LONGEST_NAME = 64
BUS, SUBSCRIPTION = "AWS::Events::EventBus", "AWS::SNS::Subscription"
LONGEST_BUS = 256
DEFAULT_BUS = DEFAULT_GROUP = "default"

_SCHEDULED = (
    *("ScheduleExpression", "ScheduleExpressionTimezone", "StartDate", "EndDate", "State", "Description"),
    "ActionAfterCompletion",
)

EventSteps = Callable[[Making, MadeFunction, str, Properties], list[Step]]


def arn_of(making: Making, function: MadeFunction) -> str:
    """By which a service invokes it."""
    return making.stack.arn("lambda", f"function:{function.qualified}")


def _schedule(making: Making, function: MadeFunction, id: str, properties: Properties) -> list[Step]:
    rule = {"ScheduleExpression": properties.known("Schedule", required=True)}
    return _rule(making, function, id, properties, rule=rule, name="Name")


def _pattern(making: Making, function: MadeFunction, id: str, properties: Properties) -> list[Step]:
    pattern = properties.object("Pattern")
    if pattern is None:
        properties.wrong(f"{properties.place} must have Pattern", properties.line)
    # A bus of the same account is known by its name, and by its ARN.
    bus = str(properties.known("EventBusName", DEFAULT_BUS)).rpartition("/")[2]
    rule = {"EventPattern": pattern, **({} if bus == DEFAULT_BUS else {"EventBusName": bus})}
    return _rule(making, function, id, properties, rule=rule, name="RuleName")


def _rule(
    making: Making, function: MadeFunction, id: str, properties: Properties, *, rule: dict[str, Any], name: str
) -> list[Step]:
    """A rule of EventBridge whose only target is the function."""
    named = properties.known(name) or _short(f"{making.stack.name}-{id}")
    target: dict[str, Any] = {"Id": f"{id}LambdaTarget", "Arn": arn_of(making, function)}
    own = properties.inside("Target")
    if own is not None:
        target["Id"] = own.known("Id", target["Id"])
        own.finish()
    given: dict[str, Any] = {each: properties.text(each) for each in ("Input", "InputPath")}
    given |= {each: properties.object(each) for each in ("InputTransformer", "RetryPolicy")}
    given |= _dead_letters(properties)
    target |= {member: value for member, value in given.items() if value is not None}
    members = {"State": _state(properties), "Description": properties.text("Description", ""), **rule}
    bus = rule.get("EventBusName")
    path = named if bus is None else f"{bus}/{named}"
    step = Step(
        id, Kind.RULE, path, {"Name": named, **members, "Target": target}, properties.line, after=function.after
    )
    statement = _statement("events.amazonaws.com", making.stack.arn("events", f"rule/{path}"))
    return [permission(function, f"{id}Permission", statement, properties.line), step]


def _schedule_2(making: Making, function: MadeFunction, id: str, properties: Properties) -> list[Step]:
    """A schedule of the Scheduler, which invokes as a role, so that no permission is asked for."""
    name = properties.known("Name") or _short(f"{making.stack.name}-{id}")
    group = properties.known("GroupName", DEFAULT_GROUP)
    stack = making.stack
    role = f"arn:{stack.partition}:iam::{stack.account}:role/{stack.name}-{id}Role"
    target: dict[str, Any] = {"Arn": arn_of(making, function), "RoleArn": properties.text("RoleArn", role)}
    given = {"Input": properties.text("Input"), "RetryPolicy": properties.object("RetryPolicy")}
    given |= _dead_letters(properties)
    target |= {member: value for member, value in given.items() if value is not None}
    members = {member: properties.known(member) for member in _SCHEDULED}
    if members["ScheduleExpression"] is None:
        properties.wrong(f"{properties.place} must have ScheduleExpression", properties.line)
    window = properties.object("FlexibleTimeWindow") or {"Mode": "OFF"}
    properties.without_effect("PermissionsBoundary", "OmitName")
    wanted = {member: value for member, value in members.items() if value is not None}
    wanted |= {"Name": name, "GroupName": group, "FlexibleTimeWindow": window, "Target": target}
    return [Step(id, Kind.SCHEDULE, f"{group}/{name}", wanted, properties.line, after=function.after)]


def _s3(making: Making, function: MadeFunction, id: str, properties: Properties) -> list[Step]:
    bucket = properties.known("Bucket", required=True)
    named = {store_reference(making, each, None): each for each in making.resources.values() if each.type == BUCKET}
    events = properties.items("Events")
    filters = properties.inside("Filter")
    rules = None
    if filters is not None:
        key = filters.object("S3Key") or {}
        rules = key.get("Rules")
        filters.finish()
    if bucket not in named:
        properties.wrong(f"{properties.place}.Bucket must be a Ref to a bucket of this template", properties.line)
        return []
    told: dict[str, Any] = {"Id": id, "LambdaFunctionArn": arn_of(making, function), "Events": events}
    if rules is not None:
        told["Filter"] = {"Key": {"FilterRules": rules}}
    making.notifications.setdefault(bucket, []).append(told)
    statement = _statement("s3.amazonaws.com", f"arn:{making.stack.partition}:s3:::{bucket}")
    statement["SourceAccount"] = making.stack.account
    return [permission(function, f"{id}Permission", statement, properties.line)]


def notification_steps(making: Making) -> list[Step]:
    """What each bucket tells, once every function has said what it wants to hear."""
    by_name = {store_reference(making, each, None): each for each in making.resources.values() if each.type == BUCKET}
    steps = []
    for bucket in dict.fromkeys([*making.notifications, *sorted(making.to_events)]):
        resource = by_name[bucket]
        members: dict[str, Any] = {"Bucket": bucket}
        members["LambdaFunctionConfigurations"] = making.notifications.get(bucket, [])
        if bucket in making.to_events:
            members["EventBridgeConfiguration"] = {}
        id = f"{resource.id}Notifications"
        steps.append(Step(id, Kind.NOTIFICATION, bucket, members, resource.line, after=frozenset({resource.id})))
    return steps


def _sns(making: Making, function: MadeFunction, id: str, properties: Properties) -> list[Step]:
    topic = properties.text("Topic", required=True)
    if not isinstance(topic, str | Attribute | Joined):
        return []
    arn = arn_of(making, function)
    policy = properties.object("FilterPolicy")
    attributes = {} if policy is None else {"FilterPolicy": policy}
    scope = properties.known("FilterPolicyScope")
    attributes |= {} if scope is None else {"FilterPolicyScope": scope}
    members = {"TopicArn": topic, "Protocol": "lambda", "Endpoint": arn, "Attributes": attributes}
    name: Text = joined([topic, " ", arn])
    step = Step(id, Kind.SUBSCRIPTION, name, members, properties.line, after=function.after)
    statement = _statement("sns.amazonaws.com", topic)
    return [permission(function, f"{id}Permission", statement, properties.line), step]


def bus_reference(making: Making, resource: Resource, attribute: str | None) -> Any:
    """What Ref and Fn::GetAtt say of a bus; None for what they do not."""
    name = making.name_of(resource, "Name", LONGEST_BUS)
    arn = making.stack.arn("events", f"event-bus/{name}")
    return {None: name, "Name": name, "Arn": arn}.get(attribute)


def bus_steps(making: Making, resource: Resource) -> list[Step]:
    properties = making.properties(resource)
    name = making.name_of(resource, "Name", LONGEST_BUS)
    description = properties.text("Description", "")
    properties.without_effect("Name", "Tags", "Policy")
    properties.finish()
    members = {"Name": name, "Description": description}
    return [Step(resource.id, Kind.BUS, name, members, resource.line, after=resource.after, retain=resource.retain)]


def subscription_steps(making: Making, resource: Resource) -> list[Step]:
    """A queue, say, that subscribes to a topic."""
    properties = making.properties(resource)
    topic, endpoint = properties.text("TopicArn", required=True), properties.text("Endpoint", required=True)
    protocol = properties.known("Protocol", required=True)
    if protocol == "lambda":
        properties.wrong(f"{resource.id}: a function subscribes by an event of its own", resource.line)
    attributes = {name: properties.value(name) for name in _OF_SUBSCRIPTIONS}
    properties.without_effect("Region")
    properties.finish()
    if not isinstance(topic, Text) or not isinstance(endpoint, Text):
        return []
    given = {name: value for name, value in attributes.items() if value is not None}
    members = {"TopicArn": topic, "Protocol": protocol, "Endpoint": endpoint, "Attributes": given}
    name = joined([topic, " ", endpoint])
    return [Step(resource.id, Kind.SUBSCRIPTION, name, members, resource.line, after=resource.after)]


_OF_SUBSCRIPTIONS = ("FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy")


def _statement(service: str, source: Text) -> dict[str, Any]:
    return {"Action": "lambda:InvokeFunction", "Principal": service, "SourceArn": source}


def _dead_letters(properties: Properties) -> dict[str, Any]:
    """The queue for what the function cannot have. SAM would make one where only its Type is said; ondol does not."""
    config = properties.inside("DeadLetterConfig")
    if config is None:
        return {}
    arn = config.text("Arn", required=True)
    config.finish()
    return {"DeadLetterConfig": {"Arn": arn}}


def _state(properties: Properties) -> Any:
    """ENABLED or DISABLED, which the template says in either of two ways."""
    enabled = properties.flag("Enabled")
    return properties.known("State", "DISABLED" if enabled is False else "ENABLED")


def _short(name: str) -> str:
    return name[:LONGEST_NAME]


TRIGGERS: Mapping[str, EventSteps] = {
    "Schedule": _schedule,
    "ScheduleV2": _schedule_2,
    "EventBridgeRule": _pattern,
    "CloudWatchEvent": _pattern,
    "S3": _s3,
    "SNS": _sns,
}
