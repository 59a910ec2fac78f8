"""A step in the making: an execution as it would be, over what it is. Pure.

Nothing of it is true until it has been written; a decision that is refused half-way leaves nothing behind.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from ondol.durable.records import (
    Error,
    Happened,
    Kind,
    Operation,
    Outcome,
    Phase,
    Progress,
    Stage,
    Status,
    Step,
    size_of,
)
from ondol.model.time import WallTime

_ENDED_AS = {
    Status.SUCCEEDED: ("ExecutionSucceeded", Stage.SUCCEEDED),
    Status.FAILED: ("ExecutionFailed", Stage.FAILED),
    Status.TIMED_OUT: ("ExecutionTimedOut", Stage.TIMED_OUT),
    Status.STOPPED: ("ExecutionStopped", Stage.STOPPED),
}


class Draft:
    def __init__(self, execution: str, progress: Progress, operations: Mapping[str, Operation], now: WallTime) -> None:
        self.execution = execution
        """The id, which its EXECUTION operation has too."""

        self.now = now
        self.progress = self._progress_before = progress
        self._before = operations
        self._changed: dict[str, Operation] = {}
        self._events: list[Happened] = []

    def get(self, operation: str) -> Operation | None:
        return self._changed.get(operation) or self._before.get(operation)

    @property
    def count(self) -> int:
        """Operations there are."""
        return len(self._before) + sum(id not in self._before for id in self._changed)

    @property
    def changed(self) -> Iterable[Operation]:
        return self._changed.values()

    @property
    def stored(self) -> int:
        """Bytes of payloads and errors, with what has changed."""
        return self.progress.stored + sum(map(_size, self._changed.values()))

    def put(self, operation: Operation) -> None:
        self._changed[operation.id] = operation

    def happened(self, type: str, operation: str | None = None, **details: Any) -> None:
        """`details` that are None are left out."""
        self._events.append(Happened(type, operation, _given(details)))

    def preceded(self, type: str, **details: Any) -> None:
        """As `happened`, of what was before all that has happened yet."""
        self._events.insert(0, Happened(type, None, _given(details)))

    def change(self, **fields: Any) -> None:
        """Of the progress."""
        self.progress = replace(self.progress, **fields)

    def close(self, status: Status, result: str | None = None, error: Error | None = None) -> None:
        """The execution ends."""
        event, stage = _ENDED_AS[status]
        whole = self.get(self.execution)
        if whole is not None:
            self.put(replace(whole, stage=stage, ended=self.now))
        self.happened(event, self.execution)
        outcome = Outcome(status, self.now, result, error)
        self.change(phase=Phase.CLOSED, outcome=outcome, retry_at=None, pause=None)

    def step(self) -> Step | None:
        """What is to be written; None if nothing changed."""
        if not self._changed and not self._events and self.progress is self._progress_before:
            return None
        progress = replace(self.progress, events=self.progress.events + len(self._events), stored=self.stored)
        return Step(self.now, progress, tuple(self._changed.values()), tuple(self._events))


def _given(details: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in details.items() if value is not None}


def _size(operation: Operation) -> int:
    given = operation.input if operation.stage is Stage.STARTED else None
    error = 0 if operation.error is None else len(msgspec.json.encode(operation.error))
    return size_of(operation.result) + size_of(given) + error


def whole(execution: str, name: str, payload: str, now: WallTime) -> Operation:
    """The EXECUTION operation with which each execution begins."""
    return Operation(execution, Kind.EXECUTION, Stage.STARTED, now, name=name, input=payload)
