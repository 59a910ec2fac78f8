"""What goes to the terminal, and the one thing that is asked there.

Results go to stdout, everything else to stderr; colours and motion are for a terminal only.
"""

import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import typer

from ondol.cli.failure import CommandFailed

if TYPE_CHECKING:
    from rich.status import Status

_SILENT_S = 0.5


def say(text: str) -> None:
    """A remark: what was decided, what comes next."""
    typer.echo(text, err=True)


def sure(yes: bool, what: str) -> None:
    """Raises `CommandFailed` unless somebody said that this is to be deleted."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandFailed(f"Deleting {what} needs a yes, and nobody is there to ask. Add --yes.", 2)
    if not typer.confirm(f"Delete {what}?", err=True):
        raise CommandFailed("Nothing was deleted.")


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns, as wide as they need to be."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]

    def line(row: Sequence[str]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

    typer.secho(line(headings), bold=True)
    for row in cells:
        typer.echo(line(row))


class Progress:
    """Says what is being waited for, on a terminal and only once it takes noticeably long."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._timer = threading.Timer(_SILENT_S, self._show)
        self._timer.daemon = True
        self._status: Status | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._timer.ident is not None:
            self._timer.join()
        if self._status is not None:
            self._status.stop()

    def update(self, text: str) -> None:
        self._text = text
        if self._status is not None:
            self._status.update(text)

    def _show(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - slow to import, and seldom needed

        self._status = Console(stderr=True).status(self._text)
        self._status.start()
