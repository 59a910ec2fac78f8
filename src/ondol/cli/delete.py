"""`ondol delete`: remove a function with all its versions."""

import sys
from typing import Annotated

import typer

from ondol.cli.client import DEFAULT_ENDPOINT, Client, Refused
from ondol.cli.console import say
from ondol.cli.failure import CommandFailed, no_such_function
from ondol.cli.options import Endpoint, Name


def delete(
    name: Name,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Delete a function, its versions and aliases. Its logs stay."""
    client = Client(endpoint)
    try:
        client.configuration(name)
        if not yes:
            if not sys.stdin.isatty():
                raise CommandFailed(f"Deleting {name} needs a yes, and nobody is there to ask. Add --yes.", 2)
            if not typer.confirm(f"Delete {name} with all its versions?", err=True):
                raise CommandFailed(f"{name} was not deleted.")
        client.delete(name)
    except Refused as refused:
        raise no_such_function(name) if refused.not_found else refused from refused
    say(f"Deleted {name}.")
