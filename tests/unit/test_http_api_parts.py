"""HTTP APIs: which route takes a request, what its event and its result mean, what an API may be."""

import base64
import json
from typing import Any

import pytest
from msgspec.structs import replace

from ondol.aws.gateway_event import (
    ApiCall,
    decode_http_result_1,
    decode_rest_result,
    encode_event_1,
    is_among,
)
from ondol.aws.http_event import HttpCall, ResultMalformed, encode_event
from ondol.control.http_apis import WantedApi, WantedRoute, api_of, decode_api, encode_api, require_valid
from ondol.frontend.gateway_cors import mocked_preflight
from ondol.frontend.gateway_words import Refusal, refusal
from ondol.frontend.routing import Router, within_stage
from ondol.model.errors import InvalidParameterValue
from ondol.model.function_url import Cors
from ondol.model.http_api import ApiKind, HttpApi, HttpApiKey
from ondol.model.ids import AccountId, Region
from ondol.model.time import WallTime

KEY = HttpApiKey(AccountId("000000000000"), Region("us-east-1"), "shop")
REST, HTTP = ApiKind.REST, ApiKind.HTTP


def wanted(kind: ApiKind, *routes: str, stage: str | None = None) -> WantedApi:
    """Routes as `GET /path`, each of a function that is called as the route is."""
    made = []
    for number, route in enumerate(routes):
        method, _, path = route.partition(" ")
        made.append(WantedRoute(method, path or "$default", f"f{number}"))
    return WantedApi(kind, stage or ("Prod" if kind is REST else "$default"), tuple(made))


def api(kind: ApiKind, *routes: str, stage: str | None = None) -> HttpApi:
    return api_of("secret", KEY, wanted(kind, *routes, stage=stage), 1)


def taken(kind: ApiKind, routes: list[str], method: str, path: str) -> str | None:
    """The route that takes a request, as it was written."""
    found = Router(api(kind, *routes)).find(method, path)
    return None if found is None else routes[int(found.route.function[1:])]


# Routes

PETS = ["ANY /{proxy+}", "GET /pets/{proxy+}", "GET /pets/dog/{id}", "GET /pets/dog/1", "ANY"]


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("GET", "/pets/dog/1", "GET /pets/dog/1"),
        ("GET", "/pets/dog/2", "GET /pets/dog/{id}"),
        ("GET", "/pets/cat/1", "GET /pets/{proxy+}"),
        ("POST", "/pets/dog/1", "ANY /{proxy+}"),
        ("GET", "/test/5", "ANY /{proxy+}"),
        ("GET", "/pets", "ANY /{proxy+}"),
        ("GET", "/pets/dog/2/", "GET /pets/{proxy+}"),
        ("GET", "/", "ANY"),
    ],
)
def test_the_most_specific_route_of_an_http_api_takes_a_request(method: str, path: str, route: str) -> None:
    """The first five are AWS's own example."""
    assert taken(HTTP, PETS, method, path) == route
    assert taken(HTTP, PETS[::-1], method, path) == route


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("GET", "/users/1", "GET /users/{id}"),
        ("GET", "/users/1/", "GET /users/{id}"),
        ("GET", "/users/me", "ANY /users/me"),
        ("GET", "/users/1/cars", "POST /users/{id}/{rest+}"),
        ("POST", "/users/1", None),
        ("GET", "/other/x", "ANY /{proxy+}"),
        ("GET", "/", None),
        ("PATCH", "/users/me", "ANY /users/me"),
    ],
)
def test_a_rest_api_finds_the_path_first(method: str, path: str, route: str | None) -> None:
    routes = ["ANY /{proxy+}", "GET /users/{id}", "ANY /users/me", "POST /users/{id}/{rest+}"]
    expected = None if route == "POST /users/{id}/{rest+}" else route
    assert taken(REST, routes, method, path) == expected


def test_a_method_of_its_own_is_preferred_to_any() -> None:
    assert taken(HTTP, ["ANY /a", "GET /a"], "GET", "/a") == "GET /a"
    assert taken(HTTP, ["GET /{x}", "ANY /a"], "GET", "/a") == "ANY /a"
    assert taken(HTTP, ["GET /a"], "POST", "/a") is None


def test_variables_are_decoded_for_an_http_api_only() -> None:
    routes = ["GET /a/{x}/{rest+}"]
    found = [Router(api(kind, *routes)).find("GET", "/a/%2Bb/c%20d/e/") for kind in (HTTP, REST)]
    assert [each and each.variables for each in found] == [
        {"x": "+b", "rest": "c d/e/"},
        {"x": "%2Bb", "rest": "c%20d/e"},
    ]
    # A slash that was encoded ends a segment all the same.
    assert taken(HTTP, ["GET /{x}"], "GET", "/a%2Fb") is None
    assert taken(REST, ["GET /{x}"], "GET", "/a%2Fb") == "GET /{x}"


@pytest.mark.parametrize(
    ("stage", "path", "within"),
    [
        ("$default", "/a/b", "/a/b"),
        ("dev", "/dev/a", "/a"),
        ("dev", "/dev", "/"),
        ("dev", "/dev/", "/"),
        ("dev", "/develop/a", None),
        ("dev", "/", None),
    ],
)
def test_a_stage_is_the_first_of_a_path(stage: str, path: str, within: str | None) -> None:
    assert within_stage(api(HTTP, stage=stage), path) == within


# What an API may be


@pytest.mark.parametrize(
    "unwanted",
    [
        wanted(HTTP, "GET a"),
        wanted(HTTP, "GET /{a+}/b"),
        wanted(HTTP, "GET /{a}/{a}"),
        wanted(HTTP, "GET /a{b}"),
        wanted(HTTP, "GET /a//b"),
        wanted(HTTP, "FETCH /a"),
        wanted(HTTP, "get /a"),
        wanted(HTTP, "GET"),
        wanted(REST, "ANY"),
        wanted(HTTP, "GET /a", "GET /a"),
        wanted(HTTP, "GET /{a}", "GET /{b}"),
        wanted(HTTP, "GET /a", stage="a b"),
        wanted(REST, "GET /a", stage="$default"),
        wanted(HTTP, *(f"GET /{number}" for number in range(301))),
        replace(wanted(REST), routes=(WantedRoute("GET", "/a", "f", payload="2.0"),)),
        replace(wanted(REST), routes=(WantedRoute("GET", "/a", "f", timeout_ms=29_001),)),
        replace(wanted(HTTP), routes=(WantedRoute("GET", "/a", "f g"),)),
    ],
)
def test_what_no_api_can_be(unwanted: WantedApi) -> None:
    with pytest.raises(InvalidParameterValue):
        require_valid("shop", unwanted)


@pytest.mark.parametrize("kind", [REST, HTTP])
def test_a_stage_may_have_hyphens(kind: ApiKind) -> None:
    require_valid("shop", wanted(kind, "GET /a", stage="dev-1_b"))


def test_what_is_stored_is_what_was_wanted() -> None:
    given = replace(
        wanted(HTTP, "GET /{a}", "ANY /{a+}", "ANY"), cors=Cors(allow_origins=("*",)), stage_variables={"a": "b"}
    )
    require_valid("shop", given)
    assert decode_api(encode_api(given)) == given


def test_an_id_is_stable_and_tells_nothing() -> None:
    other = HttpApiKey(KEY.account, Region("eu-west-1"), "shop")
    ids = {api_of(secret, key, wanted(HTTP), 1).id for secret in "ab" for key in (KEY, other)}
    assert len(ids) == 4 and all(len(id) == 10 and id.isalnum() and id == id.lower() for id in ids)
    assert api_of("a", KEY, wanted(HTTP), 1).id == api_of("a", KEY, wanted(REST, "GET /x"), 2).id


# Events


def call(**more: Any) -> HttpCall:
    given: dict[str, Any] = {
        "method": "POST",
        "path": "/Prod/a/b%20c",
        "query": "x=1&x=2&y=%C3%BC+z",
        "headers": {"host": "h", "content-type": "text/plain", "x-many": "1, 2", "content-length": "1", "te": "x"},
        "api": "id",
        "domain": "id.example",
        "source_ip": "127.0.0.1",
        "request_id": "request",
        "time": WallTime(1_583_348_638_390),
        "account": "000000000000",
        "route_key": "POST /a/{x}",
        "stage": "Prod",
        "path_parameters": {"x": "b%20c"},
        "stage_variables": {"v": "w"},
    }
    return HttpCall(**{**given, **more})


def event_1(kind: ApiKind, body: bytes = b"", binary: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    told = ApiCall(kind, "/a/{x}", "/a/b%20c", {"x-many": ["1", "2"]}, binary)
    made: dict[str, Any] = json.loads(encode_event_1(call(**more), told, body))
    return made


def test_an_event_of_a_rest_api() -> None:
    event = event_1(REST, b"text")
    context = event.pop("requestContext")
    assert event == {
        "resource": "/a/{x}",
        "path": "/a/b%20c",
        "httpMethod": "POST",
        "headers": {"Host": "h", "Content-Type": "text/plain", "X-Many": "2"},
        "multiValueHeaders": {"Host": ["h"], "Content-Type": ["text/plain"], "X-Many": ["1", "2"]},
        "queryStringParameters": {"x": "2", "y": "ü z"},
        "multiValueQueryStringParameters": {"x": ["1", "2"], "y": ["ü z"]},
        "pathParameters": {"x": "b%20c"},
        "stageVariables": {"v": "w"},
        "body": "text",
        "isBase64Encoded": False,
    }
    assert (context["path"], context["resourcePath"], context["stage"]) == ("/Prod/a/b%20c", "/a/{x}", "Prod")
    assert (context["httpMethod"], context["protocol"], context["accountId"]) == ("POST", "HTTP/1.1", "000000000000")
    assert context["requestTime"] == "04/Mar/2020:19:03:58 +0000"
    assert context["identity"]["sourceIp"] == "127.0.0.1" and context["identity"]["userArn"] is None
    assert len(context["resourceId"]) == 6 and context["domainPrefix"] == "id"


def test_what_a_request_lacks_is_null_in_format_1() -> None:
    event = event_1(REST, query="", path_parameters={}, stage_variables={})
    lacking = {name for name, value in event.items() if value is None}
    parameters = {"queryStringParameters", "multiValueQueryStringParameters", "pathParameters"}
    assert lacking == {*parameters, "stageVariables", "body"}


def test_format_1_of_an_http_api_says_its_version_and_the_whole_path() -> None:
    event = event_1(HTTP, path="/dev/a/b c")
    assert (event["version"], event["path"], event["requestContext"]["resourceId"]) == ("1.0", "/dev/a/b c", None)


@pytest.mark.parametrize(
    ("kind", "binary", "content_type", "is_binary"),
    [
        (REST, (), "image/png", False),
        (REST, ("image/*",), "image/png", True),
        (REST, ("*/*",), "", True),
        (REST, ("image/jpeg",), "image/png", False),
        (HTTP, (), "image/png", True),
        (HTTP, (), "application/json; charset=utf-8", False),
    ],
)
def test_which_bodies_are_bytes(kind: ApiKind, binary: tuple[str, ...], content_type: str, is_binary: bool) -> None:
    event = event_1(kind, b"ab", binary, headers={"content-type": content_type})
    assert event["isBase64Encoded"] is is_binary
    assert event["body"] == (base64.b64encode(b"ab").decode() if is_binary else "ab")


def test_format_2_names_route_stage_and_variables() -> None:
    event = json.loads(encode_event(call(), b""))
    assert (event["routeKey"], event["pathParameters"], event["stageVariables"]) == (
        "POST /a/{x}",
        {"x": "b%20c"},
        {"v": "w"},
    )
    context = event["requestContext"]
    assert (context["routeKey"], context["stage"], context["accountId"]) == ("POST /a/{x}", "Prod", "000000000000")


def test_media_types() -> None:
    assert is_among("image/png; q=1", ["image/*"]) and is_among("a/b", ["A/B"])
    assert not is_among("", ["image/*"]) and not is_among("imagery/png", ["image/*"])


# Results


def rest(result: Any, binary: bool = False) -> tuple[int, list[tuple[str, str]], bytes]:
    told = decode_rest_result(json.dumps(result).encode(), binary)
    return told.status, told.fields, told.body


def http_1(result: Any) -> tuple[int, list[tuple[str, str]], bytes]:
    told = decode_http_result_1(json.dumps(result).encode())
    return told.status, told.fields, told.body


def test_a_rest_api_needs_no_member_and_takes_no_other() -> None:
    json_type = ("Content-Type", "application/json")
    assert rest({}) == (200, [json_type], b"")
    assert rest({"statusCode": "201", "body": "x"}) == (201, [json_type], b"x")
    unheard: list[Any] = [None, "x", [], {"answer": 1}, {"body": {}}, {"headers": {"a": 1}}, {"statusCode": "x"}]
    for result in unheard:
        with pytest.raises(ResultMalformed):
            rest(result)
    for text in (b"no json", b"[" * 1200):
        with pytest.raises(ResultMalformed):
            decode_rest_result(text, False)


def test_values_of_both_kinds_of_headers_are_merged() -> None:
    headers = {"a": "1", "b": True, "Date": "now"}
    result = {"headers": headers, "multiValueHeaders": {"A": ["2", "3"], "Content-Type": ["text/html"]}}
    assert rest(result)[1] == [
        ("b", "true"),
        ("x-amzn-Remapped-Date", "now"),
        ("A", "2"),
        ("A", "3"),
        ("Content-Type", "text/html"),
    ]


def test_base64_becomes_bytes_where_the_client_takes_them() -> None:
    result = {"body": "AAE=", "isBase64Encoded": True}
    assert (rest(result)[2], rest(result, binary=True)[2]) == (b"AAE=", b"\x00\x01")
    assert http_1({"statusCode": 200, **result})[2] == b"\x00\x01"


def test_an_http_api_wants_a_status_and_takes_numbers() -> None:
    plain = ("Content-Type", "text/plain; charset=utf-8")
    assert http_1({"statusCode": 200, "headers": {"n": 1}, "body": {"a": 1}}) == (200, [("n", "1"), plain], b'{"a":1}')
    for result in ({}, {"body": "x"}, {"statusCode": 200, "headers": ["a"]}):
        with pytest.raises(ResultMalformed):
            http_1(result)


def test_each_kind_has_its_own_words() -> None:
    told = {(kind, why): (refusal(kind, why).status, refusal(kind, why).body) for kind in ApiKind for why in Refusal}
    assert told[REST, Refusal.FAILED] == (502, b'{"message": "Internal server error"}')
    assert told[HTTP, Refusal.FAILED] == (500, b'{"message":"Internal Server Error"}')
    assert told[REST, Refusal.NO_ROUTE] == (403, b'{"message":"Missing Authentication Token"}')
    assert told[HTTP, Refusal.NO_ROUTE] == (404, b'{"message":"Not Found"}')
    assert refusal(None, Refusal.NO_API).status == 403


def test_a_mocked_preflight_allows_what_the_path_has() -> None:
    assert mocked_preflight(Cors(allow_origins=("https://a",)), {"GET", "PUT"}) == [
        ("Access-Control-Allow-Origin", "https://a"),
        ("Access-Control-Allow-Methods", "GET,OPTIONS,PUT"),
    ]
    told = dict(mocked_preflight(Cors(allow_headers=("x",), max_age=5, allow_credentials=True), {"ANY"}))
    assert told["Access-Control-Allow-Methods"] == "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT"
    assert (told["Access-Control-Allow-Headers"], told["Access-Control-Max-Age"]) == ("x", "5")
