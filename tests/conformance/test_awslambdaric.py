"""AWS's own Python interface client, as it is published, in ondol's sandboxes.

It is started by a wrapper in a Python function, and by the bootstrap of a custom runtime; there the package brings an
interpreter too, because a `provided` root has none. The client is the one of the peers' environment.
"""

import base64
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lambda_calls import invoke

from ondol_process import ROLE, RUNTIME

pytestmark = pytest.mark.sandbox

PYTHON = Path(__file__).resolve().parents[2] / ".venvs" / "peers" / "bin" / "python"
CLIENT = ("awslambdaric", "simplejson", "snapshot_restore_py", "runtime_client")
UNUSED = {
    "__pycache__",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "test",
    "tkinter",
    "turtledemo",
}

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
def packages() -> Path:
    if not PYTHON.exists():
        pytest.fail("the peers are not set up: run .venv/bin/python tests/prepare.py")
    command = [PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"]
    return Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


@pytest.fixture(scope="module")
def wrapped(packages: Path) -> bytes:
    with Package() as package:
        package.add_client(packages)
        package.add("wrapper", WRAPPER.encode(), executable=True)
    return package.content


@pytest.fixture(scope="module")
def provided(packages: Path) -> bytes:
    with Package() as package:
        package.add_client(packages)
        package.add_interpreter()
        package.add("bootstrap", BOOTSTRAP.encode(), executable=True)
    return package.content


class Package:
    """A deployment package in the making."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._archive = zipfile.ZipFile(self._buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1)

    def __enter__(self) -> "Package":
        self.add("m.py", FUNCTION.encode())
        return self

    def __exit__(self, *raised: object) -> None:
        self._archive.close()

    @property
    def content(self) -> bytes:
        return self._buffer.getvalue()

    def add(self, name: str, content: bytes, executable: bool = False) -> None:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = (0o755 if executable else 0o644) << 16
        self._archive.writestr(entry, content, zipfile.ZIP_DEFLATED)

    def add_client(self, packages: Path) -> None:
        for found in packages.iterdir():
            if found.name.partition(".")[0] in CLIENT:
                self._add_tree(found, found.name)

    def add_interpreter(self) -> None:
        """The one that runs the tests, with its standard library and the shared library of it, if it has one."""
        binary = Path(sys.executable).resolve()
        self.add("python/bin/python", binary.read_bytes(), executable=True)
        needed = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
        for found in re.findall(r"(\S*/libpython\S+) \(0x", needed):
            self.add(f"python/lib/{Path(found).name}", Path(found).read_bytes())
        version = f"python3.{sys.version_info.minor}"
        self._add_tree(Path(sys.base_prefix, "lib", version), f"python/lib/{version}")

    def _add_tree(self, source: Path, name: str) -> None:
        for file in _files(source):
            self.add(name if file == source else f"{name}/{file.relative_to(source)}", file.read_bytes())


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
    elif source.is_dir() and source.name not in UNUSED and not source.name.startswith("config-"):
        for inner in sorted(source.iterdir()):
            yield from _files(inner)


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
