"""What `ondol dev` shows as it goes on: lines for a person, or one JSON object a line for a program."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import typer

from ondol.aws.moments import to_the_millisecond
from ondol.cli.logs import PLATFORM_LINES
from ondol.cli.syntax import SyntaxFault
from ondol.cli.traces import Kind, lines_of

_STYLES: dict[Kind, dict[str, Any]] = {
    Kind.HEADLINE: {"fg": typer.colors.RED, "bold": True},
    Kind.FRAME: {"fg": typer.colors.CYAN},
    Kind.SOURCE: {"fg": typer.colors.YELLOW, "bold": True},
    Kind.TEXT: {},
}
_NAMED = 3
"""Files that are named of those that were saved."""


class Deployed(NamedTuple):
    function: str
    created: bool
    milliseconds: int
    """From when the change was noticed until the new code is what runs."""

    size: int
    """Of the package, in bytes."""

    files: Sequence[str]
    """That were saved."""


class Feed(Protocol):
    """Safe to use from several threads."""

    def deployed(self, deployed: Deployed) -> None: ...

    def broken(self, faults: Sequence[SyntaxFault]) -> None:
        """These files cannot be compiled, and so nothing was deployed."""
        ...

    def changed(self, done: str, kind: str, name: str) -> None:
        """Something else that a template makes was created, updated or deleted."""
        ...

    def address(self, method: str, url: str, function: str) -> None:
        """Where a function is called over HTTP."""
        ...

    def failed(self, reason: str) -> None:
        """What was saved could not be deployed."""
        ...

    def of(self, function: str, directory: Path) -> "Feed":
        """The same for one of several functions, whose files are there: what it logs is told as its own."""
        ...

    def log(self, event: dict[str, Any]) -> None:
        """One event as CloudWatch Logs has it."""
        ...


class TextFeed:
    def __init__(self, directory: Path, label: str = "", lock: "threading.Lock | None" = None) -> None:
        self._directory = directory
        self._label = label
        self._lock = lock or threading.Lock()

    def of(self, function: str, directory: Path) -> "TextFeed":
        return TextFeed(directory, f"{function} ", self._lock)

    def changed(self, done: str, kind: str, name: str) -> None:
        with self._lock:
            typer.secho(f"{done} {kind} {name}", fg=typer.colors.GREEN)

    def address(self, method: str, url: str, function: str) -> None:
        with self._lock:
            typer.echo(f"{method} {url} calls {function}")

    def deployed(self, deployed: Deployed) -> None:
        done = "Created" if deployed.created else "Updated"
        text = f"{done} {deployed.function} in {deployed.milliseconds} ms"
        if deployed.files:
            more = len(deployed.files) - _NAMED
            text += f" ({', '.join(deployed.files[:_NAMED])}{f' and {more} more' if more > 0 else ''})"
        with self._lock:
            typer.secho(text, fg=typer.colors.GREEN)

    def broken(self, faults: Sequence[SyntaxFault]) -> None:
        with self._lock:
            for fault in faults:
                typer.secho(f"{fault.file}:{fault.line}: {fault.message}", fg=typer.colors.RED, bold=True)
                if fault.source:
                    source = fault.source.lstrip()
                    typer.secho(f"    {source}", **_STYLES[Kind.SOURCE])
                    column = fault.column - 1 - (len(fault.source) - len(source))
                    if 0 <= column <= len(source):
                        typer.secho(f"    {' ' * column}^", fg=typer.colors.RED)
            typer.echo("Not deployed until this is mended.")

    def failed(self, reason: str) -> None:
        with self._lock:
            typer.secho(reason, fg=typer.colors.RED)

    def log(self, event: dict[str, Any]) -> None:
        quiet = event["message"].startswith(PLATFORM_LINES)
        with self._lock:
            typer.secho(f"{to_the_millisecond(event['timestamp'])} {self._label}", dim=True, nl=False)
            for line in lines_of(event["message"], str(self._directory), self._source_line):
                typer.secho(line.text, dim=quiet or None, **_STYLES[line.kind])

    def _source_line(self, name: str, number: int) -> str | None:
        try:
            lines = (self._directory / name).read_text("utf-8", "replace").splitlines()
        except OSError:
            return None
        return lines[number - 1] if number <= len(lines) else None


class JsonFeed:
    def __init__(self, function: str | None = None, lock: "threading.Lock | None" = None) -> None:
        self._function = {} if function is None else {"function": function}
        self._lock = lock or threading.Lock()

    def of(self, function: str, directory: Path) -> "JsonFeed":
        return JsonFeed(function, self._lock)

    def changed(self, done: str, kind: str, name: str) -> None:
        self._say("changed", done=done, what=kind, name=name)

    def address(self, method: str, url: str, function: str) -> None:
        self._say("address", method=method, url=url, function=function)

    def deployed(self, deployed: Deployed) -> None:
        self._say("deployed", **deployed._asdict())

    def broken(self, faults: Sequence[SyntaxFault]) -> None:
        for fault in faults:
            self._say("broken", **fault._asdict())

    def failed(self, reason: str) -> None:
        self._say("failed", message=reason)

    def log(self, event: dict[str, Any]) -> None:
        self._say("log", **event, **self._function)

    def _say(self, happened: str, **members: Any) -> None:
        with self._lock:
            typer.echo(json.dumps({"event": happened, **members}))
