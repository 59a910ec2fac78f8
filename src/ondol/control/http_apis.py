"""HTTP APIs: what is stored of them, what one may be, and how it is shown.

```
 http-api/<account>/<region>/<name>   one API with all its routes, so that a change of several is one change
```
Source of the limits: API Gateway developer guide, "Quotas for configuring and running a REST API", "... an HTTP API".
"""

import re
from typing import Any

import msgspec

from ondol.control.urls import stable_id
from ondol.model.errors import InvalidParameterValue, ResourceNotFound
from ondol.model.function_url import Cors
from ondol.model.http_api import ANY, DEFAULT, METHODS, ApiKind, ApiRoute, HttpApi, HttpApiKey, parse_path
from ondol.model.ids import AccountId, Region

HTTP_APIS = "http-api/"
MOST_ROUTES = 300

_ID_LENGTH = 10
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_STAGE = {
    ApiKind.REST: re.compile(r"[A-Za-z0-9_-]{1,128}"),
    ApiKind.HTTP: re.compile(r"\$default|[A-Za-z0-9_-]{1,128}"),
}
_FUNCTION = re.compile(r"[A-Za-z0-9_-]{1,64}(:[A-Za-z0-9_$-]{1,128})?", re.ASCII)
_PAYLOADS = {ApiKind.REST: ("1.0",), ApiKind.HTTP: ("2.0", "1.0")}
"""The first is what is meant where none is named."""

_LONGEST_MS = {ApiKind.REST: 29_000, ApiKind.HTTP: 30_000}
_SHORTEST_MS = 50


class WantedRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    method: str
    path: str
    function: str
    """A name, perhaps with `:` and an alias or version."""

    payload: str | None = None
    timeout_ms: int | None = None


class WantedApi(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An API as it is to be; as it is stored, too, so that what is meant by nothing can change."""

    kind: ApiKind
    stage: str
    routes: tuple[WantedRoute, ...]
    stage_variables: dict[str, str] = {}
    cors: Cors | None = None
    binary_types: tuple[str, ...] = ()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(WantedApi)


def encode_api(wanted: WantedApi) -> bytes:
    return _encoder.encode(wanted)


def decode_api(value: bytes) -> WantedApi:
    return _decoder.decode(value)


def http_api_key(key: HttpApiKey) -> str:
    return f"{HTTP_APIS}{key.account}/{key.region}/{key.name}"


def read_http_api_key(text: str) -> HttpApiKey:
    _, account, region, name = text.split("/")
    return HttpApiKey(AccountId(account), Region(region), name)


def api_of(secret: str, key: HttpApiKey, wanted: WantedApi, revision: int) -> HttpApi:
    """The API as those see it who answer for it. Its id is the same for the same name, and cannot be guessed."""
    kind = wanted.kind
    routes = []
    for route in wanted.routes:
        function, _, qualifier = route.function.partition(":")
        payload = route.payload or _PAYLOADS[kind][0]
        timeout_ms = route.timeout_ms or _LONGEST_MS[kind]
        routes.append(ApiRoute(route.method, route.path, function, qualifier or None, payload, timeout_ms))
    return HttpApi(
        key=key,
        id=stable_id(f"http-apis {secret}", f"{key.account}:{key.region}:{key.name}", _ID_LENGTH),
        kind=kind,
        stage=wanted.stage,
        routes=tuple(routes),
        stage_variables=wanted.stage_variables,
        cors=wanted.cors,
        binary_types=wanted.binary_types,
        revision=revision,
    )


def require_valid(name: str, wanted: WantedApi) -> None:
    """Raises `InvalidParameterValue`."""
    if not _NAME.fullmatch(name):
        raise InvalidParameterValue(f"The name of an API has letters, digits, - and _, 128 at most, unlike {name!r}.")
    if not _STAGE[wanted.kind].fullmatch(wanted.stage):
        raise InvalidParameterValue(f"A {wanted.kind} API cannot have a stage {wanted.stage!r}.")
    if len(wanted.routes) > MOST_ROUTES:
        raise InvalidParameterValue(f"An API has {MOST_ROUTES} routes at most.")
    seen = set()
    for route in wanted.routes:
        _require_route(wanted.kind, route)
        shape = _shape(route)
        if shape in seen:
            raise InvalidParameterValue(f"There are two routes for {route.method} {route.path}.")
        seen.add(shape)


def describe_api(api: HttpApi) -> dict[str, Any]:
    """All of it; `url` is left to a frontend, which knows by which address it was reached."""
    shown: dict[str, Any] = msgspec.to_builtins(api)
    shown["name"] = shown.pop("key")["name"]
    return shown


def missing_api(name: str) -> ResourceNotFound:
    return ResourceNotFound(f"There is no HTTP API {name}.", Type="")


def _require_route(kind: ApiKind, route: WantedRoute) -> None:
    if route.path == DEFAULT:
        if kind is ApiKind.REST or route.method != ANY:
            raise InvalidParameterValue("The route $default belongs to an HTTP API, and has the method ANY.")
    else:
        try:
            parse_path(route.path)
        except ValueError as error:
            raise InvalidParameterValue(f"The path of the route {route.path!r} must {error}.") from error
    if route.method != ANY and route.method not in METHODS:
        raise InvalidParameterValue(f"{route.method!r} is no method that a route can have.")
    if not _FUNCTION.fullmatch(route.function):
        raise InvalidParameterValue(f"{route.function!r} is no name of a function, with or without an alias.")
    if route.payload is not None and route.payload not in _PAYLOADS[kind]:
        raise InvalidParameterValue(f"A {kind} API has no payload format {route.payload!r}.")
    if route.timeout_ms is not None and not _SHORTEST_MS <= route.timeout_ms <= _LONGEST_MS[kind]:
        raise InvalidParameterValue(f"A {kind} API waits for {_SHORTEST_MS} to {_LONGEST_MS[kind]} ms.")


def _shape(route: WantedRoute) -> tuple[str, str]:
    """Two routes of one shape would take the same requests, whatever their variables are called."""
    return route.method, re.sub(r"\{[^}+]*", "{", route.path)
