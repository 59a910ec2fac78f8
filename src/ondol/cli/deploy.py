"""`ondol deploy`: make a directory or a zip a function, or an existing function's new code."""

import base64
import re
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ondol.cli.choice import choose
from ondol.cli.client import DEFAULT_ENDPOINT, Client, Refused
from ondol.cli.console import Progress, say
from ondol.cli.failure import CommandFailed
from ondol.cli.options import Endpoint
from ondol.cli.package import REQUIREMENTS, DirectorySource, ZipSource, installed, open_source

if TYPE_CHECKING:
    from ondol.runtimes.catalog import Catalog

_POLL_S = 0.1
_SETTLED_WITHIN_S = 300.0


def deploy(
    source: Annotated[
        Path, typer.Argument(metavar="DIR|ZIP", help="The function's files.", show_default=False, exists=True)
    ],
    *,
    name: Annotated[str | None, typer.Option(help="The function's name.", show_default="that of DIR or ZIP")] = None,
    runtime: Annotated[str | None, typer.Option(help="Such as python3.13.", show_default="guessed")] = None,
    handler: Annotated[str | None, typer.Option(help="Such as app.handler.", show_default="guessed")] = None,
    memory: Annotated[int | None, typer.Option(help="In MB.", show_default="128")] = None,
    timeout: Annotated[int | None, typer.Option(help="In seconds.", show_default="3")] = None,
    env: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="An environment variable; may be repeated.")
    ] = None,
    nearest_runtime: Annotated[
        bool,
        typer.Option("--nearest-runtime", help="Take the nearest Python of this machine if it lacks the one named."),
    ] = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Create a function, or update it if it is there; wait until it can be invoked.

    A directory's requirements.txt is installed into the package. What is not given stays as it is.
    """
    from ondol.runtimes.catalog import find  # noqa: PLC0415 - `ondol --help` does without

    client = Client(endpoint)
    name = name or _name_of(source)
    variables = _variables(env or [])
    current = _current(client, name)
    package = open_source(source)
    with Progress("Looking for interpreters"):
        catalog = find()
    choice = choose(package, current, catalog, runtime=runtime, handler=handler, nearest=nearest_runtime)
    code = _build(package, choice.runtime, catalog)
    members: dict[str, Any] = {"Runtime": choice.runtime, "Handler": choice.handler}
    if memory is not None:
        members["MemorySize"] = memory
    if timeout is not None:
        members["Timeout"] = timeout
    if variables:
        kept = (current or {}).get("Environment", {}).get("Variables", {})
        members["Environment"] = {"Variables": {**kept, **variables}}
    with Progress(f"Deploying {name}") as progress:
        if current is None:
            role = f"arn:aws:iam::{client.account}:role/ondol"
            package_member = {"ZipFile": base64.b64encode(code).decode()}
            client.create({"FunctionName": name, "Role": role, "Code": package_member, **members})
        else:
            _settled(client, name)
            client.update_code(name, code)
            settled = _ready(client, name)
            if any(settled.get(member) != value for member, value in members.items()):
                client.update_configuration(name, members)
        progress.update(f"{name} is being made ready")
        _ready(client, name)
    done = "Created" if current is None else "Updated"
    say(f"{done} {name} ({choice.runtime}, {choice.handler}, {len(code):,} bytes).")
    say(f"Run it with: ondol invoke {name} '{{}}'")


def _name_of(source: Path) -> str:
    """A function name from a file's; raises `CommandFailed` if nothing of it may be in one."""
    stem = source.resolve().name
    stem = stem.removesuffix(".zip") if source.is_file() else stem
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:64]
    if not name:
        raise CommandFailed(f"No function name can be made from {str(source)!r}. Give one with --name.", 2)
    return name


def _variables(given: list[str]) -> dict[str, str]:
    variables = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not key or not equals:
            raise CommandFailed(f"--env must be KEY=VALUE, not {item!r}.", 2)
        variables[key] = value
    return variables


def _current(client: Client, name: str) -> dict[str, Any] | None:
    try:
        return client.configuration(name)
    except Refused as refused:
        if refused.not_found:
            return None
        raise


def _build(package: DirectorySource | ZipSource, runtime: str, catalog: "Catalog") -> bytes:
    """The package as a zip, with its requirements if it is a directory of Python code that has some."""
    wanted: AbstractContextManager[Path | None] = nullcontext()
    if runtime.startswith("python") and isinstance(package, DirectorySource) and REQUIREMENTS in package.names:
        found = catalog.runtimes.get(runtime)
        if found is None or found.interpreter is None:
            raise CommandFailed(
                f"{REQUIREMENTS} needs pip of {runtime}, and this machine has no such interpreter. "
                "Install it, or deploy with --nearest-runtime."
            )
        wanted = installed(package.directory, found.interpreter)
    with Progress(f"Installing {REQUIREMENTS}"), wanted as added:
        return package.zipped(added)


def _ready(client: Client, name: str) -> dict[str, Any]:
    """Wait until the function can be invoked. Raises `CommandFailed` if what was deployed cannot run."""
    configuration = _settled(client, name)
    if configuration.get("State") == "Failed":
        raise CommandFailed(f"{name} cannot run: {configuration.get('StateReason', 'no reason was given')}")
    if configuration.get("LastUpdateStatus") == "Failed":
        reason = configuration.get("LastUpdateStatusReason", "no reason was given")
        raise CommandFailed(f"The update of {name} failed, and its former version still runs: {reason}")
    return configuration


def _settled(client: Client, name: str) -> dict[str, Any]:
    """Wait until nothing is under way for the function, however it ended."""
    deadline = time.monotonic() + _SETTLED_WITHIN_S
    while time.monotonic() < deadline:
        configuration = client.configuration(name)
        if configuration.get("State") != "Pending" and configuration.get("LastUpdateStatus") != "InProgress":
            return configuration
        time.sleep(_POLL_S)
    raise CommandFailed(f"{name} was not ready after {_SETTLED_WITHIN_S:.0f} s. See what ondol does with: ondol status")
