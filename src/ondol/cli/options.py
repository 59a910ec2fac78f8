"""Options that several subcommands have."""

from typing import Annotated

import typer

from ondol.cli.client import DEFAULT_ENDPOINT

Endpoint = Annotated[
    str,
    typer.Option(
        "--endpoint",
        envvar="ONDOL_ENDPOINT",
        metavar="URL",
        help="Where ondol listens.",
        show_default=DEFAULT_ENDPOINT,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The function's name or ARN.", show_default=False)]
