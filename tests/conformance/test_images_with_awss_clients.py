"""AWS's interface clients as the entry points of images, as the developer guide has people build them from any base."""

import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from interface_files import NODES, Named, node, node_client, python, python_client
from lambda_calls import invoke

from oci_images import entry, layer, make, system_layer, write_layout
from ondol_process import ROLE, OndolProcess

pytestmark = pytest.mark.sandbox

PYTHON_FUNCTION = """
import os, sys
calls = 0
def handler(event, context):
    global calls
    calls += 1
    if event == "raise":
        raise ValueError("온돌")
    print("printed")
    return {"event": event, "calls": calls, "client": sys.modules["awslambdaric"].__version__,
            "handler": os.environ["_HANDLER"], "id": context.aws_request_id}
"""
NODE_FUNCTION = """
let calls = 0;
exports.handler = async (event, context) => {
  calls += 1;
  if (event === 'throw') throw new RangeError('온돌');
  return { event, calls, id: context.awsRequestId, handler: process.env._HANDLER };
};
"""


def entries(files: Iterable[Named], above: str) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    for named in files:
        yield entry(f"{above}/{named.name}", mode=0o755 if named.executable else 0o644), named.content


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return system_layer(tmp_path_factory.mktemp("system"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("layouts")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Any]:
    settings = {"CODE_FOLDERS": str(folder), "WORKER_SLOTS_AHEAD": "1"}
    with OndolProcess(tmp_path_factory.mktemp("images-ondol") / "data", settings) as process:
        yield process.client()


def create_image(client: Any, name: str, layout: Path, **settings: Any) -> None:
    client.create_function(
        FunctionName=name,
        PackageType="Image",
        Role=ROLE,
        Code={"ImageUri": f"oci:{layout}"},
        Timeout=20,
        MemorySize=512,
        **settings,
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 1200})


def test_pythons(client: Any, folder: Path, system: bytes, name: str) -> None:
    home = "/usr/local/python"
    execution = {
        "Entrypoint": [f"{home}/bin/python", "-m", "awslambdaric"],
        "Cmd": ["app.handler"],
        "WorkingDir": "/function",
        "Env": [f"PYTHONHOME={home}", f"LD_LIBRARY_PATH={home}/lib", "PATH=/usr/bin:/bin"],
    }
    interpreter = layer(*entries(python(), home.lstrip("/")))
    function = layer(*entries((*python_client(), Named("app.py", PYTHON_FUNCTION.encode())), "function"))
    layout = write_layout(folder / "python", make([system, interpreter, function], execution, compressed=False))
    create_image(client, name, layout)
    for calls, event in enumerate(({"text": "온돌 ü"}, [1, 2.5, None], "x" * 1_000_000), 1):
        told, result = invoke(client, name, event)
        assert "FunctionError" not in told, result
        assert (result["event"], result["calls"], result["handler"]) == (event, calls, "app.handler")
        assert result["id"] == told["ResponseMetadata"]["RequestId"]
    told, error = invoke(client, name, "raise")
    assert (told["FunctionError"], error["errorType"], error["errorMessage"]) == ("Unhandled", "ValueError", "온돌")
    assert error["stackTrace"] == ['  File "/function/app.py", line 8, in handler\n    raise ValueError("온돌")\n']
    client.update_function_configuration(FunctionName=name, ImageConfig={"Command": ["app.missing"]})
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
    told, error = invoke(client, name)
    assert (told["FunctionError"], error["errorType"]) == ("Unhandled", "Runtime.HandlerNotFound")
    assert error["errorMessage"] == "Handler 'missing' missing on module 'app'"


@pytest.mark.skipif(not NODES, reason="this machine has no Node: install it with the system's packages")
def test_nodes(client: Any, folder: Path, system: bytes, name: str) -> None:
    ric = "node_modules/aws-lambda-ric/bin/index.mjs"
    execution = {
        "Entrypoint": ["node", ric],
        "Cmd": ["app.handler"],
        "WorkingDir": "/function",
        "Env": ["PATH=/usr/local/node/bin:/usr/bin:/bin", "LD_LIBRARY_PATH=/usr/local/node/lib"],
    }
    interpreter = layer(*entries(node(), "usr/local/node"))
    function = layer(*entries((*node_client(), Named("app.js", NODE_FUNCTION.encode())), "function"))
    layout = write_layout(folder / "node", make([system, interpreter, function], execution, compressed=False))
    create_image(client, name, layout)
    for calls, event in enumerate(({"text": "온돌 ü"}, "x" * 1_000_000), 1):
        told, result = invoke(client, name, event)
        assert "FunctionError" not in told, result
        assert (result["event"], result["calls"], result["handler"]) == (event, calls, "app.handler")
    told, error = invoke(client, name, "throw")
    assert (told["FunctionError"], error["errorType"], error["errorMessage"]) == ("Unhandled", "RangeError", "온돌")
    assert error["trace"][1] == "    at exports.handler (/function/app.js:5:32)"
