"""The lines as a table for people."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from figure import Line

PLAIN_WIDTH = 140
"""Of a table that goes into a file."""

_COLOURS = {"aim": "green", "pass": "green", "FAIL": "bold red", "": ""}


def show(lines: Sequence[Line], broken: Mapping[str, str], machine: Mapping[str, object]) -> None:
    """Print it, and below it what could not be measured and where all this was measured."""
    columns = Table()
    for title in ("figure", "ondol", "beside", "its", "judged", "must", "aim", ""):
        columns.add_column(title, justify="left" if title in {"figure", "beside", ""} else "right")
    for line in lines:
        judged = "" if line.judged is None else _number(line.judged, line.judged_unit)
        name = f"{line.name}\n[dim]  {line.note}[/dim]" if line.note else line.name
        columns.add_row(
            name,
            _number(line.ours, line.unit),
            line.peer,
            "" if line.theirs is None else _number(line.theirs, line.unit),
            judged,
            _bound(line, line.must),
            _bound(line, line.aim),
            f"[{_COLOURS[line.verdict]}]{line.verdict}[/]" if line.verdict else "",
        )
    console = Console()
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    console.print(columns)
    for name, why in broken.items():
        console.print(f"[bold red]{name} was not measured:[/] {why}", highlight=False)
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()), style="dim", highlight=False)


def _bound(line: Line, bound: float | None) -> str:
    if bound is None:
        return ""
    unit = line.unit if line.judged is None else line.judged_unit
    return f"{'≤' if line.at_most else '≥'} {_number(bound, unit)}"


def _number(value: float, unit: str) -> str:
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".rstrip()
