"""What Python code requires, installed beside it by the function's own interpreter."""

import os
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ondol.cli.console import Progress
from ondol.cli.failure import CommandFailed
from ondol.cli.package import DirectorySource

if TYPE_CHECKING:
    from ondol.runtimes.catalog import Catalog

REQUIREMENTS = "requirements.txt"


class Requirements:
    """Installed once for each directory and runtime, again when they have changed, and removed by `close`."""

    def __init__(self, catalog: "Callable[[], Catalog]") -> None:
        self._catalog = catalog
        self._installed: dict[tuple[Path, str], tuple[bytes, Path]] = {}
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._cleanup.close()

    def of(self, source: DirectorySource, runtime: str) -> Path | None:
        """Where those of a directory are; None if it has none. Raises `CommandFailed`."""
        if REQUIREMENTS not in source.names or not runtime.startswith("python"):
            return None
        wanted = source.read(REQUIREMENTS)
        place = source.directory, runtime
        if place not in self._installed or self._installed[place][0] != wanted:
            target = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="ondol-requirements-")))
            with Progress(f"Installing {REQUIREMENTS} of {source.directory.resolve().name}"):
                _install(source.directory, _pip_of(self._catalog(), runtime), target)
            self._installed[place] = (wanted, target)
        return self._installed[place][1]


def _pip_of(catalog: "Catalog", runtime: str) -> str:
    """The interpreter whose pip installs a function's requirements. Raises `CommandFailed` if it is not here."""
    found = catalog.runtimes.get(runtime)
    if found is None or found.interpreter is None:
        raise CommandFailed(
            f"{REQUIREMENTS} needs pip of {runtime}, and this machine has no such interpreter. "
            "Install it, or deploy with --nearest-runtime."
        )
    return found.interpreter


def _install(directory: Path, interpreter: str, target: Path) -> None:
    command = [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-compile", "--target", str(target), "--requirement", REQUIREMENTS]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    # What people set for their own environments would be refused for a directory.
    environment |= {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:] or ["it said nothing"]
        again = f"{interpreter} -m pip install --target /tmp/tried -r {directory / REQUIREMENTS}"
        raise CommandFailed(f"pip could not install {REQUIREMENTS}: {errors[0]}. Try it yourself with: {again}")
