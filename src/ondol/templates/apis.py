"""HTTP APIs of a template, those that it writes and those that events imply.

Source: AWS SAM developer guide, "AWS::Serverless::Api", "AWS::Serverless::HttpApi".
"""

import re
from typing import Any

from ondol.templates.making import Making, Resource, Stack
from ondol.templates.properties import Properties
from ondol.templates.steps import Kind, Step
from ondol.templates.values import Attribute, Text, joined

REST, HTTP = "AWS::Serverless::Api", "AWS::Serverless::HttpApi"
IMPLICIT_REST, IMPLICIT_HTTP = "ServerlessRestApi", "ServerlessHttpApi"
IMPLICIT = {IMPLICIT_REST: REST, IMPLICIT_HTTP: HTTP}
IMPLICIT_STAGE = "Prod"

_NOTHING_HERE = (
    *("Name", "Description", "Tags", "PropagateTags", "FailOnWarnings", "EndpointConfiguration", "OpenApiVersion"),
    *("TracingEnabled", "AlwaysDeploy", "AccessLogSetting", "AccessLogSettings"),
)
_STAGE_SETTINGS = ("MethodSettings", "DefaultRouteSettings", "RouteSettings")
_VARIABLE = re.compile(r"\{[^}]*\}")
_CORS = ("AllowMethods", "AllowHeaders", "AllowOrigins", "ExposeHeaders")


def source_arn(stack: Stack, api: str, method: str, path: str) -> Text:
    """Whom a function's policy must name for a route: its API, in whatever stage, whatever the variables are."""
    called = "" if path == "$default" else _VARIABLE.sub("*", path)
    what = f"/*/{'*' if method == 'ANY' else method}{called}"
    return joined([stack.arn("execute-api", ""), Attribute(api, "Ref"), what])


def api_reference(making: Making, resource: Resource, attribute: str | None) -> Any:
    """What Ref and Fn::GetAtt say of an API; None for what they do not."""
    if attribute is None:
        return Attribute(resource.id, "Ref")
    if attribute == "Stage":
        return _stage(making, resource)
    return Attribute(resource.id, attribute) if attribute == "ApiEndpoint" and resource.type == HTTP else None


def stage_reference(making: Making, id: str) -> Any:
    """What Ref says of a stage that SAM makes for an API, as `ServerlessRestApiProdStage`."""
    for resource in making.resources.values():
        if resource.type in {REST, HTTP} and id.startswith(resource.id) and id.endswith("Stage"):
            stage = _stage(making, resource)
            if id in {f"{resource.id}{stage}Stage", f"{resource.id}ApiGatewayDefaultStage", f"{resource.id}Stage"}:
                return stage
    return None


def api_steps(making: Making, resource: Resource) -> list[Step]:
    """The API with its routes, which the functions must have told before."""
    properties = making.properties(resource)
    stage = properties.known("StageName", _default_stage(resource))
    if stage is None:
        properties.wrong(f"{properties.place} must have StageName", resource.line)
    variables = properties.object("Variables" if resource.type == REST else "StageVariables")
    types = properties.items("BinaryMediaTypes") if resource.type == REST else []
    members = {
        "kind": "rest" if resource.type == REST else "http",
        "stage": stage,
        "stage_variables": {name: str(value) for name, value in (variables or {}).items()},
        "cors": _rest_cors(properties) if resource.type == REST else _http_cors(properties),
        "binary_types": [str(each).replace("~1", "/") for each in types],
        "routes": _routes(making, resource),
    }
    properties.without_effect(*_NOTHING_HERE)
    if properties.without_effect(*_STAGE_SETTINGS):
        making.remark(
            f"Settings of {resource.id}'s stage make no difference: ondol neither logs, caches nor throttles."
        )
    properties.finish()
    name = f"{making.stack.name}-{resource.id}"
    return [Step(resource.id, Kind.API, name, members, resource.line, after=resource.after, retain=resource.retain)]


def _routes(making: Making, resource: Resource) -> list[dict[str, Any]]:
    routes: dict[tuple[str, str], dict[str, Any]] = {}
    for route in making.routes.get(resource.id, []):
        line = route["line"]
        place = route["method"], route["path"]
        if place in routes:
            making.problems.add(line, f"{resource.id} has two routes for {' '.join(place)}")
        routes[place] = {name: value for name, value in route.items() if name != "line"}
    return list(routes.values())


def _stage(making: Making, resource: Resource) -> Any:
    place = f"Resources.{resource.id}.Properties"
    properties = Properties(resource.section, place, resource.line, making.evaluation, making.problems)
    return properties.known("StageName", _default_stage(resource))


def _default_stage(resource: Resource) -> str | None:
    if resource.type == HTTP:
        return "$default"
    return IMPLICIT_STAGE if resource.id == IMPLICIT_REST else None


def _http_cors(properties: Properties) -> dict[str, Any] | None:
    value = properties.value("CorsConfiguration")
    if value in (True, "true"):
        return {"AllowOrigins": ["*"]}
    if not isinstance(value, dict):
        return None
    return _checked(properties, "CorsConfiguration", value)


def _rest_cors(properties: Properties) -> dict[str, Any] | None:
    """SAM's values are quoted twice, as API Gateway has them: `"'*'"`."""
    value = properties.value("Cors")
    if isinstance(value, str):
        return {"AllowOrigins": [value.strip("'")]}
    if not isinstance(value, dict):
        return None
    cors: dict[str, Any] = {}
    for name in ("AllowMethods", "AllowHeaders"):
        if name in value:
            cors[name] = [part.strip() for part in str(value[name]).strip("'").split(",")]
    cors["AllowOrigins"] = [str(value.get("AllowOrigin", "*")).strip("'")]
    known = {"AllowMethods", "AllowHeaders", "AllowOrigin", "MaxAge", "AllowCredentials"}
    for name in value.keys() - known:
        properties.wrong(f"{properties.place}.Cors.{name}: ondol does not serve it", properties.line_of("Cors"))
    return _checked(
        properties, "Cors", cors | {name: value[name] for name in ("MaxAge", "AllowCredentials") if name in value}
    )


def _checked(properties: Properties, member: str, cors: dict[str, Any]) -> dict[str, Any]:
    line = properties.line_of(member)
    for name in cors.keys() - {*_CORS, "MaxAge", "AllowCredentials"}:
        properties.wrong(f"{properties.place}.{member}.{name}: ondol does not serve it", line)
    checked = dict(cors)
    for name in cors.keys() & {*_CORS}:
        items = cors[name] if isinstance(cors[name], list) else [cors[name]]
        checked[name] = [str(item) for item in items]
    if "MaxAge" in cors:
        age = str(cors["MaxAge"]).strip("'")
        if not age.isdigit():
            properties.wrong(f"{properties.place}.{member}.MaxAge must be a number of seconds", line)
        else:
            checked["MaxAge"] = int(age)
    if "AllowCredentials" in cors:
        checked["AllowCredentials"] = str(cors["AllowCredentials"]).strip("'").lower() == "true"
    return checked
