"""HTTP APIs: what a request to one becomes, what its answer is made of, and what it says where there is none."""

import base64
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from test_access import signed
from test_function_urls import ASKS, OTHER, PAGE, Answer, call

from conformance.http_apis import allowed, made, own
from ondol_process import OndolProcess, create

ECHO = """
import json, os, time

def h(event, context):
    asked = (event.get("queryStringParameters") or {}).get("do")
    if asked == "fail":
        raise ValueError("broken")
    if asked == "trace":
        told = {name.lower(): value for name, value in event["headers"].items()}["x-amzn-trace-id"]
        return {"statusCode": 200 if told == os.environ["_X_AMZN_TRACE_ID"] else 500, "body": json.dumps(told)}
    if asked == "sleep":
        time.sleep(1.5)
    if asked:
        return json.loads(event["body"]) if event.get("body") else {"statusCode": 200, "body": asked}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(event)}
"""


@pytest.fixture(scope="module")
def echo(client: Any) -> str:
    create(client, "api-echo", ECHO)
    allowed(client, "api-echo")
    return "api-echo"


def route(method: str, path: str, function: str = "api-echo", **more: Any) -> dict[str, Any]:
    return {"method": method, "path": path, "function": function, **more}


@pytest.fixture(scope="module")
def rest(ondol: OndolProcess, echo: str) -> str:
    """The address of a REST API, its stage included."""
    routes = [route("ANY", "/things/{id}"), route("POST", "/{proxy+}"), route("GET", "/")]
    variables = {"colour": "red"}
    return made(ondol, "rest", kind="rest", stage="Prod", routes=routes, stage_variables=variables) + "/Prod"


@pytest.fixture(scope="module")
def http(ondol: OndolProcess, echo: str) -> str:
    routes = [route("GET", "/things/{id}"), route("POST", "/{proxy+}"), route("GET", "/old", payload="1.0")]
    return made(ondol, "http", kind="http", stage="$default", routes=routes)


def told(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


# Events


def test_an_event_of_format_1(ondol: OndolProcess, rest: str) -> None:
    answer = call(
        ondol, rest, "/things/a%20b?x=1&x=2", "PUT", "hé".encode(), Content_Type="text/plain", User_Agent="me"
    )
    event = told(answer)
    context = event["requestContext"]
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/things/{id}", "/things/a%20b", "PUT")
    assert event["pathParameters"] == {"id": "a%20b"} and event["stageVariables"] == {"colour": "red"}
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"]} and event["queryStringParameters"] == {
        "x": "2"
    }
    assert event["headers"]["Host"] == urlsplit(rest).netloc and event["headers"]["User-Agent"] == "me"
    assert (event["body"], event["isBase64Encoded"]) == ("hé", False)
    assert (context["stage"], context["path"], context["accountId"]) == ("Prod", "/Prod/things/a%20b", "000000000000")
    assert context["identity"]["sourceIp"] == "127.0.0.1" and context["identity"]["userAgent"] == "me"
    assert context["domainName"] == urlsplit(rest).hostname
    assert context["requestId"] == answer.headers["x-amzn-requestid"]


def test_an_event_of_format_2(ondol: OndolProcess, http: str) -> None:
    answer = call(ondol, http, "/things/a%20b?x=1&x=2", Cookie="k=v; l=w")
    event = told(answer)
    context = event["requestContext"]
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "GET /things/{id}", "/things/a b")
    assert event["pathParameters"] == {"id": "a b"} and event["queryStringParameters"] == {"x": "1,2"}
    assert event["cookies"] == ["k=v", "l=w"] and "stageVariables" not in event
    assert (context["stage"], context["http"]["path"]) == ("$default", "/things/a b")
    assert context["apiId"] == urlsplit(http).netloc.partition(".")[0] == context["domainPrefix"]
    assert context["requestId"] == answer.headers["apigw-requestid"]
    assert told(call(ondol, http, "/old"))["version"] == "1.0"


def test_a_function_is_told_of_which_trace_a_request_is(ondol: OndolProcess, rest: str, http: str) -> None:
    given = "Root=1-58406520-a006649127e371903a2de979"
    for api, path in ((rest, "/?do=trace"), (http, "/things/a?do=trace")):
        assert told(call(ondol, api, path)).startswith("Root=1-")
        assert told(call(ondol, api, path, X_Amzn_Trace_Id=given)) == given


def test_fields_that_come_twice_are_two(ondol: OndolProcess, rest: str) -> None:
    import http.client  # noqa: PLC0415 - `http` is an API here

    connection = http.client.HTTPConnection(urlsplit(ondol.endpoint).netloc, timeout=30)
    connection.putrequest("GET", "/Prod/", skip_host=True)
    for name, value in (("Host", urlsplit(rest).netloc), ("X-Many", "1"), ("X-One", "1, 2"), ("x-many", "2")):
        connection.putheader(name, value)
    connection.endheaders()
    event = json.loads(connection.getresponse().read())
    connection.close()
    assert event["multiValueHeaders"]["X-Many"] == ["1", "2"] and event["multiValueHeaders"]["X-One"] == ["1, 2"]
    assert event["headers"]["X-Many"] == "2"


def test_bytes_go_in_and_come_out(ondol: OndolProcess, http: str, echo: str) -> None:
    event = told(call(ondol, http, "/upload", "POST", b"\xff\x00", Content_Type="image/png"))
    assert (event["isBase64Encoded"], base64.b64decode(event["body"])) == (True, b"\xff\x00")
    url = made(ondol, "images", kind="rest", stage="s", routes=[route("POST", "/")], binary_types=["image/*"]) + "/s"
    event = told(call(ondol, url, "/", "POST", b"\xff\x00", Content_Type="image/png"))
    assert (event["isBase64Encoded"], base64.b64decode(event["body"])) == (True, b"\xff\x00")
    result = json.dumps({"body": base64.b64encode(b"\xff\x00").decode(), "isBase64Encoded": True})
    as_bytes = call(ondol, url, "/?do=1", "POST", result, Content_Type="text/plain", Accept="image/png, */*")
    assert as_bytes.body == b"\xff\x00"
    as_text = call(ondol, url, "/?do=1", "POST", result, Content_Type="text/plain", Accept="text/html")
    assert as_text.body == base64.b64encode(b"\xff\x00")


def test_large_bodies_pass_and_larger_do_not(ondol: OndolProcess, client: Any, name: str) -> None:
    create(client, name, "def h(event, context): return {'statusCode': 200, 'body': event['body']}", MemorySize=1769)
    allowed(client, name)
    url = made(ondol, name, kind="http", stage="$default", routes=[route("ANY", "$default", name)])
    body = b"x" * (5 * 1024 * 1024)
    answer = call(ondol, url, method="POST", body=body, Content_Type="text/plain")
    assert (answer.status, answer.body == body) == (200, True)
    answer = call(ondol, url, method="POST", body=bytes(6 * 1024 * 1024))
    assert (answer.status, answer.body) == (413, b'{"message":"Request Entity Too Large"}')


# Answers


def answered(ondol: OndolProcess, url: str, result: Any) -> Answer:
    return call(ondol, url, "/x?do=1", "POST", json.dumps(result), Content_Type="application/json")


def test_results_of_format_1(ondol: OndolProcess, rest: str) -> None:
    result = {
        "statusCode": 418,
        "headers": {"X-A": "1"},
        "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]},
        "body": "t",
    }
    answer = answered(ondol, rest, result)
    assert (answer.status, answer.body, answer.headers["x-a"]) == (418, b"t", "1")
    assert [value for name, value in answer.fields if name == "set-cookie"] == ["a=1", "b=2"]
    assert (answered(ondol, rest, {}).status, answered(ondol, rest, {"statusCode": 204}).status) == (200, 204)


def test_results_of_format_2(ondol: OndolProcess, http: str) -> None:
    inferred = answered(ondol, http, {"hello": "world"})
    assert (inferred.status, inferred.body, inferred.headers["content-type"]) == (
        200,
        b'{"hello":"world"}',
        "application/json",
    )
    answer = answered(ondol, http, {"statusCode": "201", "cookies": ["a=1"], "body": "t"})
    assert (answer.status, answer.headers["set-cookie"]) == (201, "a=1")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


REST_ERROR, HTTP_ERROR = b'{"message": "Internal server error"}', b'{"message":"Internal Server Error"}'


@pytest.mark.parametrize(
    "result", [{"hello": "world"}, "text", {"statusCode": 99}, {"headers": {"a b": "c"}}, {"body": 1}]
)
def test_what_is_no_response_of_format_1(ondol: OndolProcess, rest: str, result: Any) -> None:
    answer = answered(ondol, rest, result)
    assert (answer.status, answer.body) == (502, REST_ERROR)
    assert answer.headers["x-amzn-errortype"] == "InternalServerErrorException"


def test_a_function_that_fails(ondol: OndolProcess, rest: str, http: str) -> None:
    for url, status, body in ((rest, 502, REST_ERROR), (http, 500, HTTP_ERROR)):
        answer = call(ondol, url, "/things/1?do=fail")
        assert (answer.status, answer.body) == (status, body)


def test_a_function_that_is_late(ondol: OndolProcess, client: Any, echo: str) -> None:
    routes = [route("GET", "/", timeout_ms=50)]
    late = {
        "rest": (504, b'{"message": "Endpoint request timed out"}'),
        "http": (503, b'{"message":"Service Unavailable"}'),
    }
    for kind, expected in late.items():
        url = made(ondol, f"late-{kind}", kind=kind, stage="s", routes=routes) + "/s"
        answer = call(ondol, url, "/?do=sleep")
        assert (answer.status, answer.body) == expected


def test_where_nothing_is(ondol: OndolProcess, rest: str, http: str) -> None:
    missing = call(ondol, rest, "/things/1/2")
    assert (missing.status, missing.body) == (403, b'{"message":"Missing Authentication Token"}')
    assert missing.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
    assert call(ondol, rest, "/", "DELETE").status == 403
    no_stage = call(ondol, rest.removesuffix("/Prod"), "/things/1")
    assert (no_stage.status, no_stage.body) == (403, b'{"message":"Forbidden"}')
    missing = call(ondol, http, "/things")
    assert (missing.status, missing.body) == (404, b'{"message":"Not Found"}')
    for url in ("http://nobody.execute-api.us-east-1.localhost", http.replace("us-east-1", "eu-west-1")):
        assert call(ondol, url, "/").body == b'{"message":"Forbidden"}'


def test_a_function_must_let_itself_be_invoked(ondol: OndolProcess, client: Any, name: str) -> None:
    create(client, name, "def h(event, context): return {'statusCode': 200, 'body': event['resource']}", Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    url = made(ondol, name, kind="rest", stage="s", routes=[route("GET", "/a/{b}", f"{name}:live")])
    refused = call(ondol, url, "/s/a/1")
    assert (refused.status, refused.body) == (500, REST_ERROR)
    id = urlsplit(url).netloc.partition(".")[0]
    arn = f"arn:aws:execute-api:us-east-1:000000000000:{id}/*/GET/a/*"
    client.add_permission(
        FunctionName=name, Qualifier="live", StatementId="s", Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com", SourceArn=arn,
    )  # fmt: skip
    assert call(ondol, url, "/s/a/1").body == b"/a/{b}"
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert call(ondol, url, "/s/a/1").status == 500
    client.delete_function(FunctionName=name)
    assert call(ondol, url, "/s/a/1").status == 500


# Web pages


CORS = {
    "AllowOrigins": ["https://page.example"],
    "AllowMethods": ["GET", "PUT"],
    "AllowHeaders": ["x-one"],
    "MaxAge": 60,
}


def test_an_http_api_tells_pages_what_they_may(ondol: OndolProcess, echo: str) -> None:
    url = made(ondol, "shared", kind="http", stage="$default", routes=[route("ANY", "/{proxy+}")], cors=CORS)
    answer = call(ondol, url, "/x", "OPTIONS", **PAGE, **ASKS)
    assert (answer.status, answer.body) == (204, b"")
    assert {name: value for name, value in answer.fields if name.startswith("access-control-")} == {
        "access-control-allow-origin": "https://page.example",
        "access-control-allow-methods": "GET,PUT",
        "access-control-allow-headers": "x-one",
        "access-control-max-age": "60",
    }
    result = json.dumps({"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*"}})
    answer = call(ondol, url, "/x?do=1", "POST", result, Content_Type="text/plain", **PAGE)
    assert [value for name, value in answer.fields if name == "access-control-allow-origin"] == ["https://page.example"]
    answer = call(ondol, url, "/x?do=1", "POST", result, Content_Type="text/plain", **OTHER)
    assert answer.status == 200 and "access-control-allow-origin" not in answer.headers


def test_a_rest_api_answers_preflights_only(ondol: OndolProcess, echo: str) -> None:
    routes = [route("GET", "/x"), route("PUT", "/x"), route("OPTIONS", "/own")]
    url = made(ondol, "mocked", kind="rest", stage="s", routes=routes, cors=CORS | {"AllowMethods": None}) + "/s"
    answer = call(ondol, url, "/x", "OPTIONS", **OTHER, **ASKS)
    assert (answer.status, answer.headers["access-control-allow-methods"]) == (200, "GET,OPTIONS,PUT")
    assert answer.headers["access-control-allow-origin"] == "https://page.example"
    assert told(call(ondol, url, "/own", "OPTIONS", **OTHER, **ASKS))["httpMethod"] == "OPTIONS"
    assert "access-control-allow-origin" not in call(ondol, url, "/x", **PAGE).headers


def test_no_page_reaches_the_api_by_an_http_api(ondol: OndolProcess, http: str) -> None:
    for path in ("/2015-03-31/functions", "/_ondol/status", "/_ondol/http-apis"):
        assert told(call(ondol, http, path, "POST", **{**signed(), **PAGE}))["rawPath"] == path
    status, error = own(ondol, "PUT", "/_ondol/http-apis/evil", {"kind": "http"}, **PAGE)
    assert (status, error["Message"]) == (
        403,
        "Requests with an Origin header are refused: web pages may not call this API.",
    )
    rebound = f"http://evil.example/_ondol/http/{urlsplit(http).netloc.partition('.')[0]}"
    assert call(ondol, rebound, "/things/1").body == b'{"message":"Forbidden"}'


def test_by_path_without_a_name(ondol: OndolProcess, rest: str, http: str) -> None:
    id = urlsplit(rest).netloc.partition(".")[0]
    url = f"{ondol.endpoint}/_ondol/http/{id}/Prod"
    answer = call(ondol, url, "/things/1", Cookie="a=b")
    event = told(answer)
    assert (event["path"], event["requestContext"]["path"]) == ("/things/1", "/Prod/things/1")
    assert "Cookie" not in event["headers"] and event["requestContext"]["domainName"] == urlsplit(rest).hostname
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox ") and "allow-same-origin" not in policy
    result = {"multiValueHeaders": {"set-cookie": ["a=b"]}, "headers": {"Set-Cookie": "c=d"}, "body": "p"}
    answer = answered(ondol, url, result)
    assert answer.body == b"p" and "set-cookie" not in answer.headers


# ondol's own API


def test_an_api_is_made_shown_changed_and_deleted(ondol: OndolProcess, echo: str, name: str) -> None:
    path = f"/_ondol/http-apis/{name}"
    assert own(ondol, "GET", path)[0] == 404
    url = made(ondol, name, kind="http", stage="$default", routes=[route("GET", "/a")])
    assert told(call(ondol, url, "/a"))["routeKey"] == "GET /a"
    revision = own(ondol, "GET", path)[1]["revision"]
    made(ondol, name, kind="http", stage="$default", routes=[route("GET", "/a")])
    assert own(ondol, "GET", path)[1]["revision"] == revision
    assert made(ondol, name, kind="http", stage="$default", routes=[route("GET", "/b")]) == url
    assert call(ondol, url, "/a").status == 404 and told(call(ondol, url, "/b"))["routeKey"] == "GET /b"
    _, shown = own(ondol, "GET", path)
    assert (shown["name"], shown["kind"], shown["url"].rstrip("/")) == (name, "http", url)
    assert shown["routes"][0]["timeout_ms"] == 30_000
    assert name in [each["name"] for each in own(ondol, "GET", "/_ondol/http-apis")[1]["apis"]]
    assert own(ondol, "DELETE", path) == (200, {})
    assert own(ondol, "DELETE", path)[0] == 404
    assert call(ondol, url, "/b").body == b'{"message":"Forbidden"}'


@pytest.mark.parametrize(
    "document",
    [{}, {"kind": "http", "stage": "$default"}, {"kind": "soap", "stage": "s", "routes": []}, {"x": 1}, [], 7,
     {"kind": "rest", "stage": "s", "routes": [{"method": "GET", "path": "x", "function": "f"}]}],
)  # fmt: skip
def test_what_is_no_api_is_refused(ondol: OndolProcess, name: str, document: Any) -> None:
    status, error = own(ondol, "PUT", f"/_ondol/http-apis/{name}", document)
    assert (status, own(ondol, "GET", f"/_ondol/http-apis/{name}")[0]) == (400, 404), error


def test_code_in_a_function_makes_no_api(ondol: OndolProcess, client: Any, name: str) -> None:
    code = """
import json, os, urllib.request
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.session import Session

def h(event, context):
    session = Session()
    url = os.environ["AWS_ENDPOINT_URL"] + "/_ondol/http-apis/inner"
    request = AWSRequest("PUT", url, data=b"{}", headers={"Content-Type": "application/json"})
    SigV4Auth(session.get_credentials(), "lambda", "us-east-1").add_auth(request)
    try:
        urllib.request.urlopen(urllib.request.Request(url, b"{}", dict(request.headers), method="PUT"))
    except urllib.error.HTTPError as error:
        return error.code
"""
    create(client, name, code, Timeout=20)
    answer = client.invoke(FunctionName=name)
    assert json.loads(answer["Payload"].read()) == 403
