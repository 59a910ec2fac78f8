"""`ondol logs`: what a function has logged, and what it logs now."""

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from ondol.aws.moments import to_the_millisecond
from ondol.cli.client import DEFAULT_ENDPOINT, Client, Refused
from ondol.cli.console import say
from ondol.cli.failure import CommandFailed, no_such_function
from ondol.cli.options import Endpoint, Json, Name

_POLL_S = 0.5
_OVERLAP_MS = 2000
"""Streams reach the disk one after the other: so far back a later question looks for lines that came late."""

_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
PLATFORM_LINES = ("INIT_START ", "START RequestId: ", "END RequestId: ", "REPORT RequestId: ")


class LogReader:
    """A group's events, each once, in the order in which they can be known."""

    def __init__(self, client: Client, group: str, since_ms: int) -> None:
        self._client = client
        self._group = group
        self._since = self._newest = since_ms
        self._seen: dict[str, int] = {}

    def unseen(self) -> Iterator[dict[str, Any]]:
        """What has come since it was asked before. Raises `Refused`, `not_found` where nothing was logged yet."""
        oldest = max(self._since, self._newest - _OVERLAP_MS)
        self._seen = {event_id: at for event_id, at in self._seen.items() if at >= oldest}
        for event in self._client.log_events(self._group, oldest):
            if event["eventId"] not in self._seen:
                self._seen[event["eventId"]] = event["timestamp"]
                self._newest = max(self._newest, event["timestamp"])
                yield event


def logs(
    name: Name,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is logged from now on.")] = False,
    since: Annotated[str, typer.Option(help="How far back: 30s, 10m, 2h, 1d.")] = "10m",
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    as_json: Json = False,
) -> None:
    """Print a function's log, all its environments together."""
    start = max(0, int(time.time() * 1000) - _milliseconds(since))
    client = Client(endpoint)
    group, exists = _group(client, name)
    try:
        for event in _events(LogReader(client, group, start), follow):
            if event is None:
                if not exists:
                    raise no_such_function(name)
                say(f"{name} has not logged anything yet.")
            else:
                _show(event, as_json)
    except KeyboardInterrupt:
        # The way to stop following; nothing is left half done.
        return


def _milliseconds(since: str) -> int:
    match = re.fullmatch(r"(\d+)([smhd])", since)
    if match is None:
        raise CommandFailed(f"--since must be a number with s, m, h or d, such as 10m, not {since!r}.", 2)
    return int(match[1]) * _UNITS_MS[match[2]]


def _group(client: Client, name: str) -> tuple[str, bool]:
    """The function's log group, and whether there is such a function: logs outlive theirs."""
    try:
        configuration = client.configuration(name)
    except Refused as refused:
        if not refused.not_found:
            raise
        return f"/aws/lambda/{name}", False
    return group_of(configuration, name), True


def group_of(configuration: Mapping[str, Any], name: str) -> str:
    """Where a function logs to."""
    group: str = configuration.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{name}")
    return group


def _events(reader: LogReader, follow: bool) -> Iterator[dict[str, Any] | None]:
    """Events as they come; None once, if there is no group yet."""
    waiting = False
    while True:
        try:
            yield from reader.unseen()
        except Refused as refused:
            if not refused.not_found:
                raise
            if not waiting:
                yield None
            waiting = True
        if not follow:
            return
        sys.stdout.flush()
        time.sleep(_POLL_S)


def _show(event: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(event))
        return
    # Runtimes keep the lines of one record together with carriage returns, which a terminal takes at their word.
    message = event["message"].rstrip("\n").replace("\r", "\n")
    typer.secho(f"{to_the_millisecond(event['timestamp'])} ", dim=True, nl=False)
    typer.secho(message, dim=message.startswith(PLATFORM_LINES))
