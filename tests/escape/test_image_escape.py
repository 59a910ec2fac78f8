"""What a hostile image tries: code that powerful processes might load of it, privileges, devices, ways out."""

import json
import ssl
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from oci_images import entry, layer, make, system_layer, write_layout
from ondol_process import ROLE, OndolProcess, create

SPY = """
#include <unistd.h>
__attribute__((constructor)) static void loaded(void) { write(2, "the image's code ran outside\\n", 29); }
"""
OPENSSL_CONFIGURATION = """
openssl_conf = all
[all]
providers = providers
engines = engines
[providers]
spy = spy
[spy]
module = /spy.so
activate = 1
[engines]
spy = engine
[engine]
dynamic_path = /spy.so
"""
BOOTSTRAP = """#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  event=$(curl -sS -D /tmp/headers "$api/invocation/next")
  id=$(grep -i '^lambda-runtime-aws-request-id:' /tmp/headers | tr -d '[:space:]' | cut -d: -f2)
  told=$(bash -c "$(echo "$event" | sed 's/^"//; s/"$//')" 2>&1 | sed 's/"/ /g; s/$/\\\\n/' | tr -d '\\n\\t')
  curl -sS -X POST "$api/invocation/$id/response" -d "\\"$told\\"" > /dev/null
done
"""


def spying_entries(directory: Path) -> list[tuple[tarfile.TarInfo | str, bytes]]:
    """What a process outside would load if it looked for its own files in the image."""
    (directory / "spy.c").write_text(SPY)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", directory / "spy.so", directory / "spy.c"], check=True)
    configured = str(Path(ssl.get_default_verify_paths().openssl_cafile).with_name("openssl.cnf")).lstrip("/")
    source = b'import os\nos.write(2, b"the image\'s code ran outside\\n")\n'
    # Not where the layer has its own tricks: a file behind a link would have the whole image refused.
    taken = ("/dev/", "/opt/", "/proc/", "/tmp/")
    places = [path.lstrip("/") for path in sys.path if Path(path).is_absolute() and not path.startswith(taken)]
    modules = [f"{place}/{name}.py" for place in places for name in ("encodings/idna", "_strptime", "warnings", "_ssl")]
    return [
        (entry("spy.so", mode=0o755), (directory / "spy.so").read_bytes()),
        (configured, OPENSSL_CONFIGURATION.encode()),
        *((module, source) for module in modules),
    ]


class Hostile(NamedTuple):
    """A function that runs scripts, as the image says."""

    process: OndolProcess
    name: str

    def complaints(self) -> str:
        return self.process.complaints()


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    directory = tmp_path_factory.mktemp("hostile")
    tricks = layer(
        (entry("entry", mode=0o755), BOOTSTRAP.encode()),
        (entry("mighty", mode=0o6755), Path("/usr/bin/id").read_bytes()),
        (entry("disk", tarfile.BLKTYPE, 0o666), b""),
        (entry("memory", tarfile.CHRTYPE, 0o666), b""),
        (entry("open", tarfile.DIRTYPE, 0o7777), b""),
        (entry("dev", tarfile.SYMTYPE, target="/etc"), b""),
        (entry("proc", tarfile.SYMTYPE, target="/open"), b""),
        (entry("tmp", tarfile.SYMTYPE, target="/../../../../tmp"), b""),
        (entry("opt", tarfile.SYMTYPE, target="/etc"), b""),
        *spying_entries(directory),
    )
    write_layout(directory / "image", make([system_layer(directory), tricks], {"Entrypoint": ["/entry"]}))
    settings = directory / "ondol.toml"
    settings.write_text(f'[runtimes]\njava21 = "oci:./image"\n[code]\nfolders = ["{directory}"]\n')
    with OndolProcess(directory / "data", {"CONFIG": str(settings)}) as process:
        client = process.client()
        create(client, "runtime", {"f": "1"}, Runtime="java21")
        code = {"ImageUri": f"oci:{directory}/image"}
        client.create_function(FunctionName="function", PackageType="Image", Role=ROLE, Code=code)
        waiting = {"Delay": 0.05, "MaxAttempts": 600}
        client.get_waiter("function_active_v2").wait(FunctionName="function", WaiterConfig=waiting)
        yield process


@pytest.fixture(params=["runtime", "function"])
def hostile(request: pytest.FixtureRequest, process: OndolProcess) -> Hostile:
    """The image as a runtime, and as a function's code."""
    return Hostile(process, request.param)


def run(hostile: Hostile, script: str) -> list[str]:
    """Lines that a script writes inside."""
    client = hostile.process.client()
    told: dict[str, Any] = client.invoke(FunctionName=hostile.name, Payload=json.dumps(script))
    text: str = json.loads(told["Payload"].read())
    return text.splitlines()


def test_nothing_with_power_loads_code_of_the_image(hostile: Hostile) -> None:
    assert run(hostile, "echo well") == ["well"]
    assert "ran outside" not in hostile.complaints()


def test_nobody_gains_power_by_the_image(hostile: Hostile) -> None:
    status = dict(line.split(":", 1) for line in run(hostile, "cat /proc/self/status"))
    assert all(int(status[name].strip(), 16) == 0 for name in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"))
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
    plain, mighty = run(hostile, "id -u; /mighty -u")
    assert plain == mighty
    assert run(hostile, "stat -c %a /mighty /open") == ["755", "1777"]


def test_no_device_of_the_image_is_there(hostile: Hostile) -> None:
    assert run(hostile, "ls -d /disk /memory")[0].startswith("ls: cannot access")
    assert run(hostile, "ls /dev") == ["fd", "full", "null", "random", "stderr", "stdin", "stdout", "urandom", "zero"]


def test_the_image_cannot_be_changed(hostile: Hostile) -> None:
    assert "Read-only file system" in run(hostile, "touch /open/x; cp /entry /open/y")[0]
    assert run(hostile, "echo 1 > /tmp/own && cat /tmp/own && stat -c %F /tmp /proc /dev /opt") == [
        "1",
        *["directory"] * 4,
    ]
