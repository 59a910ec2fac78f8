"""A directory that is a function, deployed again whenever it has changed. Decides what is deployed, and what is not."""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ondol.cli import syntax
from ondol.cli.choice import Choice, choose, newest_python
from ondol.cli.client import Client
from ondol.cli.console import Progress
from ondol.cli.deployment import advise, current_of, merged, put, ready
from ondol.cli.failure import CommandFailed
from ondol.cli.feed import Deployed, Feed
from ondol.cli.package import DirectorySource
from ondol.cli.requirements import Requirements
from ondol.cli.syntax import SyntaxFault

if TYPE_CHECKING:
    from ondol.runtimes.catalog import Catalog

OWN_VERSION = f"python3.{sys.version_info.minor}"


class Wanted(NamedTuple):
    """What was asked for; what was not is taken from the function or guessed."""

    runtime: str | None
    handler: str | None
    nearest: bool
    variables: dict[str, str]


class Workbench:
    """One function and the directory that it is made from."""

    def __init__(
        self, client: Client, name: str, directory: Path, *, wanted: Wanted, catalog: "Catalog", feed: Feed
    ) -> None:
        self._client = client
        self._name = name
        self._directory = directory
        self._wanted = wanted
        self._catalog = catalog
        self._feed = feed
        self._choice: Choice | None = None
        self._broken: frozenset[str] = frozenset()
        self._deployed = b""
        self._requirements = Requirements(lambda: catalog)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._requirements.close()

    def update(self, changed: frozenset[str], *, first: bool = False) -> bool:
        """Deploy what is in the directory now, unless it cannot be compiled or runs already; False if it was broken.

        Raises `CommandFailed`.
        """
        began = time.monotonic()
        current = current_of(self._client, self._name)
        faults = self._faults(changed, (current or {}).get("Runtime"))
        if faults:
            self._feed.broken(faults)
            return False
        try:
            package = DirectorySource(self._directory)
            choice = self._choose(package, current)
            code = package.zipped(self._requirements.of(package, choice.runtime), small=False)
        except FileNotFoundError:
            return True  # it went while it was read: that is a change too, and the next one
        except OSError as error:
            raise CommandFailed(f"{error.filename} cannot be read: {error.strerror}.") from error
        digest = hashlib.sha256(code).digest()
        if current is not None and digest == self._deployed:
            return True
        members: dict[str, Any] = {"Runtime": choice.runtime, "Handler": choice.handler}
        if self._wanted.variables:
            members["Environment"] = merged(current, self._wanted.variables)
        with Progress(f"Deploying {self._name}"):
            put(self._client, self._name, code, members, current)
            ready(self._client, self._name)
        self._deployed = digest
        taken = round((time.monotonic() - began) * 1000)
        saved = [] if first else sorted(changed)
        self._feed.deployed(Deployed(self._name, current is None, taken, len(code), saved))
        return True

    def _choose(self, package: DirectorySource, current: dict[str, Any] | None) -> Choice:
        """Made once: what was said when it was made holds until the end."""
        if self._choice is None:
            runtime, handler, nearest, _ = self._wanted
            self._choice = choose(package, current, self._catalog, runtime=runtime, handler=handler, nearest=nearest)
            advise(package, self._choice.runtime)
        return self._choice

    def _faults(self, changed: frozenset[str], runtime: str | None) -> list[SyntaxFault]:
        """Of what was saved, and of what was broken before, by the grammar of the function's own interpreter."""
        runtime = self._wanted.runtime or runtime or f"python{newest_python(self._catalog)}"
        names = sorted(name for name in changed | self._broken if name.endswith(".py"))
        files = [str(self._directory / name) for name in names]
        faults = syntax.faults(files)
        if faults and runtime != OWN_VERSION:
            # An older grammar than the function's own would refuse what that one takes.
            found = self._catalog.runtimes.get(runtime)
            interpreter = found.interpreter if found is not None else None
            faults = faults_by(interpreter, files) if interpreter else []
        broken = {fault.file for fault in faults}
        self._broken = frozenset(name for name, file in zip(names, files, strict=True) if file in broken)
        return faults


def faults_by(interpreter: str, files: list[str]) -> list[SyntaxFault]:
    """What this interpreter cannot compile; nothing if it cannot even say that."""
    command = [interpreter, "-I", syntax.__file__, *files]
    done = subprocess.run(command, capture_output=True, check=False)
    return [SyntaxFault(*fault) for fault in json.loads(done.stdout)] if done.returncode == 0 else []
