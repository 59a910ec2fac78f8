"""Where the `ondol` command begins: its subcommands, and the last word when one fails."""

import sys
from typing import Annotated

import typer

import ondol
from ondol.cli.credentials import app as credentials
from ondol.cli.debug import debug
from ondol.cli.delete import delete
from ondol.cli.deploy import deploy
from ondol.cli.dev import dev
from ondol.cli.doctor import doctor
from ondol.cli.event import event
from ondol.cli.failure import CommandFailed
from ondol.cli.invoke import invoke
from ondol.cli.list import list_functions
from ondol.cli.logs import logs
from ondol.cli.reset import reset
from ondol.cli.status import status
from ondol.cli.up import up

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")

app.command("up")(up)
app.command("deploy")(deploy)
app.command("dev")(dev)
app.command("debug")(debug)
app.command("event")(event)
app.command("invoke")(invoke)
app.command("logs")(logs)
app.command("list")(list_functions)
app.command("delete")(delete)
app.command("reset")(reset)
app.command("status")(status)
app.command("doctor")(doctor)
app.add_typer(credentials, name="credentials")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ondol {ondol.__version__}")
        raise typer.Exit


@app.callback()
def _ondol(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Run AWS Lambda functions on this machine: real sandboxes behind AWS's own API.

    Start it with [bold]ondol up[/bold]; then any AWS SDK or CLI works with http://127.0.0.1:4566 as its endpoint.
    """


def main() -> None:
    """Run the command line; ends the process with 0 (done), 1 (failed) or 2 (misused)."""
    try:
        app()
    except CommandFailed as failed:
        typer.secho(str(failed), fg=typer.colors.RED, err=True)
        sys.exit(failed.exit_code)
