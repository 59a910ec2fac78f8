"""HTTP requests as the events that functions get, and functions' results as HTTP responses: payload format 2.0.

Source: developer guide, "Invoking Lambda function URLs", "Request and response payloads"; for streams, "Response
streaming for Lambda functions"; of HTTP APIs, "Create AWS Lambda proxy integrations for HTTP APIs". Knows neither who
calls nor which function is meant. Format 1.0 is in `gateway_event`.
"""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from ondol.model.foreign_json import UNREADABLE
from ondol.model.http_api import DEFAULT
from ondol.model.ids import RequestId
from ondol.model.time import WallTime

JSON = "application/json"
PLAIN_STREAM = "application/octet-stream"
WITH_PRELUDE = "application/vnd.awslambda.http-integration-response"
"""The type of a stream before whose body its status and fields come, as JSON, and then `PRELUDE_END`."""

PRELUDE_END = bytes(8)

_TEXTS = frozenset({JSON, "application/javascript", "application/xml"})
_CONNECTION = frozenset({"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"})
"""Fields that say how a message came, not what it says (RFC 9110, 7.6.1)."""

_SERVERS_OWN = frozenset({"connection", "content-length", "date", "keep-alive", "te", "trailer"}) | _CONNECTION
_REMAPPED = "x-amzn-Remapped-"

Fields = list[tuple[str, str]]


class HttpCall(msgspec.Struct, frozen=True):
    """A request to a function, but for its body."""

    method: str
    path: str
    query: str
    """Both percent-encoded, as they came."""

    headers: Mapping[str, str]
    """Names in lower case."""

    api: str
    domain: str
    source_ip: str
    request_id: RequestId
    time: WallTime
    version: str = "HTTP/1.1"
    account: str = "anonymous"
    identity: Mapping[str, str | None] | None = None
    """Who signed it, if somebody had to."""

    route_key: str = DEFAULT
    stage: str = DEFAULT
    path_parameters: Mapping[str, str] = {}
    stage_variables: Mapping[str, str] = {}
    """A function URL has neither routes nor stages: its events say so in the words of HTTP APIs."""


class HttpResult(msgspec.Struct, frozen=True):
    status: int
    fields: Fields
    body: bytes = b""


class ResultMalformed(ValueError):
    """A function's result is no HTTP response."""


def encode_event(call: HttpCall, body: bytes) -> bytes:
    """The event of a request, as JSON."""
    headers = {name: value for name, value in call.headers.items() if name not in _CONNECTION and name != "cookie"}
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": call.route_key,
        "rawPath": call.path,
        "rawQueryString": call.query,
    }
    if "cookie" in call.headers:
        event["cookies"] = [cookie.strip() for cookie in call.headers["cookie"].split(";")]
    event["headers"] = headers
    if call.query:
        event["queryStringParameters"] = _joined(parse_qsl(call.query, keep_blank_values=True))
    event["requestContext"] = _context(call)
    text = text_of(body, headers.get("content-type", ""))
    if body:
        event["body"] = base64.b64encode(body).decode() if text is None else text
    if call.path_parameters:
        event["pathParameters"] = call.path_parameters
    event["isBase64Encoded"] = bool(body) and text is None
    if call.stage_variables:
        event["stageVariables"] = call.stage_variables
    return msgspec.json.encode(event)


def _context(call: HttpCall) -> dict[str, Any]:
    context: dict[str, Any] = {"accountId": call.account, "apiId": call.api}
    if call.identity is not None:
        context["authorizer"] = {"iam": call.identity}
    return context | {
        "domainName": call.domain,
        "domainPrefix": call.api,
        "http": {
            "method": call.method,
            "path": call.path,
            "protocol": call.version,
            "sourceIp": call.source_ip,
            "userAgent": call.headers.get("user-agent", ""),
        },
        "requestId": call.request_id,
        "routeKey": call.route_key,
        "stage": call.stage,
        "time": clock_text(call.time),
        "timeEpoch": call.time,
    }


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""As everybody writes them; what strftime says depends on who has called setlocale."""


def clock_text(wall: WallTime) -> str:
    """As in the logs of web servers."""
    time = datetime.fromtimestamp(wall / 1000, UTC)
    return f"{time:%d}/{_MONTHS[time.month - 1]}/{time:%Y:%H:%M:%S} +0000"


def decode_result(payload: bytes, content_type: str = JSON) -> HttpResult:
    """What a function's whole result means. Raises `ResultMalformed`.

    `content_type` is that of a response which does not say it. A result without a statusCode is itself the body; so is
    one that is no JSON. A stream that was gathered is read as it would have been streamed.
    """
    try:
        result = msgspec.json.decode(payload)
    except UNREADABLE:
        prelude, end, body = payload.partition(PRELUDE_END)
        if not end:
            return HttpResult(200, [("Content-Type", JSON)], payload)
        status, fields = decode_prelude(prelude)
        return HttpResult(status, fields, body)
    if not isinstance(result, dict) or "statusCode" not in result:
        return HttpResult(200, [("Content-Type", JSON)], _encoded(result))
    body = _encoded(result["body"]) if result.get("body") is not None else b""
    if result.get("isBase64Encoded") is True:
        body = decoded_base64(body)
    return HttpResult(status_of(result), _fields(result, content_type), body)


def decode_prelude(text: bytes) -> tuple[int, Fields]:
    """Status and fields that come before a streamed body. Raises `ResultMalformed`."""
    try:
        prelude = msgspec.json.decode(text)
    except UNREADABLE as error:
        raise ResultMalformed("the prelude is not JSON") from error
    if not isinstance(prelude, dict):
        raise ResultMalformed("the prelude is not a JSON object")
    return status_of(prelude), _fields(prelude, PLAIN_STREAM)


def decoded_base64(body: bytes) -> bytes:
    """Raises `ResultMalformed`."""
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise ResultMalformed("the body is not base64") from error


def sendable(name: str) -> str:
    """The name under which a function's field is sent: what the server itself says is renamed, as on AWS."""
    return f"{_REMAPPED}{name}" if name.lower() in _SERVERS_OWN else name


def status_of(result: Mapping[str, Any]) -> int:
    """200 where nothing is said. Raises `ResultMalformed`."""
    try:
        return int(result.get("statusCode", 200))
    except (TypeError, ValueError) as error:
        raise ResultMalformed("statusCode is not a number") from error


def _fields(result: Mapping[str, Any], content_type: str) -> Fields:
    headers, cookies = result.get("headers") or {}, result.get("cookies") or []
    if not isinstance(headers, dict) or not isinstance(cookies, list):
        raise ResultMalformed("headers are an object, cookies a list")
    fields = [(sendable(name), _encoded(value).decode()) for name, value in headers.items()]
    if not any(name.lower() == "content-type" for name in headers):
        fields.append(("Content-Type", content_type))
    return fields + [("Set-Cookie", _encoded(cookie).decode()) for cookie in cookies]


def _encoded(value: Any) -> bytes:
    """A text as it is, all else as JSON without spaces. Raises `ResultMalformed` for what is nested too deeply."""
    try:
        return value.encode() if isinstance(value, str) else msgspec.json.encode(value)
    except RecursionError as error:
        raise ResultMalformed("it is nested too deeply") from error


def text_of(body: bytes, content_type: str) -> str | None:
    """The body as text, if its type says that it is some and it is."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in _TEXTS and not kind.startswith("text/"):
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined
