"""Operations, events and executions as the service model has them, and as a function is told of them. Pure.

Times are in milliseconds: the wire writes them in its own way, and functions are told them so.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ondol.durable.machine import Execution
from ondol.durable.records import Closed, Happened, Head, Kind, Operation, Status, Step
from ondol.model.time import WallTime

Shown = dict[str, Any]

_DETAILS = {
    Kind.EXECUTION: "ExecutionDetails",
    Kind.CONTEXT: "ContextDetails",
    Kind.STEP: "StepDetails",
    Kind.WAIT: "WaitDetails",
    Kind.CALLBACK: "CallbackDetails",
    Kind.CHAINED_INVOKE: "ChainedInvokeDetails",
}


def shown_operation(operation: Operation) -> Shown:
    """As Operation."""
    return _present(
        {
            "Id": operation.id,
            "ParentId": operation.parent,
            "Name": operation.name,
            "Type": operation.kind.value,
            "SubType": operation.subtype,
            "StartTimestamp": operation.started,
            "EndTimestamp": operation.ended,
            "Status": operation.stage.value,
            _DETAILS[operation.kind]: _present(_details(operation)),
        }
    )


def _details(operation: Operation) -> Shown:
    answer = {"Result": operation.result, "Error": operation.error}
    match operation.kind:
        case Kind.EXECUTION:
            return {"InputPayload": operation.input}
        case Kind.CONTEXT:
            return {"ReplayChildren": operation.replay_children or None, **answer}
        case Kind.STEP:
            return {"Attempt": operation.attempt, "NextAttemptTimestamp": operation.due, **answer}
        case Kind.WAIT:
            return {"ScheduledEndTimestamp": operation.due}
        case Kind.CALLBACK:
            return {"CallbackId": operation.callback, **answer}
        case Kind.CHAINED_INVOKE:
            return answer


# The history

_INPUTS = frozenset(("ExecutionStarted", "ChainedInvokeStarted"))
_RESULTS = frozenset(
    ("ExecutionSucceeded", "ContextSucceeded", "StepSucceeded", "CallbackSucceeded", "ChainedInvokeSucceeded")
)
_ERRORS = frozenset(
    (
        *("ExecutionFailed", "ExecutionStopped", "ContextFailed", "StepFailed", "CallbackFailed", "CallbackTimedOut"),
        *("ChainedInvokeFailed", "ChainedInvokeTimedOut", "ChainedInvokeStopped"),
    )
)
_WRAPPED = ("Error", "Reason")
"""Payloads that an event has by itself."""


def shown_events(head: Head, steps: Iterable[Step], with_data: bool) -> list[Shown]:
    """As Event, oldest first."""
    names: dict[str, Operation] = {}
    events: list[Shown] = []
    for step in steps:
        names.update((operation.id, operation) for operation in step.operations)
        for event in step.events:
            operation = None if event.operation is None else names.get(event.operation)
            shown = _present(
                {
                    "EventType": event.type,
                    "EventId": len(events) + 1,
                    "EventTimestamp": step.at,
                    "Id": event.operation,
                    "Name": None if operation is None else operation.name,
                    "SubType": None if operation is None else operation.subtype,
                    "ParentId": None if operation is None else operation.parent,
                }
            )
            shown[f"{event.type}Details"] = _event_details(event, operation, step, with_data)
            events.append(shown)
    return events


def _event_details(event: Happened, operation: Operation | None, step: Step, with_data: bool) -> Shown:
    details = dict(event.details)
    for member in _WRAPPED:
        if member in details and not with_data:
            details[member] = {"Truncated": True}
    outcome = step.progress.outcome
    source = outcome if event.type.startswith("Execution") and outcome is not None else operation
    if event.type in _INPUTS:
        details["Input"] = _payload(None if operation is None else operation.input, with_data)
    elif event.type in _RESULTS:
        details["Result"] = _payload(None if source is None else source.result, with_data)
    elif event.type in _ERRORS:
        details["Error"] = _payload(None if source is None else source.error, with_data)
    return details


def _payload(payload: str | Mapping[str, Any] | None, with_data: bool) -> Shown:
    if not with_data:
        return {"Truncated": True}
    return {"Truncated": False} if payload is None else {"Payload": payload, "Truncated": False}


# An execution


def shown_status(head: Head, execution: Execution | None) -> Status:
    """`execution` where it has not ended yet."""
    if head.closed is not None:
        return Status.DELETING if head.closed.deleting else head.closed.status
    assert execution is not None
    return execution.status


def summary(head: Head, status: Status, ended: WallTime | None) -> Shown:
    """As Execution."""
    return _present(
        {
            "DurableExecutionArn": head.arn,
            "DurableExecutionName": head.name,
            "FunctionArn": f"{head.function.arn}:{head.version}",
            "Status": status.value,
            "StartTimestamp": head.started,
            "EndTimestamp": ended,
            "KMSKeyArn": head.kms_key,
        }
    )


def being_deleted(head: Head, closed: Closed) -> Shown:
    """As GetDurableExecution answers while data go."""
    shown = summary(head, Status.DELETING, closed.ended)
    return {**shown, "Version": head.version, "ExecutionDataIncluded": False}


def described(head: Head, execution: Execution, status: Status, with_data: bool) -> Shown:
    """As GetDurableExecution answers."""
    outcome = execution.progress.outcome
    shown = summary(head, status, None if outcome is None else outcome.ended)
    shown.pop("KMSKeyArn", None)
    shown |= {
        "Version": head.version,
        "ExecutionDataIncluded": with_data,
        "DurableConfig": _present(
            {
                "ExecutionTimeout": head.timeout_s,
                "RetentionPeriodInDays": head.retention_days,
                "KMSKeyArn": head.kms_key,
            }
        ),
    }
    if head.trace is not None:
        shown["TraceHeader"] = {"XAmznTraceId": head.trace}
    if outcome is None:
        shown["ExpectedExecutionTimeoutTimestamp"] = execution.deadline
    pause = execution.progress.pause
    if pause is not None:
        shown["PauseDetails"] = _present(
            {
                "PauseRequestTimestamp": pause.requested,
                "ExecutionTimeoutPaused": pause.stops_clock,
                "Reason": pause.reason if with_data else None,
            }
        )
    if with_data:
        shown["InputPayload"] = execution.operations[head.id].input
        if outcome is not None:
            shown |= _present({"Result": outcome.result, "Error": outcome.error})
    return shown


def _present(members: Shown) -> Shown:
    return {name: value for name, value in members.items() if value is not None}
