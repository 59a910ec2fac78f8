"""The peers: AWS's runtime interface emulator with AWS's Python client, and a popular emulator of all of AWS.

They live in a virtual environment of their own, made from `requirements/peers.lock`, hashes and all.
"""

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from functions import ECHO
from harness import ROOT, SCRATCH, BenchmarkError, await_port, free_port, process

VENV = ROOT / ".venvs" / "peers"
ENVIRONMENT = ROOT / "requirements" / "environment.py"
PYTHON = VENV / "bin" / "python"

EMULATED = "function"
"""The one name that the emulator knows."""

WRK = ("wrk",)
BUILD = ("autoconf", "automake", "cmake", "g++", "libtool", "make")
"""What builds AWS's client where the registry has no binary of it for this machine."""


def install() -> None:
    """Make sure that all peers are there, and wrk. Raises `BenchmarkError`."""
    if shutil.which("wrk") is None:
        _install_packages(WRK)
    # The lock is whole: with its dependencies pip would ask for extras that the lock leaves out.
    command = [sys.executable, ENVIRONMENT, "peers", "--no-deps"]
    if subprocess.run(command, check=False).returncode:
        _install_packages(BUILD)
        subprocess.run(command, check=True)


def _install_packages(names: tuple[str, ...]) -> None:
    command = f"apt-get install -y --no-install-recommends {' '.join(names)}"
    if os.geteuid() or shutil.which("apt-get") is None:
        raise BenchmarkError(f"The benchmarks need more of the system. Run: sudo {command}")
    subprocess.run(["apt-get", "update", "-q"], check=True, stdout=sys.stderr)
    subprocess.run(command.split(), check=True, stdout=sys.stderr)


@contextlib.contextmanager
def emulator() -> Iterator[int]:
    """AWS's emulator with an echo function, at the port yielded. What it logs is thrown away, to its advantage."""
    architecture = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(VENV)}))
    binary = packages / "samcli" / "local" / "rapid" / f"aws-lambda-rie-{architecture}"
    with tempfile.TemporaryDirectory(dir=_scratch(), prefix="emulator-") as task:
        (Path(task) / "function.py").write_text(ECHO)
        port, api_port = free_port(), free_port()
        command: list[str | Path] = [binary, "--log-level", "error"]
        command += ["--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
        command += ["--runtime-api-address", f"127.0.0.1:{api_port}"]
        command += [PYTHON, "-m", "awslambdaric", "function.handler"]
        settings = {
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "60",
            "LAMBDA_TASK_ROOT": task,
            "PYTHONPATH": task,
        }
        with process(command, environment=settings, silent=True) as running:
            await_port(running, port)
            yield port


@contextlib.contextmanager
def ministack() -> Iterator[int]:
    """The emulator of all of AWS, at the port yielded."""
    port = free_port()
    with tempfile.TemporaryDirectory(dir=_scratch(), prefix="ministack-") as home:
        settings = {"GATEWAY_PORT": str(port), "HOME": home, "TMPDIR": home}
        with process([VENV / "bin" / "ministack"], environment=settings, silent=True) as running:
            await_port(running, port)
            yield port


def _scratch() -> Path:
    SCRATCH.mkdir(parents=True, exist_ok=True)
    return SCRATCH
