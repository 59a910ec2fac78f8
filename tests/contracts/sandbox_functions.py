"""The functions that the sandbox contract runs: as Python for real sandboxes, and as what they do for simulated ones.

A function is chosen by its handler, `<name>.handler`; every package of the suite holds them all.
"""

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from ondol.sandbox.driver import Exit, StartSpec
from ondol.sandbox.jail.unpack import Unpacker
from ondol.sandbox.limits import UnpackLimits
from ondol.sandbox.simulated import Companion
from ondol.sandbox.simulated_process import Answer, Die, Hang, Phase, Raise

LARGE = 7_000_000
LINES = 5_000
NUMBERED_LINES = b"".join(b"line %d\n" % number for number in range(LINES))

SOURCES = {
    "echo": """
def handler(event, context):
    print("heard", event)
    return event
""",
    "counter": """
count = 0
def handler(event, context):
    global count
    count += 1
    return count
""",
    "slow": """
import time
def handler(event, context):
    for _ in range(50):
        time.sleep(0.005)
    return "done"
""",
    "busy": """
import time
kept = []
def handler(event, context):
    kept.append(b"x" * 30_000_000)
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
""",
    "large": f"""
def handler(event, context):
    return "x" * {LARGE}
""",
    "raises": """
def handler(event, context):
    raise ValueError("no good")
""",
    "exits": """
import sys
def handler(event, context):
    sys.exit(3)
""",
    "talks_and_exits": f"""
import os
def handler(event, context):
    for number in range({LINES}):
        print("line", number)
    os._exit(0)
""",
    "crashes": """
import os, signal
def handler(event, context):
    os.kill(os.getpid(), signal.SIGSEGV)
""",
    "devours": """
def handler(event, context):
    kept = []
    while True:
        kept.append(bytearray(b"x" * 10_000_000))
""",
    "hangs": """
import time
def handler(event, context):
    print("hanging")
    time.sleep(1000)
""",
    "broken": """
raise RuntimeError("no init")
""",
    "surroundings": """
import os
def handler(event, context):
    return {"variables": dict(os.environ), "layer": open("/opt/from-layer").read(), "here": os.getcwd()}
""",
}

LAYER = {"from-layer": "warm"}


def package(files: dict[str, str]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return written.getvalue()


FUNCTIONS = package({f"{name}.py": source for name, source in SOURCES.items()})


def inspect(archive: Path, limits: UnpackLimits) -> None:
    """What a simulated sandbox does with an archive: unpack it for nothing but the verdict."""
    with TemporaryDirectory() as directory, Path(archive).open("rb") as file:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            Unpacker(descriptor, limits).unpack(file)
        finally:
            os.close(descriptor)


class Scripted:
    """A function of the suite, simulated."""

    def __init__(self, spec: StartSpec) -> None:
        self._spec = spec
        self._name = spec.environment["_HANDLER"].partition(".")[0]
        self._calls = 0

    def init(self) -> Phase:
        if self._name == "broken":
            return Phase(Raise("RuntimeError", "no init"), duration_s=0.01, output=b"[ERROR] RuntimeError: no init\n")
        return Phase(duration_s=0.01, memory_bytes=10_000_000, cpu_time_ns=10_000_000)

    def invoke(self, request_id: str, event: bytes) -> Phase:
        self._calls += 1
        surroundings = {"variables": dict(self._spec.environment), "layer": LAYER["from-layer"], "here": "/var/task"}
        acts: dict[str, Callable[[], Phase]] = {
            "echo": lambda: Phase(Answer(event), output=f"heard {msgspec.json.decode(event)}\n".encode()),
            "counter": lambda: Phase(Answer(b"%d" % self._calls)),
            "slow": lambda: Phase(Answer(b'"done"'), duration_s=0.25),
            "busy": lambda: Phase(duration_s=0.05, memory_bytes=self._calls * 30_000_000, cpu_time_ns=50_000_000),
            "large": lambda: Phase(Answer(b'"' + b"x" * LARGE + b'"')),
            "raises": lambda: Phase(Raise("ValueError", "no good")),
            "exits": lambda: Phase(Die(Exit(code=3))),
            "talks_and_exits": lambda: Phase(Die(Exit(code=0)), output=NUMBERED_LINES),
            "crashes": lambda: Phase(Die(Exit(signal=11))),
            "devours": lambda: Phase(Die(Exit(signal=9, out_of_memory=True)), duration_s=0.1),
            "hangs": lambda: Phase(Hang(), output=b"hanging\n"),
            "surroundings": lambda: Phase(Answer(json.dumps(surroundings).encode())),
        }
        return acts[self._name]()


_ASK = """#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2020-01-01/extension"
own="${0##*/}"
register() {
  id=$(curl -sS -D - -o /dev/null -H "Lambda-Extension-Name: $own" -d '{"events": ["INVOKE", "SHUTDOWN"]}' \\
    "$api/register" | tr -d '\\r' | sed -n 's/^Lambda-Extension-Identifier: //p')
}
next() { event=$(curl -sS -H "Lambda-Extension-Identifier: $id" "$api/event/next"); }
"""

EXTENSIONS = {
    "listens": _ASK
    + """
register
while next; do
  case "$event" in
    *SHUTDOWN*) echo "$own: over"; exit 0 ;;
    *) echo "$own: called" ;;
  esac
done
""",
    "stays": _ASK
    + """
register
next
echo "$own: not yet"
exec sleep 60
""",
    "crashes": _ASK + "register\necho crashing\nexit 3\n",
    "killed": _ASK + "register\nkill -KILL $$\n",
}

_OVER = Phase(Die(Exit(code=0)), output=b"listens: over\n")

COMPANIONS = {
    "listens": Companion("listens", invoke=Phase(output=b"listens: called\n"), shutdown=_OVER),
    "stays": Companion("stays", shutdown=Phase(Hang(), output=b"stays: not yet\n")),
    "crashes": Companion("crashes", idle=Phase(Die(Exit(code=3)), output=b"crashing\n")),
    "killed": Companion("killed", idle=Phase(Die(Exit(signal=9)))),
}
"""The same, simulated."""


def extended(*names: str) -> bytes:
    """A layer that brings these extensions."""
    return executables({f"extensions/{name}": EXTENSIONS[name] for name in names})


def executables(files: dict[str, str], mode: int = 0o755) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, text)
    return written.getvalue()


def companions(spec: StartSpec) -> list[Companion]:
    """A simulated function has the extensions that one of its variables names."""
    return [COMPANIONS[name] for name in spec.environment.get("EXTENSIONS", "").split()]
