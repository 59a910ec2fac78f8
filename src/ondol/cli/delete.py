"""`ondol delete`: remove a function with all its versions."""

from pathlib import Path
from typing import Annotated

import typer

from ondol.cli.client import DEFAULT_ENDPOINT, Client, Refused
from ondol.cli.console import say, sure
from ondol.cli.failure import no_such_function
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
        sure(yes, f"all that {name} made")
        say(f"Deleted the stack {delete_template(client, Path(name), stack)}.")
        return
    try:
        client.configuration(name)
        sure(yes, f"{name} with all its versions")
        client.delete(name)
    except Refused as refused:
        raise no_such_function(name) if refused.not_found else refused from refused
    say(f"Deleted {name}.")
