"""What `ondol deploy` and `ondol dev` do alike: make a package a function's code, and wait until it can be invoked."""

import base64
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ondol.cli.client import Client, Refused
from ondol.cli.console import say
from ondol.cli.failure import CommandFailed
from ondol.cli.package import DirectorySource, ZipSource, without_modules

_POLL_S = 0.01
_SETTLED_WITHIN_S = 300.0


def name_of(source: Path) -> str:
    """A function name from a file's; raises `CommandFailed` if nothing of it may be in one."""
    stem = source.resolve().name
    stem = stem.removesuffix(".zip") if source.is_file() else stem
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:64]
    if not name:
        raise CommandFailed(f"No function name can be made from {str(source)!r}. Give one with --name.", 2)
    return name


def variables_of(given: list[str], option: str = "--env") -> dict[str, str]:
    variables = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not key or not equals:
            raise CommandFailed(f"{option} must be KEY=VALUE, not {item!r}.", 2)
        variables[key] = value
    return variables


def current_of(client: Client, name: str) -> dict[str, Any] | None:
    try:
        return client.configuration(name)
    except Refused as refused:
        if refused.not_found:
            return None
        raise


def merged(current: Mapping[str, Any] | None, variables: Mapping[str, str]) -> dict[str, Any]:
    """The `Environment` of a function that has these variables beside those that it has now."""
    kept = (current or {}).get("Environment", {}).get("Variables", {})
    return {"Variables": {**kept, **variables}}


def advise(package: DirectorySource | ZipSource, runtime: str) -> None:
    """Say what will probably be missing when the function runs."""
    if runtime.startswith("nodejs") and without_modules(package):
        say(
            "package.json names dependencies, and there is no node_modules. Unless a layer has them: npm install, and "
            "deploy again."
        )


def put(client: Client, name: str, code: bytes, members: Mapping[str, Any], current: Mapping[str, Any] | None) -> None:
    """Create the function, or make it what is wanted if there is a `current` one. `ready` waits for the end of it."""
    if current is None:
        role = f"arn:aws:iam::{client.account()}:role/ondol"
        package = {"ZipFile": base64.b64encode(code).decode()}
        client.create({"FunctionName": name, "Role": role, "Code": package, **members})
        return
    _settled(client, name)
    client.update_code(name, code)
    settled = ready(client, name)
    if any(settled.get(member) != value for member, value in members.items()):
        client.update_configuration(name, members)


def ready(client: Client, name: str) -> dict[str, Any]:
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
