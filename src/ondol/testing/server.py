"""An ondol for tests: a process of its own with nothing in it, or one that runs already."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ondol.cli.client import Client

_COMMAND = (sys.executable, "-c", "from ondol.cli.main import main; main()")
_READY = "ondol ready on "
_READY_WITHIN_S = 120.0
"""A first start in an empty directory prepares the runtimes' file systems."""

_STOPPED_WITHIN_S = 45.0
_REGION = "us-east-1"


class CannotRunHere(Exception):
    """This machine cannot run functions: one sentence that says why."""


class StartFailed(Exception):
    """ondol did not start where it should have: what it said."""


class Ondol:
    """An ondol that answers at `endpoint`."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._client = Client(endpoint)

    @property
    def environ(self) -> Mapping[str, str]:
        """Variables with which any AWS SDK or CLI speaks to this ondol."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": _REGION,
            "AWS_DEFAULT_REGION": _REGION,
        }

    def client(self, service: str = "lambda", **settings: Any) -> Any:
        """A boto3 client of this ondol; `settings` as for `boto3.client`. Raises `ImportError` without boto3."""
        import boto3  # noqa: PLC0415 - a test may use another SDK

        own = {
            "endpoint_url": self.endpoint,
            "region_name": _REGION,
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
        }
        return boto3.client(service, **(own | settings))

    def reset(self) -> None:
        """Delete every function and every log, of all accounts and regions."""
        self._client.reset()

    def status(self) -> dict[str, Any]:
        """As `ondol status --json` has it. Raises `CommandFailed` if nothing answers."""
        return self._client.status()


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Ondol]:
    """An `ondol up` on a free port that keeps everything in `directory`, ended with the context.

    Raises `CannotRunHere` or `StartFailed`.
    """
    if sys.platform != "linux":
        raise CannotRunHere(f"ondol needs Linux, and this is {sys.platform}")
    complaints = directory / "stderr"
    command = [*_COMMAND, "up", "--port", "0", "--data-dir", str(directory / "data")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONDOL_")}
    with complaints.open("wb") as stderr:
        # Its settings are its own, not those of an ondol.toml in the tests' directory.
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, stdin=subprocess.DEVNULL, cwd=directory, env=environment
        )
    try:
        line = _first_line(process)
        if not line.startswith(_READY):
            process.kill()
            process.wait()
            raise _why(complaints.read_text(errors="replace"))
        yield Ondol(line.removeprefix(_READY).strip())
    finally:
        _stop(process)


def _first_line(process: subprocess.Popen[bytes]) -> str:
    """What it says when it is ready; nothing if it ends or takes too long."""
    assert process.stdout is not None
    said, deadline = b"", time.monotonic() + _READY_WITHIN_S
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not said.endswith(b"\n") and selector.select(max(0.0, deadline - time.monotonic())):
            read = os.read(process.stdout.fileno(), 4096)
            if not read:
                break
            said += read
    return said.decode(errors="replace")


def _why(complaints: str) -> CannotRunHere | StartFailed:
    """Why it did not start: because of this machine, which `ondol doctor` knows, or because of ondol."""
    examined = subprocess.run([*_COMMAND, "doctor", "--json"], capture_output=True, text=True, check=False)
    with contextlib.suppress(ValueError):
        report = json.loads(examined.stdout)
        if not report["usable"]:
            return CannotRunHere(report["advice"][0])
    return StartFailed(complaints.strip() or f"it was not ready after {_READY_WITHIN_S:.0f} s, and said nothing")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
