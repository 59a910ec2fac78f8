"""ondol as a user starts it, each time on a data directory that has been started on once before."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from client import Caller
from functions import CREATED, create
from harness import ROOT, SCRATCH, BenchmarkError, await_line, free_port, process

ONDOL = ROOT / ".venv" / "bin" / "ondol"
AS_USER = ROOT / "tests" / "ordinary_user.py"
USER = 54_321
"""Whom that makes of root."""

READY = "ondol ready on "
FIRST_START_S = 180.0


class Ondol:
    """A running ondol."""

    def __init__(self, port: int, running: subprocess.Popen[bytes], data: Path, start_s: float) -> None:
        self.port = port
        self.pid = running.pid
        self.data = data
        self.start_s = start_s
        """From the start of the process to the line that says it can serve."""

    def environments(self) -> list[dict[str, str]]:
        """What is there now, as the status page shows it."""
        with Caller(self.port) as caller:
            shown: list[dict[str, str]] = json.loads(caller.request("GET", "/_ondol/status"))["environments"]
        return shown

    def await_environments(self, count: int, limit_s: float) -> None:
        """Wait until there are so many, no more. Raises `BenchmarkError`."""
        until = time.monotonic() + limit_s
        while (there := len(self.environments())) > count:
            if time.monotonic() > until:
                raise BenchmarkError(f"{there} environments are still there after {limit_s:g} s, not {count}")
            time.sleep(0.05)


@contextlib.contextmanager
def ondol(*, as_user: bool = False, **settings: object) -> Iterator[Ondol]:
    """A running ondol with these settings (`limits_concurrency=10_000`), on a fresh copy of a prepared directory.

    With `as_user` it is an ordinary user's, whoever measures.
    """
    with data_directory(as_user=as_user) as data, started(data, as_user=as_user, **settings) as running:
        yield running


@contextlib.contextmanager
def data_directory(*, as_user: bool = False) -> Iterator[Path]:
    """A data directory with everything in it that a first start makes, and no function."""
    prepared = _prepared(as_user)
    with tempfile.TemporaryDirectory(dir=prepared.parent, prefix="data-") as held:
        data = Path(held) / "data"
        shutil.copytree(prepared, data, symlinks=True)
        if as_user:
            _give(Path(held))
        yield data


@contextlib.contextmanager
def started(data: Path, *, as_user: bool = False, **settings: object) -> Iterator[Ondol]:
    """ondol on this data directory. Raises `BenchmarkError` if it does not get ready."""
    variables = {f"ONDOL_{name.upper()}": str(value) for name, value in settings.items()}
    inherited = [name for name in os.environ if name.startswith("ONDOL_")]
    if inherited:
        raise BenchmarkError(f"unset {', '.join(inherited)}: the figures are ondol's with its own settings")
    port = free_port()
    errors = data.with_suffix(".errors")
    began = time.perf_counter()
    command: list[str | Path] = [ONDOL, "up", "--port", str(port), "--data-dir", data]
    if as_user:
        command = [sys.executable, AS_USER, *command]
        # What is this interpreter's user's alone is not looked for in another user's home.
        variables["PATH"] = f"{sys.base_prefix}/bin:{os.environ['PATH']}"
    with process(command, environment=variables, errors=errors) as running:
        try:
            await_line(running, READY, FIRST_START_S)
        except BenchmarkError as error:
            raise BenchmarkError(f"{error}\n{errors.read_text()[-2000:]}") from error
        yield Ondol(port, running, data, time.perf_counter() - began)


def _prepared(as_user: bool) -> Path:
    """A directory on which a function was run once, so that nothing is measured that happens only the first time."""
    data = SCRATCH / ("prepared-by-a-user" if as_user else "prepared") / "data"
    if data not in _MADE:
        shutil.rmtree(data.parent, ignore_errors=True)
        data.parent.mkdir(parents=True)
        if as_user:
            _give(data.parent)
        with started(data, as_user=as_user) as first:
            create(first.port, "first")
            with Caller(first.port) as caller:
                caller.invoke("first")
                caller.request("DELETE", f"{CREATED}/first")
        _MADE.add(data)
    return data


def _give(directory: Path) -> None:
    """Make everything in it the ordinary user's, if that is another one."""
    if os.geteuid() == 0:
        for path in (directory, *directory.rglob("*")):
            os.chown(path, USER, USER, follow_symlinks=False)


_MADE: set[Path] = set()
