"""Function URLs: their configurations, what a request becomes, and what an answer is made of."""

import base64
import http.client
import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from lambda_calls import ABSENT, CALL_BY_URL, CALL_URL, answer, arn, invalid, not_found, permit_url, refusal
from test_access import signed

from ondol_process import OndolProcess, create

ECHO = """
import base64, json, os

def h(event, context):
    if event["rawPath"] == "/event":
        return event
    if event["rawPath"] == "/id":
        return [context.aws_request_id, event["requestContext"]["requestId"]]
    if event["rawPath"] == "/trace":
        return [event["headers"]["x-amzn-trace-id"], os.environ["_X_AMZN_TRACE_ID"]]
    result = json.loads(event["body"])
    if result == "fail":
        raise ValueError("broken")
    return result
"""

FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.fields = [(name.lower(), value) for name, value in response.getheaders()]
        self.headers = dict(self.fields)
        self.body = response.read()


def call(
    ondol: OndolProcess, url: str, path: str = "", method: str = "GET", body: Any = None, **headers: str
) -> Answer:
    """What a client gets that finds the host's name on this machine."""
    connection = http.client.HTTPConnection(urlsplit(ondol.endpoint).netloc, timeout=30)
    sent = {"Host": urlsplit(url).netloc, **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request(method, urlsplit(url).path.rstrip("/") + (path or "/"), body, sent)
    try:
        return Answer(connection.getresponse())
    finally:
        connection.close()


def public(client: Any, name: str, **more: Any) -> str:
    """A URL that everybody may call."""
    permit_url(client, name, "*", "NONE", **({"Qualifier": more["Qualifier"]} if "Qualifier" in more else {}))
    url: str = client.create_function_url_config(FunctionName=name, AuthType="NONE", **more)["FunctionUrl"]
    return url


def by_path(ondol: OndolProcess, url: str) -> str:
    return f"{ondol.endpoint}/_ondol/url/{urlsplit(url).netloc.partition('.')[0]}"


@pytest.fixture(scope="module")
def echo(client: Any) -> str:
    create(client, "url-echo", ECHO)
    return public(client, "url-echo")


@pytest.fixture
def function(client: Any, name: str) -> str:
    create(client, name, "def h(event, context): return context.function_version", Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    return name


# Configurations


def test_a_configuration_is_created_shown_changed_and_deleted(ondol: OndolProcess, client: Any, function: str) -> None:
    created = answer(client.create_function_url_config(FunctionName=function, AuthType="NONE"), 201)
    assert set(created) == {"FunctionUrl", "FunctionArn", "AuthType", "CreationTime"}
    port = urlsplit(ondol.endpoint).port
    id, _, rest = created["FunctionUrl"].removeprefix("http://").partition(".")
    assert len(id) == 32 and id.isalnum() and id.islower()
    assert rest == f"lambda-url.us-east-1.localhost:{port}/"
    assert created["FunctionArn"] == arn(function)
    shown = answer(client.get_function_url_config(FunctionName=function))
    assert shown == created | {"LastModifiedTime": created["CreationTime"], "InvokeMode": "BUFFERED"}
    cors = {"AllowOrigins": ["https://a.example"], "AllowCredentials": False, "MaxAge": 3}
    updated = answer(client.update_function_url_config(FunctionName=function, Cors=cors))
    assert updated.pop("LastModifiedTime") > created["CreationTime"]
    assert updated == created | {"Cors": cors}
    updated = answer(
        client.update_function_url_config(FunctionName=function, AuthType="AWS_IAM", InvokeMode="RESPONSE_STREAM")
    )
    assert (updated["AuthType"], updated["InvokeMode"], updated["Cors"]) == ("AWS_IAM", "RESPONSE_STREAM", cors)
    assert "Cors" not in client.update_function_url_config(FunctionName=function, Cors={})
    assert "Cors" not in client.get_function_url_config(FunctionName=function)
    assert answer(client.delete_function_url_config(FunctionName=function), 204) == {}
    gone = not_found("The resource you requested does not exist.")
    assert refusal(lambda: client.get_function_url_config(FunctionName=function)) == gone
    assert refusal(lambda: client.delete_function_url_config(FunctionName=function)) == gone
    again = client.create_function_url_config(FunctionName=function, AuthType="NONE", InvokeMode="BUFFERED")
    assert (again["FunctionUrl"], again["InvokeMode"]) == (created["FunctionUrl"], "BUFFERED")


def test_aliases_have_urls_of_their_own(client: Any, function: str) -> None:
    own = client.create_function_url_config(FunctionName=function, AuthType="NONE")
    alias = client.create_function_url_config(FunctionName=function, AuthType="AWS_IAM", Qualifier="live")
    assert own["FunctionUrl"] != alias["FunctionUrl"]
    assert alias["FunctionArn"] == arn(function, "live")
    for named in ({"FunctionName": f"{function}:live"}, {"FunctionName": function, "Qualifier": "live"}):
        assert client.get_function_url_config(**named)["FunctionUrl"] == alias["FunctionUrl"]
    pages = client.get_paginator("list_function_url_configs").paginate(
        FunctionName=function, PaginationConfig={"PageSize": 1}
    )
    listed = [config for page in pages for config in page["FunctionUrlConfigs"]]
    assert [config["FunctionUrl"] for config in listed] == [own["FunctionUrl"], alias["FunctionUrl"]]
    assert all(set(config) > {"LastModifiedTime", "InvokeMode"} for config in listed)


def test_what_a_configuration_cannot_be_for(client: Any, function: str) -> None:
    def create_url(name: str, **more: Any) -> Any:
        return client.create_function_url_config(FunctionName=name, AuthType="NONE", **more)

    none = not_found("Function does not exist")
    nobody = ABSENT.rpartition(":")[2]
    assert refusal(lambda: create_url(nobody)) == none
    assert refusal(lambda: create_url(function, Qualifier="dead")) == none
    assert refusal(lambda: client.list_function_url_configs(FunctionName=nobody)) == none
    assert refusal(lambda: client.update_function_url_config(FunctionName=nobody)) == none
    assert refusal(lambda: client.update_function_url_config(FunctionName=function, Qualifier="dead")) == none
    gone = not_found("The resource you requested does not exist.")
    assert refusal(lambda: client.update_function_url_config(FunctionName=function, Qualifier="live")) == gone
    text = "You can't leave AllowOrigins as empty when Cors is enabled."
    assert refusal(lambda: create_url(function, Cors={"AllowMethods": ["GET"]})) == invalid(text)
    for qualifier in ("1", "$LATEST"):
        status, error = refusal(lambda qualifier=qualifier: create_url(function, Qualifier=qualifier))
        assert (status, error["Error"]["Code"]) == (400, "ValidationException")
    create_url(function)
    status, error = refusal(lambda: create_url(function))
    assert (status, error["Error"]["Code"]) == (409, "ResourceConflictException")
    assert error["message"] == (
        f"Failed to create function url config for [functionArn = {arn(function)}]. "
        "Error message:  FunctionUrlConfig exists for this Lambda function"
    )


# Requests


def test_a_function_is_told_of_which_trace_a_request_is(ondol: OndolProcess, echo: str) -> None:
    told, its_own = json.loads(call(ondol, echo, "/trace").body)
    assert told == its_own and re.fullmatch("Root=1-[0-9a-f]{8}-[0-9a-f]{24}", told)
    given = "Root=1-58406520-a006649127e371903a2de979"
    assert json.loads(call(ondol, echo, "/trace", X_Amzn_Trace_Id=given).body) == [given, given]


def test_a_request_becomes_an_event(ondol: OndolProcess, echo: str) -> None:
    told = call(
        ondol, echo, "/event?a=1&a=2&b=%C3%BC+x&c", "PUT", "hé".encode(),
        Content_Type="text/plain; charset=utf-8", X_Custom="One", Cookie="k=v; l=w", User_Agent="me",
    )  # fmt: skip
    event = json.loads(told.body)
    host = urlsplit(echo).netloc
    id = host.partition(".")[0]
    context = event.pop("requestContext")
    headers = event.pop("headers")
    assert event == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/event",
        "rawQueryString": "a=1&a=2&b=%C3%BC+x&c",
        "cookies": ["k=v", "l=w"],
        "queryStringParameters": {"a": "1,2", "b": "ü x", "c": ""},
        "body": "hé",
        "isBase64Encoded": False,
    }
    assert {name: headers[name] for name in ("host", "x-custom", "content-type")} == {
        "host": host,
        "x-custom": "One",
        "content-type": "text/plain; charset=utf-8",
    }
    assert "cookie" not in headers and headers["x-forwarded-for"] == "127.0.0.1"
    assert (headers["x-forwarded-proto"], headers["x-forwarded-port"]) == ("http", host.partition(":")[2])
    http_context = {"method": "PUT", "path": "/event", "protocol": "HTTP/1.1"}
    assert context["http"] == http_context | {"sourceIp": "127.0.0.1", "userAgent": "me"}
    assert context["requestId"] == told.headers["x-amzn-requestid"]
    assert (context["accountId"], context["stage"], context["routeKey"]) == ("anonymous", "$default", "$default")
    assert (context["apiId"], context["domainPrefix"]) == (id, id)
    assert context["domainName"] == f"{id}.lambda-url.us-east-1.localhost"
    assert context["time"].endswith(" +0000") and context["timeEpoch"] > 1_700_000_000_000


def test_what_a_request_does_not_have_its_event_has_not(ondol: OndolProcess, echo: str) -> None:
    event = json.loads(call(ondol, echo, "/event").body)
    assert not {"body", "cookies", "queryStringParameters"} & event.keys()
    assert event["isBase64Encoded"] is False and event["rawQueryString"] == ""


def test_bytes_go_in_and_come_out_as_base64(ondol: OndolProcess, echo: str) -> None:
    for kind, body in (("application/octet-stream", b"text"), ("text/plain", b"\xff\x00")):
        event = json.loads(call(ondol, echo, "/event", "POST", body, Content_Type=kind).body)
        assert (event["isBase64Encoded"], base64.b64decode(event["body"])) == (True, body)
    result = {"statusCode": 200, "body": base64.b64encode(bytes(range(256))).decode(), "isBase64Encoded": True}
    assert answered(ondol, echo, result).body == bytes(range(256))


def test_the_request_id_is_one(ondol: OndolProcess, echo: str) -> None:
    told = call(ondol, echo, "/id")
    assert set(json.loads(told.body)) == {told.headers["x-amzn-requestid"]}


def test_large_bodies_pass_and_larger_do_not(ondol: OndolProcess, client: Any, name: str) -> None:
    create(client, name, "def h(event, context): return {'statusCode': 200, 'body': event['body']}", MemorySize=1769)
    url = public(client, name)
    body = b"x" * (5 * 1024 * 1024)
    told = call(ondol, url, method="POST", body=body, Content_Type="text/plain")
    assert (told.status, told.body == body) == (200, True)
    told = call(ondol, url, method="POST", body=bytes(6 * 1024 * 1024 + 1))
    assert (told.status, told.headers["x-amzn-errortype"]) == (413, "RequestEntityTooLargeException")


# Results


def answered(ondol: OndolProcess, url: str, result: Any, **headers: str) -> Answer:
    body = json.dumps(result)
    return call(ondol, url, "/result", "POST", body, Content_Type="application/json", **headers)


@pytest.mark.parametrize(
    ("result", "body"),
    [
        ({"hello": "wörld", "n": [1, 2.5, None]}, '{"hello":"wörld","n":[1,2.5,null]}'),
        (["a", True], '["a",true]'),
        ("bare", "bare"),
        (None, "null"),
        (7, "7"),
    ],
)
def test_a_result_without_a_status_is_the_body(ondol: OndolProcess, echo: str, result: Any, body: str) -> None:
    told = answered(ondol, echo, result)
    assert (told.status, told.headers["content-type"], told.body.decode()) == (200, "application/json", body)


def test_a_result_with_a_status_is_a_response(ondol: OndolProcess, echo: str) -> None:
    headers = {"X-Custom": "v", "x-number": 7, "content-type": "text/html", "Date": "never"}
    told = answered(
        ondol, echo, {"statusCode": "418", "headers": headers, "cookies": ["a=1", "b=2; Secure"], "body": "<p>"}
    )
    assert (told.status, told.body) == (418, b"<p>")
    assert (told.headers["x-custom"], told.headers["x-number"], told.headers["content-type"]) == ("v", "7", "text/html")
    assert [value for name, value in told.fields if name == "set-cookie"] == ["a=1", "b=2; Secure"]
    assert told.headers["x-amzn-remapped-date"] == "never"
    assert answered(ondol, echo, {"statusCode": 200, "body": {"a": 1}}).body == b'{"a":1}'
    assert answered(ondol, echo, {"statusCode": 204}).status == 204
    told = answered(ondol, echo, {"statusCode": 302, "headers": {"Location": "/there"}})
    assert (told.status, told.headers["location"], told.body) == (302, "/there", b"")


@pytest.mark.parametrize(
    "result",
    [
        "fail",
        {"statusCode": "many"},
        {"statusCode": 99},
        {"statusCode": 200, "headers": {"a": "b\r\nSet-Cookie: c=d"}},
        {"statusCode": 200, "headers": {"a b": "c"}},
        {"statusCode": 200, "headers": ["a"]},
        {"statusCode": 200, "body": "?", "isBase64Encoded": True},
    ],
)
def test_what_is_no_response_is_an_internal_error(ondol: OndolProcess, echo: str, result: Any) -> None:
    told = answered(ondol, echo, result)
    assert (told.status, told.body) == (502, b"Internal Server Error")
    assert "set-cookie" not in told.headers


def test_a_throttled_url_says_so(ondol: OndolProcess, client: Any, function: str) -> None:
    url = public(client, function)
    assert call(ondol, url).body == b"$LATEST"
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    told = call(ondol, url)
    assert (told.status, told.headers["x-amzn-errortype"]) == (429, "TooManyRequestsException")


# Who may


def refused(told: Answer, text: str | None = FORBIDDEN) -> bool:
    return (told.status, told.headers.get("x-amzn-errortype"), json.loads(told.body)) == (
        403,
        "AccessDeniedException",
        {"Message": text},
    )


def test_nobody_may_without_a_permission(ondol: OndolProcess, client: Any, function: str) -> None:
    url = client.create_function_url_config(FunctionName=function, AuthType="NONE")["FunctionUrl"]
    assert refused(call(ondol, url))
    for allowed in ({**CALL_URL, "FunctionUrlAuthType": "NONE"}, CALL_BY_URL):
        client.add_permission(FunctionName=function, Principal="*", **allowed)
        assert refused(call(ondol, url)), "one of the two is not enough"
        client.remove_permission(FunctionName=function, StatementId=allowed["StatementId"])
    permit_url(client, function, "*", "NONE")
    assert call(ondol, url).status == 200
    client.update_function_url_config(FunctionName=function, AuthType="AWS_IAM")
    assert refused(call(ondol, url))
    client.update_function_url_config(FunctionName=function, AuthType="NONE")
    client.remove_permission(FunctionName=function, StatementId="url")
    assert refused(call(ondol, url))


def test_who_may_call_the_url_may_not_invoke_otherwise(ondol: OndolProcess, client: Any, function: str) -> None:
    stranger = ondol.client(account="111122223333")
    url = public(client, function)
    assert call(ondol, url).status == 200
    with pytest.raises(stranger.exceptions.ClientError, match="AccessDenied"):
        stranger.invoke(FunctionName=f"arn:aws:lambda:us-east-1:000000000000:function:{function}")


def test_a_url_goes_with_its_alias_and_its_function(ondol: OndolProcess, client: Any, function: str) -> None:
    own, alias = public(client, function), public(client, function, Qualifier="live")
    assert (call(ondol, own).body, call(ondol, alias).body) == (b"$LATEST", b"1")
    client.delete_alias(FunctionName=function, Name="live")
    assert refused(call(ondol, alias))
    client.delete_function_url_config(FunctionName=function)
    assert refused(call(ondol, own), None)
    assert refused(call(ondol, alias))
    client.delete_function(FunctionName=function)
    assert refused(call(ondol, alias), None)


def test_hosts_that_nobody_has(ondol: OndolProcess, echo: str) -> None:
    for url in ("http://unknown.lambda-url.us-east-1.localhost/", echo.replace("us-east-1", "eu-west-1")):
        assert refused(call(ondol, url), None)


def test_a_signature_says_who_calls(ondol: OndolProcess, client: Any, name: str) -> None:
    create(client, name, "def h(event, context): return event['requestContext']")
    url = client.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")["FunctionUrl"]
    context = json.loads(call(ondol, url, **signed("000000000000")).body)
    assert context["accountId"] == "000000000000"
    assert context["authorizer"]["iam"] == {
        "accessKey": "000000000000",
        "accountId": "000000000000",
        "callerId": "000000000000",
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": "arn:aws:iam::000000000000:root",
        "userId": "000000000000",
    }
    assert refused(call(ondol, url, **signed("111122223333")))
    permit_url(client, name, "111122223333", "AWS_IAM")
    assert json.loads(call(ondol, url, **signed("111122223333")).body)["accountId"] == "111122223333"
    assert refused(call(ondol, url, **signed("444455556666")))


# Web pages


CORS = {
    "AllowOrigins": ["https://page.example"],
    "AllowMethods": ["GET", "PUT"],
    "AllowHeaders": ["x-one", "x-two"],
    "ExposeHeaders": ["x-custom"],
    "AllowCredentials": True,
    "MaxAge": 60,
}
PAGE = {"Origin": "https://page.example", "Sec-Fetch-Site": "cross-site"}
OTHER = {"Origin": "https://other.example", "Sec-Fetch-Site": "cross-site"}
ASKS = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-one"}


@pytest.fixture(scope="module")
def shared(client: Any) -> str:
    code = """
def h(event, context):
    method = event["requestContext"]["http"]["method"]
    return {"statusCode": 200, "headers": {"access-control-allow-origin": "*", "x-custom": method}, "body": "page"}
"""
    create(client, "url-shared", code)
    return public(client, "url-shared", Cors=CORS)


def test_a_page_is_told_what_it_may(ondol: OndolProcess, shared: str) -> None:
    told = call(ondol, shared, method="OPTIONS", **PAGE, **ASKS)
    assert (told.status, told.body) == (200, b"")
    assert {name: value for name, value in told.fields if name.startswith("access-control-")} == {
        "access-control-allow-origin": "https://page.example",
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET,PUT",
        "access-control-allow-headers": "x-one,x-two",
        "access-control-max-age": "60",
    }
    told = call(ondol, shared, **PAGE)
    assert told.body == b"page"
    assert [value for name, value in told.fields if name == "access-control-allow-origin"] == ["https://page.example"]
    assert (told.headers["access-control-expose-headers"], told.headers["vary"]) == ("x-custom", "Origin")


def test_a_page_elsewhere_is_allowed_nothing(ondol: OndolProcess, shared: str) -> None:
    for told in (call(ondol, shared, method="OPTIONS", **OTHER, **ASKS), call(ondol, shared, **OTHER)):
        assert told.status == 200
        assert not any(name.startswith("access-control-") for name in told.headers)


def test_without_settings_the_function_answers_for_itself(ondol: OndolProcess, client: Any, name: str) -> None:
    code = "def h(event, context): return {'statusCode': 200, 'headers': {'Access-Control-Allow-Origin': '*'}}"
    create(client, name, code)
    url = public(client, name)
    for method, asked in (("OPTIONS", ASKS), ("GET", {})):
        assert call(ondol, url, method=method, **OTHER, **asked).headers["access-control-allow-origin"] == "*"
    client.update_function_url_config(FunctionName=name, Cors={"AllowOrigins": ["*"]})
    told = call(ondol, url, **OTHER)
    assert (told.headers["access-control-allow-origin"], "vary" in told.headers) == ("*", False)


def test_no_page_reaches_the_api_by_a_url(ondol: OndolProcess, shared: str, echo: str) -> None:
    for path in ("/2015-03-31/functions", "/_ondol/status", "//2015-03-31/functions", "/_ondol/url/../status"):
        assert call(ondol, shared, path, **{**signed(), **PAGE}).body == b"page"
        assert call(ondol, by_path(ondol, shared), path, **{**signed(), **PAGE}).body == b"page"
    assert call(ondol, f"{ondol.endpoint}/_ondol/../2015-03-31/functions", **{**signed(), **PAGE}).status == 403
    rebound = by_path(ondol, echo).replace("127.0.0.1", "evil.example")
    assert refused(call(ondol, rebound, "/event", **OTHER), None)


# By path


def test_by_path_without_a_name(ondol: OndolProcess, echo: str) -> None:
    url = by_path(ondol, echo)
    event = json.loads(call(ondol, url, "/event?x=1", Cookie="a=b").body)
    assert (event["rawPath"], event["rawQueryString"]) == ("/event", "x=1")
    assert event["requestContext"]["domainName"] == urlsplit(echo).hostname
    assert "cookies" not in event and "cookie" not in event["headers"]
    body = json.dumps({"statusCode": 200, "cookies": ["a=b"], "headers": {"set-cookie": "c=d"}, "body": "<p>"})
    told = call(ondol, url, "/page", "POST", body, Content_Type="application/json")
    assert told.body == b"<p>" and "set-cookie" not in told.headers
    policy = told.headers["content-security-policy"]
    assert policy.startswith("sandbox ") and "allow-same-origin" not in policy
    assert refused(call(ondol, f"{ondol.endpoint}/_ondol/url/unknown"), None)
    assert json.loads(call(ondol, url, "/event").body)["requestContext"]["http"]["path"] == "/event"
