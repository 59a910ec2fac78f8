"""`ondol delete`: remove a function with all its versions."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ondol.cli.client import DEFAULT_ENDPOINT, Client, Refused
from ondol.cli.console import say
from ondol.cli.failure import CommandFailed, no_such_function
from ondol.cli.options import Endpoint, Name
from ondol.cli.template import delete_template, is_template


def delete(
    name: Name,
    *,
    stack: Annotated[
        str | None, typer.Option("--name", help="Of a template: the stack's name.", show_default="that of its DIR")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Delete a function, its versions and aliases; or all that a template made, by the template's file. Logs stay."""
    client = Client(endpoint)
    if is_template(Path(name)):
        _sure(yes, f"all that {name} made")
        say(f"Deleted the stack {delete_template(client, Path(name), stack)}.")
        return
    try:
        client.configuration(name)
        _sure(yes, f"{name} with all its versions")
        client.delete(name)
    except Refused as refused:
        raise no_such_function(name) if refused.not_found else refused from refused
    say(f"Deleted {name}.")


def _sure(yes: bool, what: str) -> None:
    """Raises `CommandFailed` unless somebody said yes."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandFailed(f"Deleting {what} needs a yes, and nobody is there to ask. Add --yes.", 2)
    if not typer.confirm(f"Delete {what}?", err=True):
        raise CommandFailed("Nothing was deleted.")
