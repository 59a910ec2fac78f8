"""What time does to operations: waits end, steps are ready for another attempt, callbacks time out. Pure."""

from collections.abc import Iterable

from msgspec.structs import replace

from ondol.durable.draft import Draft
from ondol.durable.records import Kind, Operation, Stage
from ondol.model.time import WallTime


def due_at(operation: Operation) -> WallTime | None:
    """When its time has come; None if it has none, or waits for something else."""
    times = [at for at in (operation.due, operation.silent_until) if at is not None]
    return min(times) if times and operation.waits else None


def fire(draft: Draft, waiting: Iterable[str]) -> bool:
    """Bring on what is due of these operations; whether anything was."""
    fired = False
    for id in waiting:
        operation = draft.get(id)
        at = None if operation is None else due_at(operation)
        if operation is not None and at is not None and at <= draft.now:
            _bring_on(draft, operation)
            fired = True
    return fired


def _bring_on(draft: Draft, operation: Operation) -> None:
    match operation.kind:
        case Kind.WAIT:
            draft.put(replace(operation, stage=Stage.SUCCEEDED, ended=draft.now))
            draft.happened("WaitSucceeded", operation.id, Duration=operation.seconds)
        case Kind.STEP:
            draft.put(replace(operation, stage=Stage.READY, due=None))
        case _:
            silent = operation.silent_until is not None and (
                operation.due is None or operation.silent_until < operation.due
            )
            if silent:
                error = {"ErrorType": "Callback.Heartbeat", "ErrorMessage": "Callback timed out on heartbeat"}
            else:
                error = {"ErrorType": "Callback.Timeout", "ErrorMessage": "Callback timed out"}
            draft.put(replace(operation, stage=Stage.TIMED_OUT, ended=draft.now, error=error))
            draft.happened("CallbackTimedOut", operation.id)
