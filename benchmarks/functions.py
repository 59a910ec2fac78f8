"""The functions that are measured, and how they come into a platform."""

import base64
import io
import json
import sys
import time
import zipfile
from collections.abc import Mapping, Sequence

from client import Caller, exchange, in_parallel
from harness import BenchmarkError

RUNTIME = f"python3.{sys.version_info.minor}"
"""The interpreter that runs the peers too."""

ECHO = """
def handler(event, context):
    return event
"""

WHO = """
import time, uuid

environment = uuid.uuid4().hex
calls = 0

def handler(event, context):
    global calls
    calls += 1
    time.sleep(event.get("sleep_s", 0))
    return {"environment": environment, "calls": calls}
"""
"""Says in which environment it runs, and how often it has run there; holds the environment for as long as asked."""

FULL_MB = 1769
CREATED = "/2015-03-31/functions"


NODE_ECHO = """
exports.handler = async (event) => event;
"""


def package(source: str, runtime: str = RUNTIME, files: Mapping[str, bytes] | None = None) -> bytes:
    """The source as a deployment package, with these files beside it."""
    return zipped({"function.js" if runtime.startswith("nodejs") else "function.py": source.encode(), **(files or {})})


def zipped(files: Mapping[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return held.getvalue()


def creation(
    name: str, content: bytes, memory_mb: int = FULL_MB, runtime: str = RUNTIME, layers: Sequence[str] = ()
) -> bytes:
    """The body of a CreateFunction request."""
    return json.dumps(
        {
            "FunctionName": name,
            "Runtime": runtime,
            "Role": "arn:aws:iam::000000000000:role/benchmark",
            "Handler": "function.handler",
            "MemorySize": memory_mb,
            "Timeout": 60,
            "Code": {"ZipFile": base64.b64encode(content).decode()},
            "Layers": list(layers),
        }
    ).encode()


def create(port: int, name: str, source: str = ECHO, memory_mb: int = FULL_MB, runtime: str = RUNTIME) -> None:
    """Create a function and wait until it is active."""
    with Caller(port) as caller:
        caller.request("POST", CREATED, creation(name, package(source, runtime), memory_mb, runtime))
        await_active(caller, name)


async def create_many(port: int, names: list[str], source: str, memory_mb: int, *, own_code: bool = False) -> None:
    """Create functions, eight at a time, and wait until all are active. Each may have code of its own."""

    async def one(name: str) -> None:
        code = f"{source}\n# {name}\n" if own_code else source
        await exchange(port, "POST", CREATED, creation(name, package(code), memory_mb))

    await in_parallel(one, names, 8)
    with Caller(port) as caller:
        for name in names:
            await_active(caller, name)


def await_active(caller: Caller, name: str, limit_s: float = 30.0) -> None:
    """Raises `BenchmarkError` if the function cannot be made, or not in time."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        shown = json.loads(caller.request("GET", f"{CREATED}/{name}/configuration"))
        if shown.get("State", "Active") == "Active":
            return
        if shown["State"] == "Failed":
            raise BenchmarkError(f"function {name} could not be made: {shown.get('StateReason')}")
        time.sleep(0.01)
    raise BenchmarkError(f"function {name} is not active after {limit_s:g} s")
