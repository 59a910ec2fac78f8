"""HTTP requests as events and results as responses in payload format 1.0, which API Gateway has beside 2.0.

Source: API Gateway developer guide, "Set up Lambda proxy integrations" (REST APIs) and "Create AWS Lambda proxy
integrations for HTTP APIs", payload format 1.0. They differ: a REST API takes no member that it does not know, and has
bytes where its media types say so; an HTTP API wants a statusCode, and judges a body as format 2.0 does.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from ondol.aws.http_event import (
    JSON,
    Fields,
    HttpCall,
    HttpResult,
    ResultMalformed,
    clock_text,
    decoded_base64,
    sendable,
    status_of,
    text_of,
)
from ondol.model.foreign_json import UNREADABLE
from ondol.model.http_api import ApiKind

PLAIN = "text/plain; charset=utf-8"
"""What an HTTP API takes a response to be that does not say it."""

_DROPPED = frozenset(
    {
        *("connection", "content-length", "content-md5", "expect", "keep-alive", "max-forwards", "proxy-authenticate"),
        *("proxy-connection", "server", "te", "trailer", "transfer-encoding", "upgrade", "www-authenticate"),
    }
)
"""Fields of a request of which no function hears."""

_MEMBERS = frozenset({"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"})
_ANONYMOUS = (
    *("accessKey", "accountId", "caller", "cognitoAuthenticationProvider", "cognitoAuthenticationType"),
    *("cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId"),
)


class ApiCall(msgspec.Struct, frozen=True):
    """What an event of format 1.0 tells beside the request."""

    kind: ApiKind
    resource: str
    """The route's path."""

    below: str
    """The request's path below the stage."""

    repeated: Mapping[str, Sequence[str]]
    """The values of fields that came more than once; names in lower case."""

    binary_types: Sequence[str]


def encode_event_1(call: HttpCall, api: ApiCall, body: bytes) -> bytes:
    """The event of a request, as JSON."""
    rest = api.kind is ApiKind.REST
    fields = {
        name.title(): list(api.repeated.get(name, (value,)))
        for name, value in call.headers.items()
        if name not in _DROPPED
    }
    parameters: dict[str, list[str]] = {}
    for name, value in parse_qsl(call.query, keep_blank_values=True):
        parameters.setdefault(name, []).append(value)
    content_type = call.headers.get("content-type", "")
    if rest:
        text = None if is_among(content_type, api.binary_types) else body.decode(errors="replace")
    else:
        text = text_of(body, content_type)
    event: dict[str, Any] = {} if rest else {"version": "1.0"}
    event |= {
        "resource": api.resource,
        "path": api.below if rest else call.path,
        "httpMethod": call.method,
        "headers": {name: values[-1] for name, values in fields.items()},
        "multiValueHeaders": fields,
        "queryStringParameters": {name: values[-1] for name, values in parameters.items()} or None,
        "multiValueQueryStringParameters": parameters or None,
        "pathParameters": call.path_parameters or None,
        "stageVariables": call.stage_variables or None,
        "requestContext": _context(call, api),
        "body": (base64.b64encode(body).decode() if text is None else text) if body else None,
        "isBase64Encoded": bool(body) and text is None,
    }
    return msgspec.json.encode(event)


def decode_rest_result(payload: bytes, binary: bool) -> HttpResult:
    """What a function's result means to a REST API. `binary`: a body in base64 becomes bytes. Raises `ResultMalformed`.

    No member need be there, and no other may.
    """
    result = _members(payload)
    if not result.keys() <= _MEMBERS:
        raise ResultMalformed("a member that is none of a response")
    body = result.get("body")
    if body is not None and not isinstance(body, str):
        raise ResultMalformed("the body is a text")
    content = (body or "").encode()
    if binary and result.get("isBase64Encoded") is True:
        content = decoded_base64(content)
    return HttpResult(status_of(result), _fields(result, JSON, numbers=False), content)


def decode_http_result_1(payload: bytes) -> HttpResult:
    """What a function's result in format 1.0 means to an HTTP API. Raises `ResultMalformed`."""
    result = _members(payload)
    if "statusCode" not in result:
        raise ResultMalformed("there is no statusCode")
    body = result.get("body")
    content = b"" if body is None else body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    if result.get("isBase64Encoded") is True:
        content = decoded_base64(content)
    return HttpResult(status_of(result), _fields(result, PLAIN, numbers=True), content)


def is_among(content_type: str, types: Iterable[str]) -> bool:
    """Whether a media type is one of these, in which `*` stands for all."""
    kind = content_type.partition(";")[0].strip().lower()
    return any(
        each in {"*/*", kind} or (bool(kind) and each.endswith("/*") and kind.startswith(each[:-1]))
        for each in map(str.lower, types)
    )


def _context(call: HttpCall, api: ApiCall) -> dict[str, Any]:
    return {
        "accountId": call.account,
        "apiId": call.api,
        "deploymentId": _short(call.api),
        "domainName": call.domain,
        "domainPrefix": call.api,
        "extendedRequestId": call.request_id,
        "httpMethod": call.method,
        "identity": {
            **dict.fromkeys(_ANONYMOUS),
            "sourceIp": call.source_ip,
            "user": None,
            "userAgent": call.headers.get("user-agent"),
            "userArn": None,
        },
        "path": call.path,
        "protocol": call.version,
        "requestId": call.request_id,
        "requestTime": clock_text(call.time),
        "requestTimeEpoch": call.time,
        "resourceId": _short(f"{call.api}{api.resource}") if api.kind is ApiKind.REST else None,
        "resourcePath": api.resource,
        "stage": call.stage,
    }


def _short(text: str) -> str:
    """An identifier of six characters, the same for the same text."""
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _members(payload: bytes) -> dict[str, Any]:
    try:
        result = msgspec.json.decode(payload)
    except UNREADABLE as error:
        raise ResultMalformed("the result is not JSON") from error
    if not isinstance(result, dict):
        raise ResultMalformed("the result is not a JSON object")
    return result


def _fields(result: Mapping[str, Any], content_type: str, *, numbers: bool) -> Fields:
    """Fields of which either map may tell; of a name in both the values of `multiValueHeaders` count."""
    single, multiple = result.get("headers") or {}, result.get("multiValueHeaders") or {}
    if not isinstance(single, dict) or not isinstance(multiple, dict):
        raise ResultMalformed("headers are an object")
    taken = {name.lower() for name in multiple}
    told = [(name, value) for name, value in single.items() if name.lower() not in taken]
    for name, values in multiple.items():
        told += [(name, value) for value in (values if isinstance(values, list) else [values])]
    if not any(name.lower() == "content-type" for name, _ in told):
        told.append(("Content-Type", content_type))
    return [(sendable(name), _text(value, numbers)) for name, value in told if name.lower() != "transfer-encoding"]


def _text(value: Any, numbers: bool) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or (numbers and isinstance(value, int | float)):
        return msgspec.json.encode(value).decode()
    raise ResultMalformed("the value of a header is a text")
