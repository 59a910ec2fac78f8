"""One port for every service: what ondol does not serve reaches the server that does, as AWS's clients send it."""

import hashlib
import http.client
import json
import os
import select
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from faults.remains import wait_until_gone
from ondol_process import ONDOL, OndolProcess, create

pytestmark = pytest.mark.sandbox

MEBIBYTE = 1 << 20
AWS = Path(__file__).parents[2] / ".venvs" / "clients" / "bin" / "aws"
SIGNED = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    """An ondol with a moto server beside it."""
    with OndolProcess(tmp_path_factory.mktemp("door") / "data", {"WITH": "moto"}) as process:
        yield process


@pytest.fixture(scope="module")
def bucket(door: OndolProcess) -> str:
    door.client("s3").create_bucket(Bucket="bucket")
    return "bucket"


def process_of(ondol: OndolProcess) -> int:
    assert ondol.process is not None
    return ondol.process.pid


def peak_memory(pid: int) -> int:
    """Bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def companion_of(pid: int) -> int:
    """The moto server that this ondol has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    [moto] = [int(child) for child in children if "companion" in Path(f"/proc/{child}/cmdline").read_text()]
    return moto


def ask(ondol: OndolProcess, service: str, path: str = "/", **headers: str) -> tuple[int, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection(urlsplit(ondol.endpoint).netloc, timeout=10)
    connection.request("GET", path, headers={"Authorization": SIGNED.format(service), **named})
    answer = connection.getresponse()
    told = (answer.status, answer.read())
    connection.close()
    return told


# With moto beside it


def test_objects_of_50_mb_pass_both_ways_and_are_not_gathered(door: OndolProcess, bucket: str) -> None:
    s3 = door.client("s3")
    content = os.urandom(50 * MEBIBYTE)
    before = peak_memory(process_of(door))
    s3.put_object(Bucket=bucket, Key="large/ä +%2F", Body=content)
    answer = s3.get_object(Bucket=bucket, Key="large/ä +%2F")
    assert hashlib.sha256(answer["Body"].read()).digest() == hashlib.sha256(content).digest()
    assert peak_memory(process_of(door)) - before < 10 * MEBIBYTE


def test_a_file_is_uploaded_in_parts_and_read_in_ranges(door: OndolProcess, bucket: str, tmp_path: Path) -> None:
    s3 = door.client("s3")
    file = tmp_path / "file"
    file.write_bytes(os.urandom(20 * MEBIBYTE))
    s3.upload_file(str(file), bucket, "parts")
    assert s3.head_object(Bucket=bucket, Key="parts")["ContentLength"] == 20 * MEBIBYTE
    s3.download_file(bucket, "parts", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == file.read_bytes()


def test_the_large_body_that_lambda_refuses_is_still_refused(door: OndolProcess, name: str) -> None:
    client = door.client()
    create(client, name, "def h(event, context): return 1")
    with pytest.raises(ClientError) as refused:
        client.invoke(FunctionName=name, Payload=b'"' + b"x" * 80 * MEBIBYTE + b'"')
    assert refused.value.response["Error"]["Code"] == "RequestTooLargeException"


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_a_presigned_link_goes_through_the_door(door: OndolProcess, bucket: str, version: str) -> None:
    door.client("s3").put_object(Bucket=bucket, Key="linked", Body=b"content")
    s3 = boto3.client(
        "s3",
        endpoint_url=door.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="secret",
        config=Config(signature_version=version),
    )
    link = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "linked"})
    with urllib.request.urlopen(link, timeout=10) as answer:
        assert answer.read() == b"content"
    put = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "put"})
    request = urllib.request.Request(put, b"sent", {"Content-Type": ""}, method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    assert door.client("s3").get_object(Bucket=bucket, Key="put")["Body"].read() == b"sent"


def test_a_bucket_may_be_named_like_a_path_of_lambda(door: OndolProcess) -> None:
    s3 = door.client("s3")
    s3.create_bucket(Bucket="2015-03-31")
    s3.put_object(Bucket="2015-03-31", Key="functions", Body=b"an object")
    s3.put_object(Bucket="2015-03-31", Key="functions/f/invocations", Body=b"another")
    assert s3.get_object(Bucket="2015-03-31", Key="functions")["Body"].read() == b"an object"
    assert s3.get_object(Bucket="2015-03-31", Key="functions/f/invocations")["Body"].read() == b"another"
    assert "Functions" in door.client().list_functions()


def test_queues_tables_and_topics(door: OndolProcess) -> None:
    sqs = door.client("sqs")
    url = sqs.create_queue(QueueName="queue")["QueueUrl"]
    # The server learned the name by which its client knows it.
    assert url.startswith(door.endpoint)
    sqs.send_message(QueueUrl=url, MessageBody="hello")
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "hello"

    dynamodb = door.client("dynamodb")
    dynamodb.create_table(
        TableName="table",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    item = {"id": {"S": "1"}, "n": {"N": "5"}}
    dynamodb.put_item(TableName="table", Item=item)
    assert dynamodb.get_item(TableName="table", Key={"id": {"S": "1"}})["Item"] == item

    topic = door.client("sns").create_topic(Name="topic")["TopicArn"]
    assert topic == "arn:aws:sns:us-east-1:000000000000:topic"
    assert door.client("ec2").describe_vpcs()["Vpcs"]
    assert "Metrics" in door.client("cloudwatch").list_metrics()


def test_the_aws_cli_finds_every_service_at_one_address(door: OndolProcess, bucket: str, tmp_path: Path) -> None:
    if not AWS.exists():
        pytest.fail("the AWS CLI is not set up: run .venv/bin/python tests/prepare.py")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    own = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "HOME": str(tmp_path),
    }

    def aws(command: str) -> str:
        # As wrappers of the CLI for local servers call it.
        named = [AWS, f"--endpoint-url={door.endpoint.replace('127.0.0.1', 'localhost')}", *command.split()]
        return subprocess.run(named, check=True, capture_output=True, text=True, env=inherited | own).stdout

    (tmp_path / "file").write_bytes(os.urandom(12 * MEBIBYTE))
    aws(f"s3 cp {tmp_path}/file s3://{bucket}/from/cli --no-progress")
    aws(f"s3 cp s3://{bucket}/from/cli {tmp_path}/back --no-progress")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()
    assert json.loads(aws("sts get-caller-identity"))["Account"] == "000000000000"
    assert "Functions" in json.loads(aws("lambda list-functions"))
    assert json.loads(aws("sqs create-queue --queue-name cli"))["QueueUrl"].endswith("/cli")


def test_errors_of_the_server_are_its_own(door: OndolProcess, bucket: str) -> None:
    for call, code in (
        (lambda: door.client("s3").get_object(Bucket=bucket, Key="none"), "NoSuchKey"),
        (lambda: door.client("s3").head_object(Bucket=bucket, Key="none"), "404"),
        (lambda: door.client("dynamodb").describe_table(TableName="none"), "ResourceNotFoundException"),
    ):
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == code


def test_the_operations_of_the_logs_that_ondol_has_stay_its_own(door: OndolProcess, name: str) -> None:
    create(door.client(), name, "def h(event, context): print('said')")
    door.client().invoke(FunctionName=name)
    logs = door.client("logs")
    logs.create_log_group(logGroupName=f"/aws/other/{name}")
    groups = {group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]}
    assert f"/aws/lambda/{name}" in groups
    assert f"/aws/other/{name}" not in groups


def test_who_am_i_is_answered_by_ondol_and_roles_by_the_server(door: OndolProcess) -> None:
    identity = door.client("sts", account="111122223333").get_caller_identity()
    assert identity["Account"] == identity["UserId"] == "111122223333"
    assert identity["Arn"] == "arn:aws:iam::111122223333:root"
    role = "arn:aws:iam::000000000000:role/reader"
    assumed = door.client("sts").assume_role(RoleArn=role, RoleSessionName="session")
    assert assumed["AssumedRoleUser"]["Arn"] == "arn:aws:sts::000000000000:assumed-role/reader/session"


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}, {"Host": "evil.example"}],
)
@pytest.mark.parametrize("service", ["s3", "sts", "sqs"])
def test_a_web_page_reaches_no_service(door: OndolProcess, service: str, headers: dict[str, str]) -> None:
    query = "/?X-Amz-Credential=test%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Signature=0"
    assert ask(door, service, **headers)[0] == 403
    assert ask(door, service, query, **headers)[0] == 403


def test_a_link_that_ondol_would_answer_itself_is_verified(door: OndolProcess) -> None:
    for service in ("lambda", "logs", "sts"):
        credential = f"X-Amz-Credential=test%2F20260101%2Fus-east-1%2F{service}%2Faws4_request"
        query = f"/?Action=GetCallerIdentity&X-Amz-Algorithm=AWS4-HMAC-SHA256&{credential}&X-Amz-Date=20260101T000000Z"
        status, _ = ask(door, service, f"{query}&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=0")
        assert status == 403


def test_unsigned_requests_are_refused(door: OndolProcess, bucket: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{door.endpoint}/{bucket}/large", timeout=10)
    with refused.value as answer:
        assert answer.code == 403
        assert answer.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"


@pytest.mark.parametrize("end", [OndolProcess.stop, OndolProcess.kill], ids=["stop", "kill"])
def test_moto_ends_with_ondol(tmp_path: Path, end: Callable[[OndolProcess], object]) -> None:
    ondol = OndolProcess(tmp_path / "data", {"WITH": "moto"}).start()
    moto = companion_of(process_of(ondol))
    status = Path(f"/proc/{moto}/status").read_text()
    assert all(f"{fact}\n" in status for fact in ("CapEff:\t0000000000000000", "NoNewPrivs:\t1"))
    watched = os.pidfd_open(moto)
    try:
        end(ondol)
        assert select.select([watched], [], [], 20)[0], "moto is still there"
    finally:
        os.close(watched)
    assert (tmp_path / "data" / "moto.log").exists()


def up_with_moto(directory: Path, customization: str) -> subprocess.CompletedProcess[str]:
    """Run ondol to its end in an environment that this code has changed."""
    (directory / "sitecustomize.py").write_text(customization)
    return subprocess.run(
        [sys.executable, ONDOL, "up", "--with", "moto", "--port", "0", "--data-dir", directory / "data"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(directory)},
    )


def test_without_moto_one_sentence_says_how_to_install_it(tmp_path: Path) -> None:
    hide = "import importlib.util as u\nfind = u.find_spec\n"
    hide += "u.find_spec = lambda name, *rest: None if name == 'moto' else find(name, *rest)\n"
    ended = up_with_moto(tmp_path, hide)
    assert ended.returncode == 1
    assert "pip install 'ondol[moto]'" in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


def test_a_moto_that_does_not_start_ends_ondol_with_one_sentence(tmp_path: Path) -> None:
    ended = up_with_moto(tmp_path, "import sys\nsys.modules['moto.server'] = None\n")
    assert ended.returncode == 1
    assert "moto did not start" in ended.stderr and "moto.log" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "ModuleNotFoundError" in (tmp_path / "data" / "moto.log").read_text()
    assert not wait_until_gone(tmp_path / "data", set())


# Without, and with servers that fail


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("sqs", lambda client: client.list_queues()),
        ("s3", lambda client: client.list_buckets()),
        ("sns", lambda client: client.list_topics()),
        ("ec2", lambda client: client.describe_vpcs()),
        ("dynamodb", lambda client: client.list_tables()),
        ("route53", lambda client: client.list_hosted_zones()),
        ("apigateway", lambda client: client.get_rest_apis()),
        ("monitoring", lambda client: client.list_metrics()),
        ("states", lambda client: client.list_state_machines()),
        ("sts", lambda client: client.get_session_token()),
        ("logs", lambda client: client.create_log_group(logGroupName="group")),
    ],
)
def test_a_service_without_a_server_names_the_missing_line(
    ondol: OndolProcess, service: str, call: Callable[[Any], Any]
) -> None:
    sdk = {"monitoring": "cloudwatch", "states": "stepfunctions"}.get(service, service)
    with pytest.raises(ClientError) as refused:
        call(ondol.client(sdk))
    response = refused.value.response
    assert response["Error"]["Code"] == "NoEndpointForService"
    assert f'{service} = "http://' in response["Error"]["Message"]
    assert "--with moto" in response["Error"]["Message"]
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_who_am_i_needs_no_server(ondol: OndolProcess) -> None:
    assert ondol.client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"


def test_a_server_that_is_gone_or_mute_is_an_error_of_its_service(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        gone = closed.getsockname()[1]
    settings = {"ENDPOINTS_S3": f"http://127.0.0.1:{gone}", "ENDPOINTS_DEFAULT": f"http://localhost:{gone}"}
    with OndolProcess(tmp_path / "data", settings) as ondol:
        for service, call in (
            ("s3", lambda client: client.put_object(Bucket="bucket", Key="key", Body=b"content")),
            ("sqs", lambda client: client.list_queues()),
        ):
            with pytest.raises(ClientError) as refused:
                call(ondol.client(service))
            assert refused.value.response["Error"]["Code"] == "EndpointUnavailable"
            assert str(gone) in refused.value.response["Error"]["Message"]
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 502
        connection = http.client.HTTPConnection(urlsplit(ondol.endpoint).netloc, timeout=10)
        for _ in range(2):
            connection.request("GET", "/bucket/key", headers={"Authorization": SIGNED.format("s3")})
            answer = connection.getresponse()
            assert (answer.status, b"EndpointUnavailable" in answer.read()) == (502, True)
        connection.request("GET", "/_ondol/status", headers={"Authorization": SIGNED.format("lambda")})
        assert "version" in json.loads(connection.getresponse().read())
        connection.close()
