"""`ondol list`: the functions there are."""

import json

import typer

from ondol.cli.client import DEFAULT_ENDPOINT, Client
from ondol.cli.console import say, table
from ondol.cli.options import Endpoint, Json


def list_functions(*, endpoint: Endpoint = DEFAULT_ENDPOINT, as_json: Json = False) -> None:
    """List the functions."""
    functions = sorted(Client(endpoint).functions(), key=lambda function: str(function["FunctionName"]))
    if as_json:
        typer.echo(json.dumps(functions, indent=2))
    elif functions:
        rows = [
            (
                function["FunctionName"],
                function.get("Runtime", "image" if function.get("PackageType") == "Image" else "-"),
                function.get("Handler", "-"),
                f"{function.get('MemorySize', '-')} MB",
                f"{function.get('Timeout', '-')} s",
                str(function.get("LastModified", ""))[:19],
            )
            for function in functions
        ]
        table(("NAME", "RUNTIME", "HANDLER", "MEMORY", "TIMEOUT", "MODIFIED (UTC)"), rows)
    else:
        say("There are no functions yet. Deploy one with: ondol deploy DIRECTORY")
