"""Libraries that people put into their functions, as they are published, in a layer: they notice no difference."""

import base64
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lambda_calls import invoke

from ondol.cli.samples import sample
from ondol_process import OndolProcess, create

PACKAGES = Path(__file__).parents[2] / ".venvs" / "third_party"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    """An ondol with a moto server beside it."""
    with OndolProcess(tmp_path_factory.mktemp("door") / "data", {"WITH": "moto"}) as process:
        yield process


@pytest.fixture(scope="module")
def layer(door: OndolProcess) -> str:
    """The ARN of a layer with all of the libraries."""
    if not PACKAGES.exists():
        pytest.fail("the libraries are not set up: run .venv/bin/python tests/prepare.py")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in PACKAGES.rglob("*"):
            if path.is_file():
                archive.write(path, Path("python", path.relative_to(PACKAGES)))
    published = door.client().publish_layer_version(LayerName="libraries", Content={"ZipFile": content.getvalue()})
    arn: str = published["LayerVersionArn"]
    return arn


class Deployed:
    """A function of the test's own."""

    def __init__(self, door: OndolProcess, name: str, layer: str, code: str, **settings: Any) -> None:
        self.client = door.client()
        self.name = name
        create(self.client, name, code, Layers=[layer], MemorySize=1769, Timeout=30, **settings)

    def call(self, event: Any) -> tuple[Any, list[str]]:
        """Its result, and the lines that it logged."""
        told, result = invoke(self.client, self.name, event, LogType="Tail")
        assert "FunctionError" not in told, result
        return result, own_lines(told)


def own_lines(told: dict[str, Any]) -> list[str]:
    """What the function itself has logged, by the tail that came with an answer."""
    lines = base64.b64decode(told["LogResult"]).decode().splitlines()
    return [line for line in lines if line and not line.startswith(("START ", "END ", "REPORT ", '{"time":'))]


# Powertools

LOGGING = """
from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging import correlation_paths
logger = Logger(service="rooms")

@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
def h(event, context):
    logger.append_keys(room=7)
    logger.info("warm", extra={"celsius": 21.5})
    logger.debug("not told")
    try:
        1 / 0
    except ZeroDivisionError:
        logger.exception("failed")
"""


@pytest.mark.parametrize("log_format", ["Text", "JSON"])
def test_its_logger(door: OndolProcess, name: str, layer: str, log_format: str) -> None:
    function = Deployed(door, name, layer, LOGGING, LoggingConfig={"LogFormat": log_format})
    event = sample("api-gateway-v2")
    for first in (True, False):
        told, _ = invoke(function.client, name, event, LogType="Tail")
        informed, failed = map(json.loads, own_lines(told))
        assert (informed["level"], informed["message"], informed["service"]) == ("INFO", "warm", "rooms")
        assert (informed["room"], informed["celsius"], informed["cold_start"]) == (7, 21.5, first)
        assert informed["correlation_id"] == event["requestContext"]["requestId"]
        assert informed["function_request_id"] == told["ResponseMetadata"]["RequestId"]
        assert informed["function_arn"].endswith(f":function:{name}")
        assert (informed["function_name"], informed["function_memory_size"]) == (name, "1769")
        assert re.fullmatch(r"1-[0-9a-f]{8}-[0-9a-f]{24}", informed["xray_trace_id"])
        assert (failed["level"], failed["exception_name"]) == ("ERROR", "ZeroDivisionError")
        assert 'File "/var/task/m.py", line 12, in h' in failed["exception"]


BATCH = """
import json
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
processor = BatchProcessor(event_type=EventType.SQS)

def heat(record):
    print("heated", json.loads(record.body)["room"])

def h(event, context):
    return process_partial_response(event=event, record_handler=heat, processor=processor, context=context)
"""


def test_its_batches(door: OndolProcess, name: str, layer: str) -> None:
    function = Deployed(door, name, layer, BATCH)
    [record] = sample("sqs")["Records"]
    bodies = {"a": '{"room": 1}', "b": "no JSON", "c": '{"room": 3}', "d": "{}"}
    records = [{**record, "messageId": id, "body": body} for id, body in bodies.items()]
    result, lines = function.call({"Records": records})
    assert result == {"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "d"}]}
    assert lines == ["heated 1", "heated 3"]
    assert function.call({"Records": [records[0]]})[0] == {"batchItemFailures": []}
    told, error = invoke(function.client, name, {"Records": [records[1]]})
    assert (told["FunctionError"], error["errorType"]) == ("Unhandled", "BatchProcessingError")


IDEMPOTENT = """
import uuid
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent
config = IdempotencyConfig(event_key_jmespath="order", expires_after_seconds=3600)

@idempotent(config=config, persistence_store=DynamoDBPersistenceLayer(table_name="idempotency"))
def h(event, context):
    if event.get("fail"):
        raise ValueError("once")
    print("ran")
    return {"paid": event["order"], "receipt": str(uuid.uuid4())}
"""


def test_its_idempotency_in_a_table(door: OndolProcess, name: str, layer: str) -> None:
    table = door.client("dynamodb")
    table.create_table(
        TableName="idempotency",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    function = Deployed(door, name, layer, IDEMPOTENT)
    first, lines = function.call({"order": 1, "try": 1})
    assert (first["paid"], lines) == (1, ["ran"])
    assert function.call({"order": 1, "try": 2}) == (first, [])
    other, lines = function.call({"order": 2})
    assert (other["paid"], lines) == (2, ["ran"])
    assert other["receipt"] != first["receipt"]
    # What failed may be tried again.
    assert invoke(function.client, name, {"order": 3, "fail": True})[1]["errorType"] == "ValueError"
    assert function.call({"order": 3})[1] == ["ran"]
    kept = table.scan(TableName="idempotency")["Items"]
    assert [item["status"]["S"] for item in kept] == ["COMPLETED"] * 3
    assert {json.loads(item["data"]["S"])["paid"] for item in kept} == {1, 2, 3}
    assert all(item["id"]["S"].startswith(f"{name}.") for item in kept)


OBSERVED = """
from aws_lambda_powertools import Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
metrics = Metrics(namespace="ondol", service="rooms")
tracer = Tracer(service="rooms")

@tracer.capture_method
def measure(room):
    tracer.put_annotation(key="room", value=room)
    tracer.put_metadata(key="celsius", value=21.5)
    if room == 13:
        raise LookupError("no such room")
    return 21.5

@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def h(event, context):
    metrics.add_metric(name="Heated", unit=MetricUnit.Count, value=1)
    metrics.add_dimension(name="floor", value="ground")
    return measure(event)
"""


def test_its_tracer_and_metrics(door: OndolProcess, name: str, layer: str) -> None:
    function = Deployed(door, name, layer, OBSERVED, TracingConfig={"Mode": "Active"})
    result, lines = function.call(7)
    cold, heated = map(json.loads, lines)
    assert (result, cold["ColdStart"], cold["function_name"]) == (21.5, [1.0], name)
    assert (heated["Heated"], heated["floor"], heated["service"]) == ([1.0], "ground", "rooms")
    [described] = heated["_aws"]["CloudWatchMetrics"]
    assert (described["Namespace"], described["Metrics"]) == ("ondol", [{"Name": "Heated", "Unit": "Count"}])
    assert len(function.call(7)[1]) == 1
    told, error = invoke(function.client, name, 13, LogType="Tail")
    assert (error["errorType"], error["errorMessage"]) == ("LookupError", "no such room")
    assert not [line for line in own_lines(told) if "Daemon" in line]


# FastAPI behind Mangum

WEB = """
from fastapi import FastAPI, Request, Response
from mangum import Mangum
from pydantic import BaseModel

app = FastAPI()

class Target(BaseModel):
    target: float

@app.post("/rooms/{room}")
def heat(room: int, wanted: Target, request: Request, unit: str = "kelvin"):
    theme = request.cookies.get("theme")
    return {"room": room, "target": wanted.target, "unit": unit, "theme": theme, "client": request.client.host}

@app.get("/rooms/{room}/floor")
async def floor(room: int):
    return Response(bytes(range(256)), media_type="image/png", headers={"X-Room": str(room)})

@app.put("/echo")
async def echo(request: Request):
    return {"bytes": list(await request.body()), "request": request.scope["aws.context"].aws_request_id}

@app.get("/broken")
def broken():
    return 1 / 0

h = Mangum(app)
"""


@pytest.fixture(scope="module")
def web(door: OndolProcess, layer: str) -> Deployed:
    return Deployed(door, "web", layer, WEB)


def request_of(version: str, method: str, path: str) -> Any:
    """A sample event made into a request without a body."""
    event = sample(f"api-gateway-{version}")
    event["body"] = None
    if version == "v2":
        event["requestContext"]["http"] |= {"method": method, "path": path}
        return event | {"rawPath": path, "routeKey": "$default"}
    event["requestContext"] |= {"httpMethod": method, "path": path}
    return event | {"httpMethod": method, "path": path}


@pytest.mark.parametrize(("version", "theme"), [("v1", None), ("v2", "dark")])
def test_a_request_of_an_api(web: Deployed, version: str, theme: str | None) -> None:
    answer, _ = web.call(sample(f"api-gateway-{version}"))
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, False)
    assert answer["headers"]["content-type"] == "application/json"
    expected = {"room": 7, "target": 21.5, "unit": "celsius", "theme": theme, "client": "192.0.2.10"}
    assert json.loads(answer["body"]) == expected


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_what_an_app_refuses(web: Deployed, version: str) -> None:
    missing, _ = web.call(request_of(version, "GET", "/nowhere"))
    assert (missing["statusCode"], json.loads(missing["body"])) == (404, {"detail": "Not Found"})
    wrong = request_of(version, "POST", "/rooms/attic") | {"body": '{"target": "warm"}'}
    refused, _ = web.call(wrong)
    assert refused["statusCode"] == 422
    problems = json.loads(refused["body"])["detail"]
    assert [problem["loc"] for problem in problems] == [["path", "room"], ["body", "target"]]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_bytes_both_ways(web: Deployed, version: str) -> None:
    answer, _ = web.call(request_of(version, "GET", "/rooms/7/floor"))
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, True)
    assert base64.b64decode(answer["body"]) == bytes(range(256))
    sent = bytes(range(0, 256, 5))
    coded = {"body": base64.b64encode(sent).decode(), "isBase64Encoded": True}
    answer, _ = web.call(request_of(version, "PUT", "/echo") | coded)
    assert bytes(json.loads(answer["body"])["bytes"]) == sent


def test_an_exception_in_an_app(web: Deployed) -> None:
    answer, lines = web.call(request_of("v2", "GET", "/broken"))
    assert (answer["statusCode"], answer["body"]) == (500, "Internal Server Error")
    assert any("ZeroDivisionError" in line for line in lines)


# X-Ray

TRACED = """
import os, time
from aws_xray_sdk.core import patch_all, xray_recorder
patch_all()
import boto3

def h(event, context):
    with xray_recorder.in_subsegment("heating") as heating:
        account = boto3.client("sts").get_caller_identity()["Account"]
        began = time.monotonic()
        for number in range(200):
            with xray_recorder.in_subsegment("step") as step:
                if step is not None:
                    step.put_metadata("text", "x" * 1000)
        taken = time.monotonic() - began
    return {"account": account, "sampled": heating.sampled, "header": os.environ["_X_AMZN_TRACE_ID"], "taken": taken}
"""


@pytest.mark.parametrize("mode", ["Active", "PassThrough"])
def test_x_ray_without_a_daemon(door: OndolProcess, name: str, layer: str, mode: str) -> None:
    function = Deployed(door, name, layer, TRACED, TracingConfig={"Mode": mode})
    headers = set()
    for _ in range(2):
        result, lines = function.call({})
        assert (result["account"], result["sampled"], lines) == ("000000000000", mode == "Active", [])
        assert result["taken"] < 1
        names = [part.partition("=")[0] for part in result["header"].split(";")]
        assert names == (["Root", "Parent", "Sampled"] if mode == "Active" else ["Root"])
        headers.add(result["header"])
    assert len(headers) == 2


def test_a_callers_trace_goes_on_in_the_function(door: OndolProcess, name: str, layer: str) -> None:
    function = Deployed(door, name, layer, TRACED)
    header = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1"
    function.client.meta.events.register(
        "before-call.lambda.Invoke", lambda params, **_: params["headers"].update({"X-Amzn-Trace-Id": header})
    )
    result, lines = function.call({})
    assert (result["header"], result["sampled"], lines) == (header, True, [])


SENDING = """
import os, socket

def h(event, context):
    host, port = os.environ["AWS_XRAY_DAEMON_ADDRESS"].split(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connected:
        connected.connect((host, int(port)))
        return sum(connected.send(b"x" * 10_000) for _ in range(1000))
"""


def test_a_library_that_would_hear_of_a_missing_daemon(door: OndolProcess, name: str, layer: str) -> None:
    assert Deployed(door, name, layer, SENDING).call({})[0] == 10_000_000
