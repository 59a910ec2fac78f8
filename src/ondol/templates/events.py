"""What invokes a function of a template: routes of HTTP APIs, queues and streams; by services, see `triggers`.

Source: AWS SAM developer guide, "EventSource" of AWS::Serverless::Function.
"""

from collections.abc import Mapping
from typing import Any

from ondol.model.http_api import ANY, DEFAULT, METHODS, parse_path
from ondol.templates.apis import IMPLICIT_HTTP, IMPLICIT_REST, source_arn
from ondol.templates.made_function import MadeFunction, permission
from ondol.templates.making import Making
from ondol.templates.properties import Properties
from ondol.templates.steps import Kind, Step
from ondol.templates.triggers import TRIGGERS, EventSteps
from ondol.templates.values import UNKNOWN, Attribute, joined

_MAPPED = ("FilterCriteria", "ScalingConfig", "ProvisionedPollerConfig", "MetricsConfig")
_MAPPED_LISTS = ("FunctionResponseTypes", "Queues", "SourceAccessConfigurations")
_MAPPED_NUMBERS = (
    *("BatchSize", "MaximumBatchingWindowInSeconds", "MaximumRecordAgeInSeconds", "MaximumRetryAttempts"),
    *("ParallelizationFactor", "TumblingWindowInSeconds"),
)
_QUEUE: dict[str, Any] = {
    **{"BatchSize": 10, "MaximumBatchingWindowInSeconds": 0, "FilterCriteria": {}, "FunctionResponseTypes": []},
    **{"ScalingConfig": {}, "ProvisionedPollerConfig": {}},
}
_STREAM: dict[str, Any] = {
    **{"BatchSize": 100, "MaximumBatchingWindowInSeconds": 0, "FilterCriteria": {}, "FunctionResponseTypes": []},
    **{"BisectBatchOnFunctionError": False, "MaximumRecordAgeInSeconds": -1, "MaximumRetryAttempts": -1},
    **{"ParallelizationFactor": 1, "TumblingWindowInSeconds": 0, "DestinationConfig": {"OnFailure": {}}},
}
_BROKER: dict[str, Any] = {"BatchSize": 100, "FilterCriteria": {}}
"""What a mapping is of which the template does not say it: so it goes back to that when it says it no more."""


def event_steps(making: Making, function: MadeFunction, id: str, event: Properties) -> list[Step]:
    """The steps of one event; its route, if it has one, goes to the routes of its API."""
    kind = event.known("Type", required=True)
    make = _EVENTS.get(kind)
    if make is None:
        event.without_effect("Properties")
        event.wrong(f"{event.place}: ondol does not serve events of type {kind}", event.line_of("Type"))
        return []
    properties = event.inside("Properties") or Properties(
        None, f"{event.place}.Properties", event.line, making.evaluation, making.problems
    )
    event.finish()
    steps = make(making, function, f"{function.id}{id}", properties)
    properties.finish()
    return steps


def _api(making: Making, function: MadeFunction, id: str, properties: Properties) -> list[Step]:
    api = _api_of(properties, "RestApiId", IMPLICIT_REST)
    path, method = properties.known("Path", required=True), properties.known("Method", required=True)
    return _route(making, function, id, properties, api=api, path=path, method=method, payload=None)


def _http_api(making: Making, function: MadeFunction, id: str, properties: Properties) -> list[Step]:
    api = _api_of(properties, "ApiId", IMPLICIT_HTTP)
    path, method = properties.known("Path", "$default"), properties.known("Method", "ANY")
    payload = properties.known("PayloadFormatVersion")
    return _route(making, function, id, properties, api=api, path=path, method=method, payload=payload)


def _route(
    making: Making,
    function: MadeFunction,
    id: str,
    properties: Properties,
    *,
    api: str | None,
    path: Any,
    method: Any,
    payload: Any,
) -> list[Step]:
    timeout = properties.number("TimeoutInMillis")
    if api is None or not isinstance(path, str) or not isinstance(method, str):
        return []
    method = method.upper()
    wrong = _wrong_with(method, path)
    if wrong is not None:
        properties.wrong(f"{properties.place} {wrong}", properties.line_of("Path"))
        return []
    route = {"method": method, "path": path, "function": function.qualified, "payload": payload, "timeout_ms": timeout}
    given = {name: value for name, value in route.items() if value is not None}
    making.routes.setdefault(api, []).append({**given, "line": properties.line})
    statement = {
        "Action": "lambda:InvokeFunction",
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": source_arn(making.stack, api, method, path),
    }
    return [permission(function, f"{id}Permission", statement, properties.line, api)]


def _wrong_with(method: str, path: str) -> str | None:
    """Why there is no such route."""
    if method != ANY and method not in METHODS:
        return f"has a Method {method}, which no route can have"
    try:
        parse_path(path if path != DEFAULT else "/")
    except ValueError as error:
        return f"has a Path {path}, which must {error}"
    return None


def _api_of(properties: Properties, member: str, implicit: str) -> str | None:
    """The logical name of the API that a route belongs to."""
    named = properties.value(member)
    if named is None:
        return implicit
    if isinstance(named, Attribute) and named.name == "Ref":
        return named.resource
    if named is UNKNOWN:
        return None
    properties.wrong(
        f"{properties.place}.{member} must be a Ref to an API of this template", properties.line_of(member)
    )
    return None


def _mapping(source: str, defaults: Mapping[str, Any]) -> EventSteps:
    """Events that an event source mapping brings; `source` is the member that names what is read."""

    def steps(making: Making, function: MadeFunction, id: str, properties: Properties) -> list[Step]:
        arn = properties.text(source, required=True)
        given: dict[str, Any] = {name: properties.number(name) for name in _MAPPED_NUMBERS}
        given |= {name: properties.object(name) for name in _MAPPED}
        given |= {name: properties.items(name) or None for name in _MAPPED_LISTS}
        given["DestinationConfig"] = _on_failure(properties)
        given["BisectBatchOnFunctionError"] = properties.flag("BisectBatchOnFunctionError")
        given["StartingPosition"] = properties.known("StartingPosition")
        given["StartingPositionTimestamp"] = properties.number("StartingPositionTimestamp")
        given["KMSKeyArn"] = properties.text("KmsKeyArn")
        members = {
            "FunctionName": function.qualified,
            "EventSourceArn": arn,
            "Enabled": properties.flag("Enabled", True),
            **defaults,
            **{name: value for name, value in given.items() if value is not None},
        }
        if arn is UNKNOWN:
            return []
        name = joined([function.qualified, " ", arn])
        return [Step(id, Kind.MAPPING, name, members, properties.line, after=function.after)]

    return steps


def _on_failure(properties: Properties) -> dict[str, Any] | None:
    """Where batches go that are given up. SAM has the kind of what is there beside it."""
    config = properties.inside("DestinationConfig")
    failure = config.inside("OnFailure") if config is not None else None
    if config is None or failure is None:
        return None
    failure.known("Type")
    destination = failure.text("Destination", required=True)
    failure.finish()
    config.finish()
    return {"OnFailure": {"Destination": destination}}


_EVENTS: Mapping[str, EventSteps] = {
    "Api": _api,
    "HttpApi": _http_api,
    "SQS": _mapping("Queue", _QUEUE),
    "Kinesis": _mapping("Stream", _STREAM),
    "DynamoDB": _mapping("Stream", _STREAM),
    "MQ": _mapping("Broker", _BROKER),
    **TRIGGERS,
}
