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
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change a member of the sample event, such as Records.0.s3.object.key=a.txt; may be repeated.",
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The function's name or ARN.", show_default=False)]
Runtime = Annotated[str | None, typer.Option(help="Such as python3.13.", show_default="guessed")]
Handler = Annotated[str | None, typer.Option(help="Such as app.handler.", show_default="guessed")]
Variables = Annotated[
    list[str] | None, typer.Option(metavar="KEY=VALUE", help="An environment variable; may be repeated.")
]
Parameters = Annotated[
    list[str] | None, typer.Option("--parameter", metavar="KEY=VALUE", help="A template's parameter; may be repeated.")
]
NearestRuntime = Annotated[
    bool,
    typer.Option("--nearest-runtime", help="Take the nearest interpreter of this machine if it lacks the one named."),
]
