"""`ondol status`: what the ondol that runs is doing."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import typer

from ondol.cli.client import DEFAULT_ENDPOINT, Client
from ondol.cli.console import table
from ondol.cli.options import Endpoint, Json

_SHOWN = ("function", "version", "state", "worker")


def status(*, endpoint: Endpoint = DEFAULT_ENDPOINT, as_json: Json = False) -> None:
    """Show workers, slots and environments."""
    client = Client(endpoint, operator=True)
    report = client.status()
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    environments = _rows(report.get("environments"))
    typer.echo(f"ondol {report.get('version', '?')} at {client.endpoint}: {_summary(report, environments)}.")
    if (events := _events(report.get("events"))) is not None:
        typer.echo(events)
    workers = _rows(report.get("workers"))
    if workers:
        typer.echo()
        table(("WORKER", "ENVIRONMENTS", "MEMORY", "SLOTS READY"), [_worker(worker) for worker in workers])
    if environments:
        typer.echo()
        alike = Counter(tuple(_text(row.get(key)) for key in _SHOWN) for row in environments)
        table((*map(str.upper, _SHOWN), "ENVIRONMENTS"), [(*row, number) for row, number in sorted(alike.items())])


def _summary(report: Mapping[str, Any], environments: list[Mapping[str, Any]]) -> str:
    states = Counter(_text(environment.get("state")) for environment in environments)
    by_state = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    detail = f" ({by_state})" if by_state else ""
    functions = f"{_count(report['functions'], 'function')}, " if "functions" in report else ""
    return f"{functions}{_count(len(environments), 'environment')}{detail}"


def _events(counts: object) -> str | None:
    """How many events and records of them wait, if any do."""
    if not isinstance(counts, dict) or not any(counts.values()):
        return None
    return "Events: " + ", ".join(f"{_text(count)} {name.replace('_', ' ')}" for name, count in counts.items()) + "."


def _count(number: object, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _worker(worker: Mapping[str, Any]) -> tuple[str, ...]:
    slots = worker.get("slots")
    ready = ", ".join(f"{runtime}: {number}" for runtime, number in slots.items()) if isinstance(slots, dict) else ""
    memory = worker.get("memory_mb")
    return (
        _text(worker.get("id")),
        _text(worker.get("environments")),
        "-" if memory is None else f"{memory} MB",
        ready or "-",
    )


def _rows(value: object) -> list[Mapping[str, Any]]:
    """What of a report can be shown in rows: an ondol of another version may say something else."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return "-" if value is None else str(value)
