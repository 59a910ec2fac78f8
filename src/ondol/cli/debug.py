"""`ondol debug`: an environment of a function that a debugger can be attached to, for as long as the command runs."""

import json
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from ondol.cli.client import DEFAULT_ENDPOINT, Client, Refused
from ondol.cli.console import say
from ondol.cli.failure import CommandFailed, no_such_function
from ondol.cli.invoke import read_payload, show
from ondol.cli.options import Endpoint, Name

_WORKSPACE = "${workspaceFolder}"
_REMOTE = "/var/task"


def debug(
    name: Name,
    *,
    path: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the function's files are.", show_default="the editor's folder"),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Where the debugger is let in.", show_default="5678; for Node.js 9229")
    ] = None,
    payload: Annotated[
        str | None,
        typer.Option(
            help="Invoke it with this event once a debugger is attached, show the result, and end; @FILE, - for stdin.",
            show_default=False,
        ),
    ] = None,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Wait for a debugger, before the function's code is loaded; no time limit counts while one is attached.

    The launch configuration of VS Code is printed. Invocations run in this environment when it is idle, else in others.
    Ctrl-C ends it.
    """
    sent = None if payload is None else read_payload(payload)
    client = Client(endpoint)
    folder = _WORKSPACE if path is None else str(path.resolve())
    again = True
    try:
        while again:
            port, again = _session(client, name, port, folder, sent)
    except KeyboardInterrupt:
        return
    except Refused as refused:
        raise no_such_function(name) if refused.not_found else refused from refused


def _session(client: Client, name: str, port: int | None, folder: str, sent: bytes | None) -> tuple[int | None, bool]:
    """One environment, to its end; the port that it had, and whether there is newer code to debug."""
    with closing(client.debug(name, port)) as events:
        for event in events:
            match event["event"]:
                case "listening":
                    port = event["port"]
                    say(f"Attach a debugger to 127.0.0.1:{port}. For VS Code, in .vscode/launch.json:")
                    typer.echo(
                        json.dumps(launch_configuration(name, event["protocol"], event["port"], folder), indent=2)
                    )
                case "attached":
                    say("A debugger is attached.")
                case "detached":
                    say("The debugger has gone: time limits count again.")
                case "ready" if sent is not None:
                    show(name, client.invoke(name, sent, None, True), tail=True)
                    return port, False
                case "ready":
                    say(f"{name} is ready. Invoke it with: ondol invoke {name}")
                case "ended" if event["replaced"]:
                    say(f"{name} has newer code: attach again.")
                    return port, True
                case "ended":
                    raise CommandFailed(f"{name} cannot be debugged any more: {event['reason']}")
    raise CommandFailed("ondol hung up.")


def launch_configuration(name: str, protocol: str, port: int, folder: str) -> dict[str, Any]:
    """How VS Code attaches, as one of the `configurations` in launch.json."""
    common = {"name": f"ondol: {name}", "request": "attach"}
    if protocol == "dap":
        return {
            **common,
            "type": "debugpy",
            "connect": {"host": "127.0.0.1", "port": port},
            "pathMappings": [{"localRoot": folder, "remoteRoot": _REMOTE}],
        }
    return {
        **common,
        "type": "node",
        "address": "127.0.0.1",
        "port": port,
        "localRoot": folder,
        "remoteRoot": _REMOTE,
    }
