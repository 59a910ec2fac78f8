"""`ondol event`: sample events of AWS's services, to invoke a function with."""

import json
from typing import Annotated

import typer

from ondol.cli.console import table
from ondol.cli.options import Json, Set
from ondol.cli.samples import SAMPLES, sample


def event(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Which one.", show_default="list them")] = None,
    *,
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Print a sample event as JSON; without a name, list them.

    Use one at once with: ondol invoke FUNCTION --event NAME
    """
    if name is not None:
        typer.echo(json.dumps(sample(name, settings or ()), indent=2))
    elif as_json:
        typer.echo(json.dumps(SAMPLES, indent=2))
    else:
        table(("NAME", "WHAT HAPPENED"), list(SAMPLES.items()))
