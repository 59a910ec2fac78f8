"""Packages that requests name in S3: for functions, updates and layers, and what is said when they cannot be had."""

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from lambda_calls import invalid, invoke, refusal

from ondol_process import ROLE, RUNTIME, OndolProcess, create, package

BUCKET = "packages"


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    """An ondol with a moto server beside it."""
    with OndolProcess(tmp_path_factory.mktemp("s3") / "data", {"WITH": "moto"}) as process:
        yield process


@pytest.fixture(scope="module")
def s3(moto: OndolProcess) -> Any:
    """A client of S3, through ondol's port, with a bucket."""
    client = moto.client("s3")
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return client


@pytest.fixture(scope="module")
def client(moto: OndolProcess) -> Any:
    return moto.client()


def put(s3: Any, key: str, answer: str) -> str:
    """The version under which a package is stored whose function answers so."""
    content = package({"m.py": f"def h(event, context): return {answer!r}"})
    version: str = s3.put_object(Bucket=BUCKET, Key=key, Body=content)["VersionId"]
    return version


def make(client: Any, name: str, code: dict[str, Any]) -> Any:
    return client.create_function(FunctionName=name, Runtime=RUNTIME, Role=ROLE, Handler="m.h", Code=code)


def test_a_function_is_created_and_updated_from_a_bucket(s3: Any, client: Any, name: str) -> None:
    first = put(s3, "a/key with spaces.zip", "first")
    put(s3, "a/key with spaces.zip", "second")
    named = {"S3Bucket": BUCKET, "S3Key": "a/key with spaces.zip"}
    created = make(client, name, named)
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
    assert invoke(client, name)[1] == "second"
    updated = client.update_function_code(FunctionName=name, **named, S3ObjectVersion=first)
    assert updated["CodeSha256"] != created["CodeSha256"]
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
    assert invoke(client, name)[1] == "first"


def test_a_layer_is_published_from_a_bucket(s3: Any, client: Any, name: str) -> None:
    s3.put_object(Bucket=BUCKET, Key="layer.zip", Body=package({"python/said.py": "said = 'in a layer'"}))
    content = {"S3Bucket": BUCKET, "S3Key": "layer.zip"}
    layer = client.publish_layer_version(LayerName=name, Content=content)["LayerVersionArn"]
    create(client, name, "import said\ndef h(event, context): return said.said", Layers=[layer])
    assert invoke(client, name)[1] == "in a layer"


def test_more_than_can_be_uploaded_is_taken_from_a_bucket(s3: Any, client: Any, name: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("m.py", "def h(event, context): return 'large'")
        archive.writestr("padding", bytes(53_000_000))
    s3.put_object(Bucket=BUCKET, Key="large.zip", Body=buffer.getvalue())
    assert make(client, name, {"S3Bucket": BUCKET, "S3Key": "large.zip"})["CodeSize"] > 53_000_000
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1})
    assert invoke(client, name)[1] == "large"


def test_what_s3_refuses_is_told_in_lambdas_words(s3: Any, client: Any, name: str) -> None:
    opening = "Error occurred while GetObject. S3 Error Code: "
    for code, told in (
        (
            {"S3Bucket": BUCKET, "S3Key": "none"},
            "NoSuchKey. S3 Error Message: The specified key does not exist.",
        ),
        (
            {"S3Bucket": "nobodys", "S3Key": "none"},
            "NoSuchBucket. S3 Error Message: The specified bucket does not exist",
        ),
    ):
        assert refusal(lambda code=code: make(client, name, code)) == invalid(opening + told)
    s3.put_object(Bucket=BUCKET, Key="text", Body=b"no zip")
    not_a_zip = invalid("Could not unzip uploaded file. Please check your file, then try to upload again.")
    assert refusal(lambda: make(client, name, {"S3Bucket": BUCKET, "S3Key": "text"})) == not_a_zip
    half = invalid("Please provide a source for function code.")
    assert refusal(lambda: make(client, name, {"S3Bucket": BUCKET})) == half


def test_a_server_that_is_not_there_is_named(ondol: OndolProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    code = {"S3Bucket": BUCKET, "S3Key": "k"}
    without = ondol.client()
    status, error = refusal(lambda: make(without, "unmade", code))
    assert (status, error["Error"]["Code"]) == (501, "NotImplementedException")
    assert "[endpoints]" in error["Error"]["Message"]
    with OndolProcess(tmp_path_factory.mktemp("gone") / "data", {"ENDPOINTS_S3": "http://127.0.0.1:9"}) as process:
        status, error = refusal(lambda: make(process.client(), "unmade", code))
    assert status == 400 and "http://127.0.0.1:9" in error["Error"]["Message"]
