"""A real `ondol up` for tests: started by its contract, spoken to with boto3, ended or killed by process id."""

import io
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3
import pytest
from botocore.config import Config

ONDOL = Path(sys.executable).with_name("ondol")
CANNOT = "ondol cannot make sandboxes here"
ROLE = "arn:aws:iam::000000000000:role/test"
RUNTIME = f"python3.{sys.version_info.minor}"


class OndolProcess:
    """Use as a context manager; `kill` and `start` again for what must survive."""

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self._settings = {f"ONDOL_{name}": value for name, value in (settings or {}).items()}
        self.program: tuple[str, ...] = (str(ONDOL),)
        self.process: subprocess.Popen[str] | None = None
        self.endpoint = ""
        self._said_before = 0

    def launch(self) -> None:
        """Begin to start it, and wait for nothing."""
        command = [*self.program, "up", "--port", "0", "--data-dir", self.data_dir]
        with self._stderr().open("a") as stderr:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stderr, text=True, env={**os.environ, **self._settings}
            )

    def start(self) -> "OndolProcess":
        self.launch()
        assert self.process is not None and self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith(("ondol ready on http://127.0.0.1:", "ondol ready on https://")):
            self.kill()
            if CANNOT in self.complaints():
                # The same would be said of every test that follows.
                pytest.exit(self.complaints(), 1)
            raise AssertionError(f"ondol said {line!r}; {self.complaints()}")
        self.endpoint = line.split()[3]
        self._said_before = len(self._stderr().read_bytes())
        return self

    @property
    def certificate(self) -> str | None:
        """The file of the certificate to trust; None where TLS is not spoken."""
        return self._settings.get("ONDOL_TLS_CERT")

    def said(self) -> str:
        """All that it wrote to stderr."""
        return self._stderr().read_text()

    def complaints(self) -> str:
        """What it wrote to stderr since it was ready; all, if it never was."""
        return self._stderr().read_bytes()[self._said_before :].decode()

    def _stderr(self) -> Path:
        return self.data_dir.parent / f"{self.data_dir.name}.stderr"

    def stop(self) -> int:
        """Ask it to stop, and wait until it has."""
        self.ask_to_stop()
        return self._wait()

    def ask_to_stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """As a power cut for the process: no handler runs."""
        assert self.process is not None
        self.process.kill()
        self._wait()

    def _wait(self) -> int:
        assert self.process is not None and self.process.stdout is not None
        code = self.process.wait(timeout=45)
        self.process.stdout.close()
        self.process = None
        return code

    def __enter__(self) -> "OndolProcess":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.stop()
        # Some fifty of these directories are made in a run; this is nearly all that is in them.
        shutil.rmtree(self.data_dir / "roots", ignore_errors=True)

    def client(self, service: str = "lambda", *, account: str = "000000000000", region: str = "us-east-1") -> Any:
        """An unmodified boto3 client that repeats nothing by itself."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=region,
            aws_access_key_id=account,
            aws_secret_access_key="secret",
            config=Config(retries={"max_attempts": 0}, read_timeout=60),
            verify=self.certificate,
        )


def package(files: Mapping[str, str | bytes]) -> bytes:
    """A zip with these files; a name ending in `*` is stored executable, without the star."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name.rstrip("*"))
            entry.external_attr = (0o755 if name.endswith("*") else 0o644) << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def create(client: Any, name: str, code: str | Mapping[str, str | bytes], **settings: Any) -> dict[str, Any]:
    """Create a Python function (module `m`, handler `h`) and wait until it is active."""
    files = {"m.py": code} if isinstance(code, str) else code
    parameters: dict[str, Any] = {
        "FunctionName": name,
        "Runtime": RUNTIME,
        "Role": ROLE,
        "Handler": "m.h",
        "Code": {"ZipFile": package(files)},
        **settings,
    }
    created: dict[str, Any] = client.create_function(**parameters)
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 1200})
    return created
