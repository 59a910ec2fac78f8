"""Function URLs that stream, and functions that call URLs."""

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from lambda_calls import invoke
from test_function_urls import by_path, call, public
from test_node import NODE

from ondol_process import OndolProcess, create

STREAMS = """
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const prelude = { statusCode: 201, headers: { 'X-A': 'b', 'content-type': 'text/html' }, cookies: ['c=d', 'e=f'] };

const shapes = {
  '/plain': async (stream) => { stream.write('one'); stream.write('two'); },
  '/typed': async (stream) => { stream.setContentType('text/event-stream'); stream.write('one'); },
  '/none': async () => {},
  '/prelude': async (stream) => {
    stream = awslambda.HttpResponseStream.from(stream, prelude);
    stream.write('<p>');
  },
  '/bare': async (stream) => { awslambda.HttpResponseStream.from(stream, { statusCode: 404 }).write(''); },
  '/slow': async (stream) => { stream.write('one'); await wait(1000); stream.write('two'); },
  '/broken': async (stream) => { stream.write('one'); await wait(10); throw new Error('broken'); },
  '/early': async () => { throw new Error('early'); },
  '/odd': async (stream) => { awslambda.HttpResponseStream.from(stream, 'no object').write('x'); },
  '/large': async (stream) => { for (let n = 0; n < 7; n++) stream.write(Buffer.alloc(1 << 20, 'x')); },
};

exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  await shapes[event.rawPath](stream);
  stream.end();
});
"""


def streaming(client: Any, name: str, mode: str) -> str:
    settings = {"Runtime": NODE, "Handler": "index.handler", "MemorySize": 1769, "Timeout": 30}
    create(client, name, {"index.js": STREAMS}, **settings)
    return public(client, name, InvokeMode=mode)


@pytest.fixture(scope="module")
def url(client: Any) -> str:
    return streaming(client, "url-streams", "RESPONSE_STREAM")


def test_a_stream_is_of_the_type_that_its_runtime_says(ondol: OndolProcess, url: str) -> None:
    told = call(ondol, url, "/plain")
    assert (told.status, told.headers["content-type"], told.body) == (200, "application/octet-stream", b"onetwo")
    assert told.headers["transfer-encoding"] == "chunked"
    told = call(ondol, url, "/typed")
    assert (told.headers["content-type"], told.body) == ("text/event-stream", b"one")
    assert (call(ondol, url, "/none").status, call(ondol, url, "/none").body) == (200, b"")


def test_status_fields_and_cookies_come_before_the_body(ondol: OndolProcess, url: str) -> None:
    told = call(ondol, url, "/prelude")
    assert (told.status, told.headers["x-a"], told.headers["content-type"]) == (201, "b", "text/html")
    assert [value for name, value in told.fields if name == "set-cookie"] == ["c=d", "e=f"]
    assert told.body == b"<p>"
    told = call(ondol, by_path(ondol, url), "/prelude")
    assert (told.status, told.body, "set-cookie" in told.headers) == (201, b"<p>", False)
    assert call(ondol, url, "/prelude", "HEAD").body == b""


def test_pieces_come_as_they_are_written(ondol: OndolProcess, url: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(ondol.endpoint).netloc, timeout=30)
    connection.request("GET", "/slow", headers={"Host": urlsplit(url).netloc})
    response = connection.getresponse()
    assert response.read(3) == b"one"
    began = time.monotonic()
    assert response.read() == b"two"
    assert time.monotonic() - began > 0.8
    connection.close()


def test_more_than_six_megabytes_pass(ondol: OndolProcess, url: str) -> None:
    assert len(call(ondol, url, "/large").body) == 7 << 20


def test_a_stream_that_breaks_off_is_not_whole(ondol: OndolProcess, url: str) -> None:
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        call(ondol, url, "/broken")
    for path in ("/early", "/odd"):
        told = call(ondol, url, path)
        assert (told.status, told.body) == (502, b"Internal Server Error")
    assert call(ondol, url, "/plain").body == b"onetwo"


def test_a_function_that_does_not_stream_is_passed_on_as_it_is(ondol: OndolProcess, client: Any, name: str) -> None:
    create(client, name, "def h(event, context): return {'statusCode': 418, 'body': 'x'}")
    told = call(ondol, public(client, name, InvokeMode="RESPONSE_STREAM"))
    assert (told.status, told.headers["content-type"]) == (200, "application/json")
    assert json.loads(told.body) == {"statusCode": 418, "body": "x"}


def test_a_stream_is_gathered_for_a_url_that_does_not_stream(ondol: OndolProcess, client: Any, name: str) -> None:
    url = streaming(client, name, "BUFFERED")
    told = call(ondol, url, "/prelude")
    assert (told.status, told.headers["x-a"], told.body) == (201, "b", b"<p>")
    assert "transfer-encoding" not in told.headers
    assert call(ondol, url, "/plain").body == b"onetwo"
    for path in ("/broken", "/large"):
        assert call(ondol, url, path).status == 502


CALLS = """
import boto3, http.client, os
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from urllib.parse import urlsplit

def h(event, context):
    id = urlsplit(event["url"]).netloc.partition(".")[0]
    url = f"{os.environ['AWS_ENDPOINT_URL']}/_ondol/url/{id}/"
    request = AWSRequest("POST", url, data=b"x")
    if event["signed"]:
        SigV4Auth(boto3.Session().get_credentials(), "lambda", os.environ["AWS_REGION"]).add_auth(request)
    if event["signed"] == "forged":
        request.headers.replace_header("Authorization", request.headers["Authorization"][:-4] + "0000")
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("POST", urlsplit(url).path, b"x", dict(request.headers))
    response = connection.getresponse()
    return [response.status, response.read().decode()]
"""


def test_a_function_calls_urls_as_its_own_role(ondol: OndolProcess, client: Any, name: str) -> None:
    def called(url: str, signed: Any) -> Any:
        return invoke(client, name, {"url": url, "signed": signed})[1]

    create(client, name, CALLS, MemorySize=1769, Timeout=20)
    other = f"{name[:55]}-called"
    create(client, other, "def h(event, context): return event['requestContext'].get('authorizer', 'nobody')")
    url = client.create_function_url_config(FunctionName=other, AuthType="AWS_IAM")["FunctionUrl"]
    status, body = called(url, True)
    assert (status, json.loads(body)["iam"]["userArn"]) == (
        200,
        f"arn:aws:sts::000000000000:assumed-role/test/{name}",
    )
    assert [called(url, signed)[0] for signed in (False, "forged")] == [403, 403]
    client.update_function_url_config(FunctionName=other, AuthType="NONE")
    assert called(url, False)[0] == 403
    client.delete_function_url_config(FunctionName=other)
    assert called(public(client, other), False) == [200, "nobody"]
