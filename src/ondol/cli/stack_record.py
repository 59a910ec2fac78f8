"""What a stack has made so far, as ondol keeps it: written before each thing is made, so that nothing is forgotten."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from ondol.cli.client import Client, Refused
from ondol.templates.steps import Kind


class Made(NamedTuple):
    """One thing that a step made, or was about to make."""

    id: str
    kind: Kind
    name: str


class StackRecord:
    def __init__(self, client: Client, stack: str) -> None:
        self._client = client
        self._path = f"stacks/{stack}"
        self._made: dict[tuple[Kind, str], Made] = {}
        try:
            told: dict[str, Any] = client.own("GET", self._path)
        except Refused as refused:
            if not refused.not_found:
                raise
            told = {}
        self.exists = bool(told)
        for entry in told.get("made", ()):
            made = Made(entry["id"], Kind(entry["kind"]), entry["name"])
            self._made[made.kind, made.name] = made

    def __iter__(self) -> Iterator[Made]:
        return iter(list(self._made.values()))

    def __contains__(self, made: Made) -> bool:
        return (made.kind, made.name) in self._made

    def begin(self, made: Made) -> None:
        """It is about to be made. Durable when this returns."""
        if made not in self:
            self._made[made.kind, made.name] = made
            self._write()

    def forget(self, made: Made) -> None:
        """It is gone."""
        del self._made[made.kind, made.name]
        self._write()

    def delete(self) -> None:
        """The stack is no more."""
        if self.exists:
            self._client.own("DELETE", self._path)

    def _write(self) -> None:
        entries = [{"id": made.id, "kind": made.kind.value, "name": made.name} for made in self._made.values()]
        self._client.own("PUT", self._path, {"made": entries})
        self.exists = True
