"""What a web page in the user's browser tries, and what an honest client needs."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from signed_calls import Key, operator_of

from ondol_process import OndolProcess, create

SIGNED = (
    "AWS4-HMAC-SHA256 Credential={account}/20260101/{region}/lambda/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=0"
)


def ask(
    ondol: OndolProcess, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(ondol.endpoint).netloc, timeout=10)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    told = (answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    connection.close()
    return told


def signed(account: str = "test", region: str = "us-east-1", **headers: str) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"Authorization": SIGNED.format(account=account, region=region), **named}


LIST = "/2015-03-31/functions"


def test_any_access_key_in_the_header_is_taken(ondol: OndolProcess) -> None:
    assert ask(ondol, "GET", LIST, signed())[0] == 200


def test_a_key_of_twelve_digits_names_the_account_and_the_scope_the_region(ondol: OndolProcess, name: str) -> None:
    client = ondol.client(account="111122223333", region="eu-west-1")
    arn = create(client, name, "def h(event, context): return context.invoked_function_arn")["FunctionArn"]
    assert arn == f"arn:aws:lambda:eu-west-1:111122223333:function:{name}"
    assert json.loads(client.invoke(FunctionName=name)["Payload"].read()) == arn
    functions = [f["FunctionName"] for f in ondol.client().list_functions()["Functions"]]
    assert name not in functions


def test_nobody_calls_unsigned(ondol: OndolProcess) -> None:
    status, headers, _ = ask(ondol, "GET", LIST, {})
    assert status == 403
    assert headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Host": "evil.example"},
        {"Host": "evil.example:4566"},
        {"Host": "localhost.evil.example"},
    ],
)
def test_what_a_web_page_sends_is_refused_even_if_signed(ondol: OndolProcess, headers: dict[str, str]) -> None:
    status, told, body = ask(ondol, "GET", LIST, {**signed(), **headers})
    assert status == 403
    assert told["x-amzn-errortype"] == "AccessDeniedException"
    assert b"Functions" not in body
    assert "access-control-allow-origin" not in told


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_a_simple_post_from_a_page_runs_nothing(ondol: OndolProcess, client: Any, name: str, content_type: str) -> None:
    create(client, name, "def h(event, context): return 1")
    path = f"/2015-03-31/functions/{name}/invocations"
    for headers in (
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Content-Type": content_type},
        {"Content-Type": content_type},
    ):
        assert ask(ondol, "POST", path, headers, b"{}")[0] == 403
    status = ask(ondol, "GET", "/_ondol/status", signed())[2]
    assert name not in {environment["function"] for environment in json.loads(status)["environments"]}


def test_a_preflight_gets_no_permission(ondol: OndolProcess) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    status, told, _ = ask(ondol, "OPTIONS", LIST, asked)
    assert status == 403
    assert not any(name.startswith("access-control") for name in told)


@pytest.mark.parametrize("host", ["localhost", "localhost:4566", "127.0.0.1:80", "lambda.localhost", "[::1]:4566"])
def test_names_of_this_machine_are_ours(ondol: OndolProcess, host: str) -> None:
    assert ask(ondol, "GET", LIST, {**signed(), "Host": host})[0] == 200


def test_a_presigned_query_is_verified(ondol: OndolProcess, client: Any, name: str) -> None:
    create(client, name, "def h(event, context): return 1")
    link = urlsplit(client.get_function(FunctionName=name)["Code"]["Location"])
    good = f"{link.path}?{link.query}"
    status, _, body = ask(ondol, "GET", good, {})
    assert status == 200 and body.startswith(b"PK")
    forged = good[:-1] + ("0" if good[-1] != "0" else "1")
    assert ask(ondol, "GET", forged, {})[0] == 403
    assert ask(ondol, "GET", good.replace(link.path, LIST), {})[0] == 403
    other = f"{link.path[:-1]}0?{link.query}"
    assert ask(ondol, "GET", other, signed())[0] == 403


def test_ondols_own_paths_need_the_same(ondol: OndolProcess) -> None:
    assert ask(ondol, "GET", "/_ondol/status", signed())[0] == 200
    assert ask(ondol, "GET", "/_ondol/status", {})[0] == 403
    assert ask(ondol, "GET", "/_ondol/status", signed(Origin="http://localhost:4566"))[0] == 403


def test_credentials_are_made_by_the_operator_alone_whose_signature_is_verified_here_too(ondol: OndolProcess) -> None:
    path, body = "/_ondol/credentials", b'{"account": "000000000000", "rights": ["manage"]}'
    assert ask(ondol, "POST", path, signed(), body)[0] in {400, 403}
    operator = operator_of(ondol)
    forged = Key(operator.access_key, "guessed").signed(ondol, "POST", path, body)
    assert ask(ondol, "POST", path, forged, body)[0] == 403
    made = json.loads(ask(ondol, "POST", path, operator.signed(ondol, "POST", path, body), body)[2])
    own = Key(made["AccessKeyId"], made["SecretAccessKey"])
    assert ask(ondol, "GET", path, own.signed(ondol, "GET", path))[0] == 403
    revoked = f"{path}/{own.access_key}"
    assert ask(ondol, "DELETE", revoked, operator.signed(ondol, "DELETE", revoked))[0] == 204


def test_an_operation_that_is_not_there_is_named(ondol: OndolProcess, client: Any) -> None:
    with pytest.raises(client.exceptions.ClientError) as caught:
        client.list_capacity_providers()
    assert "ListCapacityProviders" in str(caught.value)
