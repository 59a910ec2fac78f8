"""`ondol invoke`: run a function and show its result."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from ondol.cli.client import DEFAULT_ENDPOINT, Client, Invoked, Refused
from ondol.cli.console import Progress, say
from ondol.cli.failure import CommandFailed, no_such_function
from ondol.cli.options import Endpoint, Json, Name, Set
from ondol.cli.samples import sample


def invoke(
    name: Name,
    payload: Annotated[
        str, typer.Argument(help="The event, as JSON; @FILE reads it from a file, - from stdin.", show_default=False)
    ] = "",
    *,
    event: Annotated[
        str | None, typer.Option(metavar="NAME", help="A sample event instead; see: ondol event.", show_default=False)
    ] = None,
    settings: Set = None,
    tail: Annotated[bool, typer.Option("--tail", "--logs", help="Show what it logged, on stderr.")] = False,
    qualifier: Annotated[str | None, typer.Option(help="A version or an alias.", show_default="$LATEST")] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant-id", help="For whom, of a function per tenant.", show_default=False)
    ] = None,
    as_event: Annotated[bool, typer.Option("--async", help="Do not wait for the result.")] = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    as_json: Json = False,
) -> None:
    """Run a function and print its result. Ends with 1 if the function failed."""
    sent = _event(payload, event, settings or [])
    client = Client(endpoint)
    if as_event:
        _accept(client, name, sent, qualifier, tenant=tenant, tail=tail, as_json=as_json)
        return
    try:
        with Progress(f"{name} is running"):
            invoked = client.invoke(name, sent, qualifier, tail, tenant)
    except Refused as refused:
        raise no_such_function(name) if refused.not_found and qualifier is None else refused from refused
    if as_json:
        typer.echo(json.dumps(_members(invoked), indent=2))
        require_success(name, invoked)
    else:
        show(name, invoked, tail)


def show(name: str, invoked: Invoked, tail: bool) -> None:
    """Print the result and perhaps the log. Raises `CommandFailed` if the function failed."""
    if tail:
        say(invoked.log.rstrip("\n"))
    sys.stdout.flush()
    sys.stdout.buffer.write(invoked.payload.rstrip(b"\n") + b"\n")
    sys.stdout.buffer.flush()
    require_success(name, invoked)


def require_success(name: str, invoked: Invoked) -> None:
    if invoked.function_error:
        raise CommandFailed(f"{name} failed ({invoked.function_error}). Its log: ondol logs {name}")


def _accept(
    client: Client, name: str, sent: bytes, qualifier: str | None, *, tenant: str | None, tail: bool, as_json: bool
) -> None:
    """Have it run at some time, and print the id under which its log shows it."""
    if tail:
        raise CommandFailed(f"With --async nobody waits for the log. See it with: ondol logs {name}", 2)
    try:
        request_id = client.invoke_later(name, sent, qualifier, tenant)
    except Refused as refused:
        raise no_such_function(name) if refused.not_found and qualifier is None else refused from refused
    typer.echo(json.dumps({"requestId": request_id}, indent=2) if as_json else request_id)


def _event(payload: str, name: str | None, settings: list[str]) -> bytes:
    """The event's bytes, from wherever it is to come. Raises `CommandFailed` if that is not clear."""
    if name is None:
        if settings:
            raise CommandFailed("--set changes a sample event: name one with --event.", 2)
        return read_payload(payload)
    if payload:
        raise CommandFailed("Give a payload or --event, not both.", 2)
    return json.dumps(sample(name, settings)).encode()


def read_payload(payload: str) -> bytes:
    """The event's bytes from what was given for it. Raises `CommandFailed`."""
    if payload == "-":
        return sys.stdin.buffer.read()
    if not payload.startswith("@"):
        return payload.encode()
    try:
        return Path(payload[1:]).read_bytes()
    except OSError as error:
        raise CommandFailed(f"The payload file {payload[1:]} cannot be read: {error.strerror}.", 2) from error


def _members(invoked: Invoked) -> dict[str, object]:
    try:
        payload = json.loads(invoked.payload) if invoked.payload else None
    except ValueError:
        payload = invoked.payload.decode(errors="replace")
    return {
        "payload": payload,
        "executedVersion": invoked.version,
        "functionError": invoked.function_error,
        "requestId": invoked.request_id,
        "log": invoked.log,
    }
