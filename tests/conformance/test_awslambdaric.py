"""AWS's own Python interface client, as it is published, in ondol's sandboxes.

It is started by a wrapper in a Python function, and by the bootstrap of a custom runtime; there the package brings an
interpreter too, because a `provided` root has none. The client is the one of the peers' environment.
"""

import base64
import io
import json
import re
import zipfile
from collections.abc import Iterable
from typing import Any

import pytest
from interface_files import Named, python, python_client
from lambda_calls import invoke

from ondol_process import ROLE, RUNTIME

pytestmark = pytest.mark.sandbox

WRAPPER = '#!/bin/bash\nexec "$1" -m awslambdaric "$_HANDLER"\n'
BOOTSTRAP = """#!/bin/bash
export PYTHONHOME=/var/task/python LD_LIBRARY_PATH=/var/task/python/lib:$LD_LIBRARY_PATH
exec /var/task/python/bin/python -m awslambdaric "$_HANDLER"
"""
FUNCTION = """
import logging, sys
if "early" in __import__("os").environ:
    raise ValueError("early")
logging.getLogger().setLevel("INFO")
calls = 0
class Odd(Exception):
    pass
def h(event, context):
    global calls
    calls += 1
    if event == "raise":
        raise Odd("온돌")
    if event == "raise at length":
        raise Odd("x" * 200_000)
    if event == "large":
        return "x" * (7 << 20)
    if event == "log":
        print("printed")
        logging.info("logged")
    if event == "context":
        client = context.client_context.custom if context.client_context else None
        return {
            "id": context.aws_request_id, "arn": context.invoked_function_arn, "name": context.function_name,
            "version": context.function_version, "memory": context.memory_limit_in_mb, "group": context.log_group_name,
            "left": context.get_remaining_time_in_millis(), "client": client,
        }
    return {"event": event, "calls": calls, "client": sys.modules["awslambdaric"].__version__}
"""


@pytest.fixture(scope="module")
def wrapped() -> bytes:
    return packaged([*python_client(), Named("wrapper", WRAPPER.encode(), executable=True)])


@pytest.fixture(scope="module")
def provided() -> bytes:
    interpreter = (named._replace(name=f"python/{named.name}") for named in python())
    return packaged([*python_client(), *interpreter, Named("bootstrap", BOOTSTRAP.encode(), executable=True)])


def packaged(files: Iterable[Named]) -> bytes:
    """A deployment package with the function."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for named in (Named("m.py", FUNCTION.encode()), *files):
            entry = zipfile.ZipInfo(named.name)
            entry.external_attr = (0o755 if named.executable else 0o644) << 16
            archive.writestr(entry, named.content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


@pytest.fixture(params=["wrapper", "bootstrap"])
def function(request: pytest.FixtureRequest, client: Any, name: str) -> Any:
    """Makes a function that AWS's client serves, its name the test's own; answers it."""
    kind, settings = request.param, {}
    if kind == "wrapper":
        settings = {"Runtime": RUNTIME, "Code": {"ZipFile": request.getfixturevalue("wrapped")}}
    else:
        settings = {"Runtime": "provided.al2023", "Code": {"ZipFile": request.getfixturevalue("provided")}}

    def make(**variables: str) -> str:
        wrapper = {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"} if kind == "wrapper" else {}
        environment = {"Variables": {**wrapper, **variables}}
        common = {"Role": ROLE, "Handler": "m.h", "Timeout": 20, "MemorySize": 512, "Environment": environment}
        client.create_function(FunctionName=name, **common, **settings)
        client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400}
        )
        return name

    return make


def tail(told: dict[str, Any]) -> list[str]:
    return base64.b64decode(told["LogResult"]).decode().splitlines()


def test_it_serves_one_invocation_after_another_in_one_environment(client: Any, function: Any) -> None:
    name = function()
    for calls, event in enumerate(({"text": "온돌 ü"}, [1, 2.5, None], "x" * 1_000_000), 1):
        told, result = invoke(client, name, event)
        assert "FunctionError" not in told, result
        assert (result["event"], result["calls"]) == (event, calls)
        assert re.fullmatch(r"\d+\.\d+\.\d+", result["client"])


def test_its_context(client: Any, function: Any) -> None:
    name = function()
    custom = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    told, seen = invoke(client, name, "context", ClientContext=custom)
    assert seen["id"] == told["ResponseMetadata"]["RequestId"]
    assert seen["arn"] == f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    assert (seen["name"], seen["version"], seen["memory"]) == (name, "$LATEST", "512")
    assert (seen["group"], seen["client"]) == (f"/aws/lambda/{name}", {"k": "v"})
    assert 15_000 < seen["left"] <= 20_000


def test_its_errors_and_the_next_invocation(client: Any, function: Any) -> None:
    name = function()
    told, error = invoke(client, name, "raise", LogType="Tail")
    assert told["FunctionError"] == "Unhandled"
    assert (error["errorType"], error["errorMessage"]) == ("Odd", "온돌")
    assert error["requestId"] == told["ResponseMetadata"]["RequestId"]
    assert error["stackTrace"] == ['  File "/var/task/m.py", line 13, in h\n    raise Odd("온돌")\n']
    assert any(line.startswith("[ERROR] Odd: 온돌") for line in tail(told))
    told, result = invoke(client, name, 1)
    assert (result["event"], result["calls"]) == (1, 2)


def test_an_error_whose_cause_is_longer_than_other_headers(client: Any, function: Any) -> None:
    name = function()
    told, error = invoke(client, name, "raise at length")
    assert (told["FunctionError"], error["errorType"]) == ("Unhandled", "Odd")
    assert error["errorMessage"] == "x" * 200_000
    assert invoke(client, name, 1)[1]["calls"] == 2


def test_its_log_lines(client: Any, function: Any) -> None:
    told, _ = invoke(client, function(), "log", LogType="Tail")
    id = told["ResponseMetadata"]["RequestId"]
    start, printed, logged, end, report = tail(told)
    assert (start, printed, end) == (f"START RequestId: {id} Version: $LATEST", "printed", f"END RequestId: {id}")
    assert re.fullmatch(rf"\[INFO\]\t\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z\t{id}\tlogged", logged)
    assert "Init Duration" in report


def test_its_failed_init(client: Any, function: Any) -> None:
    name = function(early="yes")
    for _ in range(2):
        told, error = invoke(client, name)
        assert told["FunctionError"] == "Unhandled"
        assert (error["errorType"], error["errorMessage"], error["requestId"]) == ("ValueError", "early", "")
        assert (
            error["stackTrace"][-1] == '  File "/var/task/m.py", line 4, in <module>\n    raise ValueError("early")\n'
        )


def test_a_result_that_is_too_large_ends_it_and_the_next_invocation_works(client: Any, function: Any) -> None:
    name = function()
    told, error = invoke(client, name, "large")
    assert (told["FunctionError"], error["errorType"]) == ("Unhandled", "Function.ResponseSizeTooLarge")
    assert invoke(client, name, 1)[1]["calls"] == 1
