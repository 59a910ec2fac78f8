"""Callers whose signatures are verified, over TLS: who gets in, as whom, to do what; and what others try."""

import hashlib
import json
import os
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from lambda_calls import error_of, invoke, permit_url
from signed_calls import LIST, Key, ask, make_key, operator_of, revoke, running, send
from test_access import SIGNED

from certificates import make_certificate
from ondol_process import ONDOL, OndolProcess, create

ECHO = "def h(event, context): return event"
INVALID = "The request signature we calculated does not match the signature you provided."


class Store(ThreadingHTTPServer):
    """A server of another service that takes whatever comes, and remembers it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Keeps)
        self.kept: list[tuple[str, str, bytes]] = []


class Keeps(BaseHTTPRequestHandler):
    server: Store
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        body = self._body()
        if body is not None:
            self.server.kept.append((self.command, self.path, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_POST = do_DELETE = do_GET

    def _body(self) -> bytes | None:
        """None if it breaks off."""
        if "Transfer-Encoding" not in self.headers:
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size)
            return body if len(body) == size else None
        pieces = []
        while line := self.rfile.readline():
            piece = self.rfile.read(int(line, 16) + 2)
            if line == b"0\r\n":
                return b"".join(pieces)
            pieces.append(piece[:-2])
        return None


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    server = Store()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def ondol(tmp_path_factory: pytest.TempPathFactory, store: Store) -> Iterator[OndolProcess]:
    address = f"http://127.0.0.1:{store.server_address[1]}"
    yield from running(tmp_path_factory.mktemp("verified"), {"ENDPOINTS_DEFAULT": address})


@pytest.fixture(scope="module")
def key(ondol: OndolProcess) -> Key:
    return make_key(ondol, name="everyday")


@pytest.fixture(scope="module")
def client(ondol: OndolProcess, key: Key) -> Any:
    return key.client(ondol)


@pytest.fixture(scope="module")
def echo(client: Any) -> str:
    create(client, "echo", ECHO)
    return "echo"


def path_of(function: str) -> str:
    return f"{LIST}/{function}/invocations"


# Who gets in


def test_an_unmodified_client_does_its_everyday_job(ondol: OndolProcess, key: Key, client: Any, echo: str) -> None:
    assert invoke(client, echo, {"a": ["ä", 1]})[1] == {"a": ["ä", 1]}
    assert invoke(client, f"{echo}:$LATEST", "x" * 5_000_000)[1] == "x" * 5_000_000
    streamed = client.invoke_with_response_stream(FunctionName=echo, Payload=b'"streamed"')["EventStream"]
    assert b"".join(e["PayloadChunk"]["Payload"] for e in streamed if "PayloadChunk" in e) == b'"streamed"'
    assert echo in [each["FunctionName"] for each in client.list_functions()["Functions"]]
    client.tag_resource(
        Resource=client.get_function(FunctionName=echo)["Configuration"]["FunctionArn"], Tags={"a": "b"}
    )
    groups = key.client(ondol, "logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{echo}")["logGroups"]
    assert len(groups) == 1
    identity = key.client(ondol, "sts").get_caller_identity()
    assert identity["Arn"] == "arn:aws:iam::000000000000:user/everyday"
    assert (identity["Account"], identity["UserId"]) == ("000000000000", key.access_key)


def test_a_client_that_signs_the_hash_of_its_body_is_not_asked_to_wait_with_it(
    ondol: OndolProcess, key: Key, echo: str
) -> None:
    body = json.dumps("y" * 1_000_000).encode()
    told = hashlib.sha256(body).hexdigest()
    headers = key.signed(ondol, "POST", path_of(echo), body, X_Amz_Content_SHA256=told)
    assert send(ondol, "POST", path_of(echo), headers, body).body == body
    changed = send(ondol, "POST", path_of(echo), headers, body.replace(b"y", b"z"))
    assert (changed.status, changed.error) == (403, "InvalidSignatureException")


def test_who_is_unknown_wrong_or_nobody_is_told_as_aws_tells_it(ondol: OndolProcess, key: Key) -> None:
    def refused(access_key: str, secret: str, **more: Any) -> tuple[int, str, str]:
        error = error_of(Key(access_key, secret).client(ondol, **more).list_functions)
        return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"], error["Error"]["Message"]

    unknown = (403, "UnrecognizedClientException", "The security token included in the request is invalid.")
    assert refused("AKIAIOSFODNN7EXAMPLE", "x") == unknown
    assert refused("000000000000", "x") == unknown
    assert refused(*key, aws_session_token="dG9rZW4") == unknown
    status, code, message = refused(key.access_key, "wrong")
    assert (status, code) == (403, "InvalidSignatureException") and message.startswith(INVALID)
    unsigned = send(ondol, "GET", LIST, {"Host": "localhost"})
    assert (unsigned.status, unsigned.error) == (403, "MissingAuthenticationTokenException")
    assert unsigned.message == "Missing Authentication Token"


@pytest.mark.parametrize("path", [LIST, "/_ondol/status", "/_ondol/credentials", "/_ondol/reset", "/nothing", "/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_is_answered_unsigned(ondol: OndolProcess, method: str, path: str) -> None:
    for headers in (
        {"Host": "localhost"},
        {
            "Host": "localhost",
            "Authorization": SIGNED.format(account="000000000000", region="us-east-1"),
        },
        {"Host": "localhost", "Authorization": "Basic eDp5"},
    ):
        assert send(ondol, method, path, headers).status in {400, 403}


# What others try with a signature that was good


Change = Callable[[dict[str, str]], None]


def replaced(name: str, old: str, new: str) -> Change:
    def change(headers: dict[str, str]) -> None:
        assert old in headers[name]
        headers[name] = headers[name].replace(old, new)

    return change


def added(name: str, value: str) -> Change:
    return lambda headers: headers.update({name: value})


def removed(name: str) -> Change:
    return lambda headers: headers.pop(name) and None


@pytest.mark.parametrize(
    ("change", "status"),
    [
        pytest.param(removed("X-Amz-Log-Type"), 403, id="a signed field is gone"),
        pytest.param(replaced("X-Amz-Log-Type", "None", "Tail"), 403, id="a signed field is another"),
        pytest.param(replaced("Authorization", "x-amz-log-type", "x-other"), 403, id="another field is signed"),
        pytest.param(added("X-Amz-Invocation-Type", "Event"), 403, id="a field is added"),
        pytest.param(added("x-amz-client-context", "e30="), 403, id="another field is added"),
        pytest.param(replaced("Authorization", "us-east-1", "eu-west-1"), 403, id="another region"),
        pytest.param(replaced("Authorization", "/lambda/", "/sts/"), 403, id="another service"),
        pytest.param(replaced("Authorization", "aws4_request", "aws5_request"), 400, id="another terminator"),
        pytest.param(replaced("Authorization", "SignedHeaders=host;", "SignedHeaders="), 403, id="no host"),
        pytest.param(replaced("Authorization", "HMAC-SHA256", "HMAC-SHA512"), 400, id="another algorithm"),
        pytest.param(replaced("Authorization", "Signature=", "Signature=0"), 403, id="a longer signature"),
        pytest.param(replaced("Authorization", "Signature=", "Signature=\xe9"), 403, id="no ASCII"),
        pytest.param(replaced("Authorization", ", Signature=", ", Signature=0, Signature="), 400, id="two signatures"),
        pytest.param(replaced("Host", "127.0.0.1", "localhost"), 403, id="another host"),
        pytest.param(replaced("X-Amz-Date", "T", "X"), 400, id="no date"),
        pytest.param(removed("X-Amz-Date"), 400, id="the date is gone"),
        pytest.param(added("Origin", "https://evil.example"), 403, id="from a web page"),
    ],
)
def test_a_changed_request_is_refused(ondol: OndolProcess, key: Key, echo: str, change: Change, status: int) -> None:
    headers = key.signed(ondol, "POST", path_of(echo), b"1", X_Amz_Log_Type="None")
    assert send(ondol, "POST", path_of(echo), headers, b"1").status == 200
    change(headers)
    answer = send(ondol, "POST", path_of(echo), headers, b"1")
    assert answer.status == status and answer.error.endswith("Exception")
    assert headers["Authorization"].partition("Signature=")[2][:20].encode("latin-1") not in answer.body


def test_a_signature_is_good_for_one_method_path_query_and_body(ondol: OndolProcess, key: Key, echo: str) -> None:
    headers = key.signed(ondol, "POST", path_of(echo), b"1")
    for method, path, body in (
        ("POST", path_of(echo), b"2"),
        ("POST", path_of(echo), b""),
        ("PUT", path_of(echo), b"1"),
        ("POST", path_of("other"), b"1"),
        ("POST", f"{path_of(echo)}?Qualifier=1", b"1"),
        ("POST", f"/x/..{path_of(echo)}", b"1"),
    ):
        assert send(ondol, method, path, headers, body).error == "InvalidSignatureException", (method, path, body)


def test_an_authorization_that_is_there_twice_is_refused(ondol: OndolProcess, key: Key) -> None:
    headers = key.signed(ondol, "GET", LIST)
    twice = {**headers, "authorization": headers["Authorization"].replace("Credential=", "Credential=0")}
    assert send(ondol, "GET", LIST, twice).status in {400, 403}


@pytest.mark.parametrize(
    "authorization",
    ["x", ",", "=", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 " + "," * 5000, "AWS4-HMAC-SHA256 Credential=" + "/" * 5000,
     "\x80\xff", "AWS4-HMAC-SHA256 Credential=a/b/c/lambda/aws4_request, SignedHeaders=, Signature="],
)  # fmt: skip
def test_garbage_is_refused(ondol: OndolProcess, authorization: str) -> None:
    answer = send(ondol, "GET", LIST, {"Host": "localhost", "Authorization": authorization})
    assert answer.status in {400, 403} and answer.error.endswith("Exception")


def test_a_signature_is_good_for_five_minutes(ondol: OndolProcess, key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    import botocore.auth  # noqa: PLC0415 - its clock is set

    def at(moment: datetime) -> tuple[int, str]:
        monkeypatch.setattr(
            botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: moment.replace(tzinfo=None)
        )
        answer = ask(ondol, key, "GET", LIST)
        return answer.status, "" if answer.status == 200 else answer.message

    now = datetime.now(UTC)
    assert at(now - timedelta(minutes=4))[0] == at(now + timedelta(minutes=4))[0] == 200
    status, message = at(now - timedelta(minutes=6))
    assert status == 403 and message.startswith("Signature expired: ") and message.endswith("- 5 min.)")
    status, message = at(now + timedelta(minutes=6))
    assert status == 403 and message.startswith("Signature not yet current: ")


# What they may do


def test_a_right_that_is_missing_is_told_as_aws_tells_it(ondol: OndolProcess, echo: str) -> None:
    reads, runs = make_key(ondol, "read", name="reader"), make_key(ondol, "invoke", name="runner")
    assert invoke(runs.client(ondol), echo, 1)[1] == 1
    reads.client(ondol).get_function(FunctionName=echo)
    error = error_of(lambda: reads.client(ondol).invoke(FunctionName=echo))
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert (error["Error"]["Code"], error["Error"]["Message"]) == (
        "AccessDeniedException",
        "User: arn:aws:iam::000000000000:user/reader is not authorized to perform: lambda:InvokeFunction on resource: "
        "arn:aws:lambda:us-east-1:000000000000:function:echo because no identity-based policy allows the "
        "lambda:InvokeFunction action",
    )
    for call in (
        lambda: runs.client(ondol).list_functions(),
        lambda: runs.client(ondol).delete_function(FunctionName=echo),
        lambda: reads.client(ondol).put_function_concurrency(FunctionName=echo, ReservedConcurrentExecutions=1),
        lambda: create(reads.client(ondol), "new", ECHO),
        lambda: runs.client(ondol, "logs").describe_log_groups(),
        lambda: reads.client(ondol, "s3").list_buckets(),
    ):
        assert error_of(call)["Error"]["Code"] in {"AccessDeniedException", "AccessDenied"}
    assert runs.client(ondol, "sts").get_caller_identity()["Arn"].endswith("user/runner")


def test_what_concerns_all_accounts_is_the_operators(ondol: OndolProcess, key: Key) -> None:
    for method, path in (("GET", "/_ondol/status"), ("POST", "/_ondol/reset"), ("GET", "/_ondol/credentials")):
        answer = ask(ondol, key, method, path)
        assert (answer.status, answer.error) == (403, "AccessDeniedException"), path
    assert ask(ondol, operator_of(ondol), "GET", "/_ondol/status").status == 200


def test_the_account_is_the_credentials_own(ondol: OndolProcess, client: Any, echo: str) -> None:
    foreign = make_key(ondol, account="111122223333", name="foreign")
    assert foreign.client(ondol).list_functions()["Functions"] == []
    arn = client.get_function(FunctionName=echo)["Configuration"]["FunctionArn"]
    assert error_of(lambda: foreign.client(ondol).invoke(FunctionName=arn))["Error"]["Code"] == "AccessDeniedException"
    client.add_permission(
        FunctionName=echo,
        StatementId="one-user",
        Action="lambda:InvokeFunction",
        Principal="arn:aws:iam::111122223333:user/foreign",
    )
    assert invoke(foreign.client(ondol), arn, 1)[1] == 1
    another = make_key(ondol, account="111122223333", name="another")
    assert error_of(lambda: another.client(ondol).invoke(FunctionName=arn))["Error"]["Code"] == "AccessDeniedException"


# TLS, and under which names


def test_who_does_not_speak_tls_is_told_so(ondol: OndolProcess, key: Key) -> None:
    clear = Key(*key).client(ondol, endpoint=ondol.endpoint.replace("https", "http"))
    error = error_of(clear.list_functions)
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert error["Error"]["Message"] == "This port speaks TLS: call it with https:// instead of http://."


def test_ondol_answers_to_the_names_of_its_certificate(ondol: OndolProcess, key: Key) -> None:
    for name, ours in (
        ("ondol.example.com", True),
        ("a.ondol.example.com:443", True),
        ("localhost", True),
        ("a.b.ondol.example.com", False),
        ("example.com", False),
        ("ondol.example.com.evil.example", False),
    ):
        signed = key.signed(ondol, "GET", LIST, Host=name)
        answer = send(ondol, "GET", LIST, {**signed, "Host": name})
        assert answer.status == (200 if ours else 403), name


def test_what_ondol_shows_of_itself_is_https(ondol: OndolProcess, key: Key, client: Any, echo: str) -> None:
    assert client.get_function(FunctionName=echo)["Code"]["Location"].startswith("https://127.0.0.1:")
    shown = client.create_function_url_config(FunctionName=echo, AuthType="NONE")["FunctionUrl"]
    assert urlsplit(shown).scheme == "https" and ".lambda-url.us-east-1.localhost:" in shown
    path = f"/2021-10-31/functions/{echo}/url"
    headers = key.signed(ondol, "GET", path, Host="ondol.example.com")
    elsewhere = json.loads(send(ondol, "GET", path, headers).body)["FunctionUrl"]
    assert elsewhere == f"https://ondol.example.com/_ondol/url/{urlsplit(shown).netloc.partition('.')[0]}/"
    permit_url(client, echo)
    event = json.loads(send(ondol, "GET", urlsplit(elsewhere).path, {"Host": "ondol.example.com"}).body)
    assert (event["headers"]["x-forwarded-proto"], event["headers"]["x-forwarded-port"]) == ("https", "443")
    assert send(ondol, "GET", urlsplit(elsewhere).path, {"Host": "evil.example"}).status == 403


def test_a_certificate_is_read_again_when_asked_to(ondol: OndolProcess) -> None:
    assert ondol.process is not None and ondol.certificate is not None
    file = Path(ondol.certificate)
    address = ("127.0.0.1", urlsplit(ondol.endpoint).port or 0)
    before = ssl.get_server_certificate(address)
    good = make_certificate(file.parent, "127.0.0.1", "localhost", "renewed.example.com")
    ondol.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "was read again" in ondol.complaints())
    assert ssl.get_server_certificate(address) == file.read_text() != before
    key = operator_of(ondol)
    signed = key.signed(ondol, "GET", LIST, Host="renewed.example.com")
    assert send(ondol, "GET", LIST, signed).status == 200
    kept = file.read_text()
    file.write_text("broken")
    ondol.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "the certificate from before stays" in ondol.complaints())
    assert ssl.get_server_certificate(address) == kept
    good.certificate.write_text(kept)


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


# How they come and go


@pytest.mark.parametrize(
    "wanted",
    [b"", b"[]", b'{"account": "1", "rights": ["read"]}', b'{"account": "000000000000", "rights": []}',
     b'{"account": "000000000000", "rights": ["all"]}',
     b'{"account": "000000000000", "rights": ["read"], "name": "a b"}'],
)  # fmt: skip
def test_a_credential_that_cannot_be_is_refused(ondol: OndolProcess, wanted: bytes) -> None:
    answer = ask(ondol, operator_of(ondol), "POST", "/_ondol/credentials", wanted)
    assert (answer.status, answer.error) == (400, "InvalidParameterValueException")


def run_ondol(ondol: OndolProcess, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command as the operator runs it on the same machine."""
    taken = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SHARED_CREDENTIALS_FILE")
    inherited = {name: value for name, value in os.environ.items() if name not in taken}
    own = {"ONDOL_ENDPOINT": ondol.endpoint, "ONDOL_DATA_DIR": str(ondol.data_dir)}
    trust = {"AWS_CA_BUNDLE": ondol.certificate or ""}
    environment = {**inherited, **own, **trust, **variables}
    return subprocess.run([ONDOL, *arguments], env=environment, check=False, capture_output=True, text=True, timeout=60)


def test_the_command_makes_lists_and_revokes_credentials(ondol: OndolProcess, tmp_path: Path) -> None:
    made = json.loads(run_ondol(ondol, "credentials", "create", "--right", "read", "--name", "cli", "--json").stdout)
    assert (made["Rights"], made["Account"], made["Name"]) == (["read"], "000000000000", "cli")
    own = {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}
    assert run_ondol(ondol, "list", **own).returncode == 0
    refused = run_ondol(ondol, "deploy", str(tmp_path), "--handler", "m.h", "--runtime", "python3.13", **own)
    assert refused.returncode == 1 and "user/cli is not authorized to perform: lambda:CreateFunction" in refused.stderr
    shown = run_ondol(ondol, "credentials", "list")
    assert made["AccessKeyId"] in shown.stdout and made["SecretAccessKey"] not in shown.stdout + shown.stderr
    listed = json.loads(run_ondol(ondol, "credentials", "list", "--json").stdout)
    assert {**made, "SecretAccessKey": None} in [{**each, "SecretAccessKey": None} for each in listed]
    revoked = run_ondol(ondol, "credentials", "revoke", made["AccessKeyId"])
    assert revoked.returncode == 0, revoked.stderr
    unknown = run_ondol(ondol, "list", **own)
    assert unknown.returncode == 1 and "ondol credentials create" in unknown.stderr
    assert run_ondol(ondol, "credentials", "revoke", made["AccessKeyId"]).returncode == 1


def test_the_command_writes_a_file_that_sdks_read(ondol: OndolProcess, tmp_path: Path) -> None:
    file = tmp_path / "me.credentials"
    made = run_ondol(ondol, "credentials", "create", "--file", str(file))
    assert made.returncode == 0 and file.stat().st_mode & 0o777 == 0o600
    assert "SECRET" not in made.stdout + made.stderr
    assert run_ondol(ondol, "list", AWS_SHARED_CREDENTIALS_FILE=str(file)).returncode == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.delenv(name, raising=False)
        client = boto3.Session().client("lambda", "us-east-1", endpoint_url=ondol.endpoint, verify=ondol.certificate)
        client.list_functions()
    before = file.read_bytes()
    assert run_ondol(ondol, "credentials", "create", "--file", str(file)).returncode == 2
    assert file.read_bytes() == before


# Other services


def test_only_who_is_verified_reaches_another_services_server(ondol: OndolProcess, key: Key, store: Store) -> None:
    before = len(store.kept)
    for service, call, codes in (
        (
            "s3",
            lambda s3: s3.put_object(Bucket="b", Key="k", Body=b"x"),
            ("InvalidAccessKeyId", "SignatureDoesNotMatch"),
        ),
        ("sqs", lambda sqs: sqs.list_queues(), ("UnrecognizedClientException", "InvalidSignatureException")),
        ("sns", lambda sns: sns.list_topics(), ("InvalidClientTokenId", "SignatureDoesNotMatch")),
        ("ec2", lambda ec2: ec2.describe_instances(), ("AuthFailure", "SignatureDoesNotMatch")),
    ):
        for access_key, code in zip(("AKIAIOSFODNN7EXAMPLE", key.access_key), codes, strict=True):
            with pytest.raises(ClientError) as refused:
                call(Key(access_key, "wrong").client(ondol, service))
            assert refused.value.response["Error"]["Code"] == code, service
    assert len(store.kept) == before
    key.client(ondol, "s3").put_object(Bucket="b", Key="a/ä %2B", Body=b"content")
    assert store.kept[-1][0] == "PUT" and b"content" in store.kept[-1][2]
    key.client(ondol, "sqs").list_queues()
    assert len(store.kept) == before + 2


@pytest.mark.parametrize("size", [0, 10, 300_000])
def test_a_body_on_its_way_to_another_server_is_the_one_that_was_signed(
    ondol: OndolProcess, key: Key, store: Store, size: int
) -> None:
    from botocore.auth import S3SigV4Auth  # noqa: PLC0415 - beside its use

    body = b"x" * 300_000
    request = AWSRequest("PUT", f"{ondol.endpoint}/bucket/key", {}, body)
    S3SigV4Auth(Credentials(*key), "s3", "us-east-1").add_auth(request)
    headers = {"Host": urlsplit(ondol.endpoint).netloc, **dict(request.headers)}
    before = len(store.kept)
    refused = send(ondol, "PUT", "/bucket/key", headers, b"y" * size)
    assert refused.status == 403 and b"SignatureDoesNotMatch" in refused.body
    assert len(store.kept) == before
    assert send(ondol, "PUT", "/bucket/key", headers, body).status == 200
    assert store.kept[-1] == ("PUT", "/bucket/key", body)


def test_a_body_need_not_be_signed_where_aws_lets_it(ondol: OndolProcess, key: Key, store: Store, echo: str) -> None:
    s3 = key.client(ondol, "s3", config={"s3": {"payload_signing_enabled": False}, "signature_version": "s3v4"})
    link = s3.generate_presigned_url("put_object", Params={"Bucket": "b", "Key": "k"}, ExpiresIn=60)
    path = link.removeprefix(ondol.endpoint)
    host = {"Host": urlsplit(ondol.endpoint).netloc}
    assert send(ondol, "PUT", path, host, b"anything").status == 200
    assert store.kept[-1][2] == b"anything"
    assert send(ondol, "PUT", path[:-1] + ("0" if path[-1] != "0" else "1"), host, b"anything").status == 403
    headers = key.signed(ondol, "POST", path_of(echo), b"1", X_Amz_Content_SHA256="UNSIGNED-PAYLOAD")
    assert send(ondol, "POST", path_of(echo), headers, b"1").error == "InvalidSignatureException"


# Links, function URLs, code in functions


def test_a_presigned_request_is_its_signers(ondol: OndolProcess, key: Key, echo: str, client: Any) -> None:
    request = AWSRequest("POST", f"{ondol.endpoint}{path_of(echo)}")
    SigV4QueryAuth(Credentials(*key), "lambda", "us-east-1", expires=60).add_auth(request)
    path, host = request.url.removeprefix(ondol.endpoint), {"Host": urlsplit(ondol.endpoint).netloc}
    assert send(ondol, "POST", path, host).body == b"{}"
    assert send(ondol, "POST", path, host, b'"other"').error == "InvalidSignatureException"
    assert send(ondol, "POST", f"{path}&Qualifier=1", host).error == "InvalidSignatureException"
    assert send(ondol, "POST", path, {**host, "X-Amz-Log-Type": "Tail"}).error == "InvalidSignatureException"
    link = client.get_function(FunctionName=echo)["Code"]["Location"].removeprefix(ondol.endpoint)
    assert send(ondol, "GET", link, host).body.startswith(b"PK")
    assert send(ondol, "GET", link[:-1] + ("0" if link[-1] != "0" else "1"), host).status == 403


def test_a_function_url_that_wants_a_signature_verifies_it(ondol: OndolProcess, key: Key, client: Any) -> None:
    create(client, "url", "def h(event, context): return event['requestContext']['authorizer']['iam']")
    url = client.create_function_url_config(FunctionName="url", AuthType="AWS_IAM")["FunctionUrl"]
    path = f"/_ondol/url/{urlsplit(url).netloc.partition('.')[0]}/"
    told = json.loads(ask(ondol, key, "GET", path).body)
    assert told["userArn"] == "arn:aws:iam::000000000000:user/everyday" and told["accessKey"] == key.access_key
    wrong = ask(ondol, Key(key.access_key, "wrong"), "GET", path)
    assert (wrong.status, wrong.error) == (403, "InvalidSignatureException")
    for refused in (send(ondol, "GET", path, {"Host": "localhost"}), ask(ondol, make_key(ondol, "read"), "GET", path)):
        assert refused.status == 403 and refused.message.startswith("Forbidden.")
    headers = key.signed(ondol, "POST", path, b"signed")
    assert send(ondol, "POST", path, headers, b"other").status == 403


@pytest.mark.sandbox
def test_code_in_a_function_calls_with_its_own_credentials_and_nobody_else_does(
    ondol: OndolProcess, client: Any, echo: str, store: Store
) -> None:
    code = """
import boto3, os
def h(event, context):
    boto3.client("lambda").invoke(FunctionName="echo")
    s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    s3.put_object(Bucket="b", Key="from-a-function", Body=b"x" * 9_000_000)
    s3.get_object(Bucket="b", Key="from-a-function")
    return [os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
"""
    create(client, "calls", code, MemorySize=1769, Timeout=20)
    access_key, secret, token = invoke(client, "calls")[1]
    stored = [body for method, path, body in store.kept if (method, path) == ("PUT", "/b/from-a-function")]
    assert [len(body) >= 9_000_000 for body in stored] == [True]
    stolen = Key(access_key, secret).client(ondol, aws_session_token=token)
    assert error_of(stolen.list_functions)["Error"]["Code"] == "UnrecognizedClientException"


# Last: it ends the ondol of the module, and starts it at another port


def test_a_revoked_credential_counts_no_more_at_once_and_after_a_kill(ondol: OndolProcess) -> None:
    kept, gone = make_key(ondol), make_key(ondol)
    client = gone.client(ondol)
    client.list_functions()
    revoke(ondol, gone)
    assert error_of(client.list_functions)["Error"]["Code"] == "UnrecognizedClientException"
    ondol.kill()
    ondol.start()
    kept.client(ondol).list_functions()
    assert error_of(gone.client(ondol).list_functions)["Error"]["Code"] == "UnrecognizedClientException"
    listed = json.loads(ask(ondol, operator_of(ondol), "GET", "/_ondol/credentials").body)["Credentials"]
    there = [each["AccessKeyId"] for each in listed]
    assert kept.access_key in there and gone.access_key not in there
    files = [file for file in ondol.data_dir.rglob("*") if file.is_file() and file.name != "operator.credentials"]
    texts = [ondol.said().encode(), *(file.read_bytes() for file in files if file.stat().st_size < 1 << 20)]
    for secret in (kept.secret, gone.secret, operator_of(ondol).secret):
        assert not any(secret.encode() in text for text in texts)
