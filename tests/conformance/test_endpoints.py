"""Functions reach the servers of other services by ways of their own, and ondol's own API beside them."""

import hashlib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from lambda_calls import invoke

from certificates import make_certificate
from ondol_process import OndolProcess, create

pytestmark = pytest.mark.sandbox

CODE = """
import hashlib, json, os
import boto3
from botocore.config import Config

def h(event, context):
    return globals()[event["do"]](event)

def put(event):
    s3 = boto3.client("s3", endpoint_url=os.environ.get(event.get("variable", "")))
    s3.put_object(Bucket="bucket", Key="key", Body=b"x" * event["size"])

def get(event):
    body = boto3.client("s3").get_object(Bucket="bucket", Key="key")["Body"].read()
    return [len(body), hashlib.sha256(body).hexdigest()]

def put_record(event):
    kinesis = boto3.client("kinesis", config=Config(retries={"max_attempts": 0}))
    return kinesis.put_record(StreamName="stream", Data=b"data", PartitionKey="key")["ShardId"]

def variables(event):
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_ENDPOINT_URL")}

def queue(event):
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="queue")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="hello")
    return sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"]

def others(event):
    ec2 = boto3.client("ec2").describe_vpcs()["Vpcs"]
    table = boto3.client("dynamodb").list_tables()["TableNames"]
    return [bool(ec2), table]

def own(event):
    function = boto3.client("lambda").get_function(FunctionName="f")["Configuration"]["FunctionName"]
    groups = boto3.client("logs").describe_log_groups()["logGroups"]
    identity = boto3.client("sts").get_caller_identity()["Arn"]
    return [function, "/aws/lambda/f" in [group["logGroupName"] for group in groups], identity]
"""

ANSWER = b"y" * 5_000_000


class Server(ThreadingHTTPServer):
    """Remembers what it was asked, and answers as little as S3 and Kinesis may."""

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.asked: list[tuple[str, int, dict[str, str]]] = []
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_PUT(self) -> None:
        if self.headers.get("Expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        self._note(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(b"")

    def do_GET(self) -> None:
        self._note(b"")
        self._answer(ANSWER)

    def do_POST(self) -> None:
        self._note(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(b'{"ShardId": "shard-1", "SequenceNumber": "1"}')

    def handle_expect_100(self) -> bool:
        return True

    def _note(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((f"{self.command} {self.path}", len(body), headers))

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for this machine that has signed itself, and its key."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def s3() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(scope="module")
def kinesis(certificate: tuple[Path, Path]) -> Iterator[Server]:
    with Server(certificate) as server:
        yield server


@pytest.fixture(scope="module")
def process(
    s3: Server, kinesis: Server, certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OndolProcess]:
    settings = {
        "WITH": "moto",
        "ENDPOINTS_S3": f"http://127.0.0.1:{s3.port}",
        "ENDPOINTS_KINESIS": f"https://127.0.0.1:{kinesis.port}",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(certificate[0]))
        with OndolProcess(tmp_path_factory.mktemp("endpoints") / "data", settings) as process:
            create(process.client(), "f", CODE, MemorySize=1769, Timeout=30)
            yield process


def call(process: OndolProcess, do: str, **event: Any) -> Any:
    return invoke(process.client(), "f", {"do": do, **event})[1]


def test_bulk_passes_ondol_by_and_arrives_as_it_was_signed(process: OndolProcess, s3: Server) -> None:
    short_way = call(process, "variables")["AWS_ENDPOINT_URL_S3"].removeprefix("http://")
    assert call(process, "put", size=20_000_000) is None
    asked, size, headers = s3.asked[-1]
    assert (asked, size) == ("PUT /bucket/key", 20_000_000)
    assert headers["host"] == short_way != "127.0.0.1:9001"
    assert "Credential=ASIA" in headers["authorization"]
    assert call(process, "get") == [len(ANSWER), hashlib.sha256(ANSWER).hexdigest()]


def test_who_knows_the_one_variable_only_reaches_the_same_server(process: OndolProcess, s3: Server) -> None:
    assert call(process, "put", size=1_000_000, variable="AWS_ENDPOINT_URL") is None
    asked, size, headers = s3.asked[-1]
    assert (asked, size, headers["host"]) == ("PUT /bucket/key", 1_000_000, "127.0.0.1:9001")


def test_a_server_with_tls_is_reached_and_its_certificate_verified(process: OndolProcess, kinesis: Server) -> None:
    assert call(process, "put_record") == "shard-1"
    assert kinesis.asked[-1][2]["x-amz-target"].endswith("PutRecord")


def test_the_default_serves_the_usual_services_and_all_others(process: OndolProcess) -> None:
    assert call(process, "queue") == "hello"
    assert call(process, "others") == [True, []]
    named = call(process, "variables")
    assert named["AWS_ENDPOINT_URL_SQS"] == named["AWS_ENDPOINT_URL_DYNAMODB"] != named["AWS_ENDPOINT_URL_S3"]
    assert not named.keys() & {"AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS"}


def test_ondols_own_services_stay_its_own(process: OndolProcess) -> None:
    function, logged, identity = call(process, "own")
    assert (function, logged) == ("f", True)
    assert identity.endswith("assumed-role/test/f")


def test_a_function_that_names_an_address_itself_means_it_for_all_services(process: OndolProcess) -> None:
    mine = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    create(process.client(), "own-way", CODE, MemorySize=1769, Environment={"Variables": mine})
    assert invoke(process.client(), "own-way", {"do": "variables"})[1] == mine
    one = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:2"}
    create(process.client(), "own-s3", CODE, MemorySize=1769, Environment={"Variables": one})
    named = invoke(process.client(), "own-s3", {"do": "variables"})[1]
    assert named["AWS_ENDPOINT_URL_S3"] == one["AWS_ENDPOINT_URL_S3"]
    assert named["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9001"


def test_without_a_network_nothing_but_the_runtime_api_is_there(s3: Server, tmp_path: Path) -> None:
    settings = {"NETWORK_MODE": "none", "ENDPOINTS_S3": f"http://127.0.0.1:{s3.port}"}
    with OndolProcess(tmp_path / "data", settings) as process:
        create(process.client(), "f", CODE, MemorySize=1769, Timeout=30)
        assert call(process, "variables") == {"AWS_ENDPOINT_URL": "http://127.0.0.1:9001"}
        for do in ("own", "put"):
            failed = call(process, do, size=1)
            assert failed["errorType"] == "ClientError"
            assert "AccessDenied" in failed["errorMessage"] and "--network none" in failed["errorMessage"]
