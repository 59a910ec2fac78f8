"""Payload format 2.0: a request as an event, a result as a response."""

import base64
import json
from typing import Any

import pytest

from ondol.aws.http_event import HttpCall, HttpResult, ResultMalformed, decode_prelude, decode_result, encode_event
from ondol.model.time import WallTime

PLAIN = ("Content-Type", "application/json")


def event(body: bytes = b"", query: str = "", path: str = "/", **headers: str) -> dict[str, Any]:
    call = HttpCall(
        method="GET",
        path=path,
        query=query,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        api="id",
        domain="id.example",
        source_ip="127.0.0.1",
        request_id="request",
        time=WallTime(1_583_348_638_390),
    )
    made: dict[str, Any] = json.loads(encode_event(call, body))
    return made


def test_the_members_come_in_awss_order() -> None:
    made = event(b"x", "a=b", cookie="c=d", content_type="text/plain")
    assert list(made) == [
        *("version", "routeKey", "rawPath", "rawQueryString", "cookies", "headers", "queryStringParameters"),
        *("requestContext", "body", "isBase64Encoded"),
    ]
    assert made["requestContext"]["time"] == "04/Mar/2020:19:03:58 +0000"
    assert made["requestContext"]["timeEpoch"] == 1_583_348_638_390


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=1&b=2&a=3", {"a": "1,3", "b": "2"}),
        ("a=%2C+%C3%BC", {"a": ", ü"}),
        ("a&b=", {"a": "", "b": ""}),
    ],
)
def test_parameters_are_decoded_and_the_query_is_not(query: str, parameters: dict[str, str]) -> None:
    made = event(query=query, path="/a%20b")
    assert (made["queryStringParameters"], made["rawQueryString"], made["rawPath"]) == (parameters, query, "/a%20b")


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/plain", b"a", True),
        ("TEXT/HTML; charset=utf-8", "ü".encode(), True),
        ("application/json", b"{}", True),
        ("application/xml", b"<a/>", True),
        ("application/javascript", b"1", True),
        ("application/x-www-form-urlencoded", b"a=b", False),
        ("multipart/form-data; boundary=x", b"--x", False),
        ("image/png", b"png", False),
        ("", b"a", False),
        ("text/plain", b"\xff", False),
    ],
)
def test_text_is_text_where_its_type_says_so(kind: str, body: bytes, text: bool) -> None:
    made = event(body, content_type=kind)
    told = made["body"].encode() if text else base64.b64decode(made["body"])
    assert (told, made["isBase64Encoded"]) == (body, not text)


def test_how_a_message_came_is_not_told() -> None:
    made = event(connection="close", transfer_encoding="chunked", x_kept="1", cookie="a=b;c=d")
    assert made["headers"] == {"x-kept": "1"}
    assert made["cookies"] == ["a=b", "c=d"]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (b'{"a": [1, "\xc3\xbc"]}', HttpResult(200, [PLAIN], '{"a":[1,"ü"]}'.encode())),
        (b'"text"', HttpResult(200, [PLAIN], b"text")),
        (b"null", HttpResult(200, [PLAIN], b"null")),
        (b'{"body": "x"}', HttpResult(200, [PLAIN], b'{"body":"x"}')),
        (b'{"statusCode": 201, "body": "x"}', HttpResult(201, [PLAIN], b"x")),
        (b'{"statusCode": "202"}', HttpResult(202, [PLAIN], b"")),
        (b'{"statusCode": 200, "body": null}', HttpResult(200, [PLAIN], b"")),
        (b'{"statusCode": 200, "body": "eA==", "isBase64Encoded": true}', HttpResult(200, [PLAIN], b"x")),
        (b'{"statusCode": 200, "body": [1, 2]}', HttpResult(200, [PLAIN], b"[1,2]")),
        (b"no json", HttpResult(200, [PLAIN], b"no json")),
        (b"\xff\xfe", HttpResult(200, [PLAIN], b"\xff\xfe")),
        (
            b'{"statusCode": 418}' + bytes(8) + b"tea",
            HttpResult(418, [("Content-Type", "application/octet-stream")], b"tea"),
        ),
    ],
)
def test_what_a_result_means(result: bytes, expected: HttpResult) -> None:
    assert decode_result(result) == expected


def test_fields_are_what_was_given_and_one_type() -> None:
    given = {"CONTENT-TYPE": "text/html", "x-n": 1, "x-t": True, "Content-Length": "5", "Connection": "close"}
    result = decode_result(json.dumps({"statusCode": 200, "headers": given, "cookies": ["a=b"]}).encode())
    assert result.fields == [
        ("CONTENT-TYPE", "text/html"),
        ("x-n", "1"),
        ("x-t", "true"),
        ("x-amzn-Remapped-Content-Length", "5"),
        ("x-amzn-Remapped-Connection", "close"),
        ("Set-Cookie", "a=b"),
    ]


@pytest.mark.parametrize(
    "result",
    [
        b'{"statusCode": "x"}',
        b'{"statusCode": []}',
        b'{"statusCode": 200, "headers": "x"}',
        b'{"statusCode": 200, "cookies": "a=b"}',
        b'{"statusCode": 200, "body": "!", "isBase64Encoded": true}',
        b"x" + bytes(8),
    ],
)
def test_what_is_no_response(result: bytes) -> None:
    with pytest.raises(ResultMalformed):
        decode_result(result)


def test_what_is_nested_too_deeply_to_be_read_is_the_body() -> None:
    deep = b"[" * 1200 + b"]" * 1200
    assert decode_result(deep) == HttpResult(200, [PLAIN], deep)


def test_a_prelude() -> None:
    assert decode_prelude(b"{}") == (200, [("Content-Type", "application/octet-stream")])
    status, fields = decode_prelude(b'{"statusCode": 404, "headers": {"content-type": "a/b"}, "cookies": ["c=d"]}')
    assert (status, fields) == (404, [("content-type", "a/b"), ("Set-Cookie", "c=d")])
    for malformed in (b"", b"[]", b'{"statusCode": "?"}', b"[" * 1200):
        with pytest.raises(ResultMalformed):
            decode_prelude(malformed)
