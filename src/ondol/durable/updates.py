"""What a checkpoint may say, and what becomes of each operation by it. Pure.

```
 CONTEXT          START ─▶ STARTED ─▶ SUCCEED, FAIL
 STEP             START ─▶ STARTED ─▶ SUCCEED, FAIL
                                   └▶ RETRY ─▶ PENDING ─(its time)─▶ READY ─▶ as STARTED, or START again
 WAIT             START ─▶ STARTED ─(its time)─▶ SUCCEEDED;  CANCEL ─▶ CANCELLED
 CALLBACK         START ─▶ STARTED ─(whoever has its id, or its time)─▶ SUCCEEDED, FAILED, TIMED_OUT
 CHAINED_INVOKE   START ─▶ STARTED ─(the function's answer)─▶ SUCCEEDED, FAILED, TIMED_OUT, STOPPED
 EXECUTION        SUCCEED, FAIL: the last update of a checkpoint
```

A batch is taken whole or not at all. Source: the service model (sizes), and for rules and texts what the service is
seen to answer, by AWS's testing packages and by what others have recorded of it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from ondol.durable import tokens
from ondol.durable.draft import Draft
from ondol.durable.records import Error, Kind, Operation, Stage, Status, size_of
from ondol.model.errors import InvalidParameterValue
from ondol.model.limits import MEBIBYTE
from ondol.model.time import WallTime

OPERATIONS = 3_000
STORED_BYTES = 100 * MEBIBYTE
"""Of one execution (developer guide, "Monitoring durable functions")."""

PAYLOAD_BYTES = MEBIBYTE
ERROR_BYTES = MEBIBYTE

Update = Mapping[str, Any]
"""An OperationUpdate of the service model, its constraints met."""


class Chained(msgspec.Struct, frozen=True):
    """What a CHAINED_INVOKE was found to mean."""

    version: str
    child: str | None
    """The ARN that the execution of a durable function is to have."""


class NotChained(msgspec.Struct, frozen=True):
    """Why it cannot be: the operation fails at once."""

    error: Error


Targets = Mapping[str, Chained | NotChained]
"""By operation."""


def apply_updates(draft: Draft, updates: Sequence[Update], targets: Targets, largest_result: int) -> None:
    """Take a batch into the draft. Raises `InvalidParameterValue`: the draft is spoilt then."""
    _check_batch(updates)
    for update in updates:
        kind = Kind(update["Type"])
        _check_error(update)
        if kind is Kind.EXECUTION:
            _end(draft, update, largest_result)
            continue
        before = draft.get(update["Id"])
        if before is not None:
            _check_same(before, update)
        _check_parent(draft, update)
        _check_payload(kind, update)
        if kind is Kind.CHAINED_INVOKE:
            _chain(draft, update, before, targets)
        else:
            _TAKE[kind](draft, update, before)
    if draft.count > OPERATIONS:
        raise InvalidParameterValue(f"A durable execution can have at most {OPERATIONS} operations.")
    if draft.stored > STORED_BYTES:
        raise InvalidParameterValue(f"A durable execution can store at most {STORED_BYTES} bytes.")


# What holds for all


def _check_batch(updates: Sequence[Update]) -> None:
    ends = [number for number, update in enumerate(updates, 1) if update["Type"] == Kind.EXECUTION.value]
    if len(ends) > 1:
        raise InvalidParameterValue("Cannot checkpoint multiple EXECUTION updates.")
    if ends and ends[0] != len(updates):
        raise InvalidParameterValue("EXECUTION checkpoint must be the last update.")
    seen: dict[str, Update] = {}
    for update in updates:
        before = seen.get(update["Id"])
        if before is not None and not _completes(before, update):
            raise InvalidParameterValue("Cannot update the same operation twice in a single request.")
        seen[update["Id"]] = update


def _completes(before: Update, update: Update) -> bool:
    """A step or context may begin and end in one batch."""
    if before["Action"] != "START" or before["Type"] != update["Type"]:
        return False
    return update["Action"] in {"STEP": ("SUCCEED", "FAIL", "RETRY"), "CONTEXT": ("SUCCEED", "FAIL")}.get(
        update["Type"], ()
    )


def _check_same(before: Operation, update: Update) -> None:
    if before.kind.value != update["Type"]:
        raise InvalidParameterValue("Inconsistent operation type.")
    if update.get("SubType", before.subtype) != before.subtype:
        raise InvalidParameterValue("Inconsistent operation subtype.")
    if update.get("Name", before.name) != before.name:
        raise InvalidParameterValue("Inconsistent operation name.")
    if update.get("ParentId", before.parent) != before.parent:
        raise InvalidParameterValue("Inconsistent parent operation id.")


def _check_parent(draft: Draft, update: Update) -> None:
    if "ParentId" in update:
        parent = draft.get(update["ParentId"])
        if parent is None or parent.kind is not Kind.CONTEXT:
            raise InvalidParameterValue("Invalid parent operation id.")


def _check_payload(kind: Kind, update: Update) -> None:
    if size_of(update.get("Payload")) > PAYLOAD_BYTES:
        what = "CHAINED_INVOKE input" if kind is Kind.CHAINED_INVOKE else kind.value
        raise InvalidParameterValue(f"{what} payload size must be less than or equal to {PAYLOAD_BYTES} bytes.")


def _check_error(update: Update) -> None:
    if "Error" in update:
        check_error(update["Error"])
    action = update["Action"]
    if action == "SUCCEED" and "Error" in update:
        raise InvalidParameterValue("Cannot provide an Error for SUCCEED action.")
    if action == "FAIL" and "Payload" in update:
        raise InvalidParameterValue("Cannot provide a Payload for FAIL action.")


def check_error(error: Error) -> None:
    """Raises `InvalidParameterValue` for one that is too large."""
    if len(msgspec.json.encode(error)) > ERROR_BYTES:
        raise InvalidParameterValue(f"Error object size must be less than {ERROR_BYTES} bytes.")


def _begun(draft: Draft, update: Update, **more: Any) -> Operation:
    operation = Operation(
        id=update["Id"],
        kind=Kind(update["Type"]),
        stage=Stage.STARTED,
        started=draft.now,
        parent=update.get("ParentId"),
        name=update.get("Name"),
        subtype=update.get("SubType"),
    )
    return replace(operation, **more)


def _wrong_action() -> InvalidParameterValue:
    return InvalidParameterValue("Invalid action for the given operation type.")


def _in(draft: Draft, seconds: int) -> WallTime:
    return WallTime(draft.now + seconds * 1000)


# Each kind


def _end(draft: Draft, update: Update, largest_result: int) -> None:
    if update["Action"] not in ("SUCCEED", "FAIL"):
        raise InvalidParameterValue("Invalid EXECUTION action.")
    if size_of(update.get("Payload")) > largest_result:
        raise InvalidParameterValue(result_too_large(largest_result))
    if update["Action"] == "SUCCEED":
        draft.close(Status.SUCCEEDED, result=update.get("Payload"))
    else:
        draft.close(Status.FAILED, error=update.get("Error", {}))


def result_too_large(largest: int) -> str:
    """Of an execution."""
    return f"Execution output payload size must be less than or equal to {largest} bytes."


def _context(draft: Draft, update: Update, before: Operation | None) -> None:
    match update["Action"]:
        case "START":
            if before is not None:
                raise InvalidParameterValue("Cannot start a CONTEXT that already exist.")
            draft.put(_begun(draft, update))
            draft.happened("ContextStarted", update["Id"])
        case "SUCCEED" | "FAIL" as action:
            if before is None or before.stage is not Stage.STARTED:
                raise InvalidParameterValue("Invalid current CONTEXT state to close.")
            options = update.get("ContextOptions", {})
            draft.put(
                replace(
                    before,
                    stage=Stage.SUCCEEDED if action == "SUCCEED" else Stage.FAILED,
                    ended=draft.now,
                    result=update.get("Payload"),
                    error=update.get("Error"),
                    replay_children=options.get("ReplayChildren", before.replay_children),
                )
            )
            draft.happened("ContextSucceeded" if action == "SUCCEED" else "ContextFailed", update["Id"])
        case _:
            raise _wrong_action()


def _step(draft: Draft, update: Update, before: Operation | None) -> None:
    action = update["Action"]
    delay = update.get("StepOptions", {}).get("NextAttemptDelaySeconds")
    if action == "CANCEL":
        raise _wrong_action()
    if (delay is not None) != (action == "RETRY"):
        raise InvalidParameterValue("Invalid StepOptions for the given action.")
    if action == "START":
        if before is not None and before.stage is not Stage.READY:
            raise InvalidParameterValue("Invalid current STEP state to start.")
        draft.put(_begun(draft, update) if before is None else replace(before, stage=Stage.STARTED))
        draft.happened("StepStarted", update["Id"])
        return
    if before is None:
        before = _begun(draft, update)
    elif before.stage not in (Stage.STARTED, Stage.READY):
        what = "re-attempt" if action == "RETRY" else "close"
        raise InvalidParameterValue(f"Invalid current STEP state to {what}.")
    if "Payload" in update and "Error" in update:
        raise InvalidParameterValue("Cannot provide both error and payload to RETRY a STEP.")
    _attempted(draft, update, before, delay)


def _attempted(draft: Draft, update: Update, before: Operation, delay: int | None) -> None:
    """One attempt at a step is over: for good, or another follows."""
    attempt = before.attempt + 1
    done = replace(before, attempt=attempt, result=update.get("Payload"), error=update.get("Error"))
    failed = update["Action"] == "FAIL" or "Error" in update
    if delay is not None:
        draft.put(replace(done, stage=Stage.PENDING, due=_in(draft, delay)))
        retry = {"CurrentAttempt": attempt, "NextAttemptDelaySeconds": delay}
    else:
        draft.put(replace(done, stage=Stage.FAILED if failed else Stage.SUCCEEDED, ended=draft.now))
        retry = {"CurrentAttempt": attempt}
    draft.happened("StepFailed" if failed else "StepSucceeded", update["Id"], RetryDetails=retry)


def _wait(draft: Draft, update: Update, before: Operation | None) -> None:
    match update["Action"]:
        case "START":
            if before is not None:
                raise InvalidParameterValue("Cannot start a WAIT that already exist.")
            seconds = update.get("WaitOptions", {}).get("WaitSeconds")
            if seconds is None:
                raise InvalidParameterValue("Update for WAIT operation requires WaitOptions.")
            due = _in(draft, seconds)
            draft.put(_begun(draft, update, due=due, seconds=seconds))
            draft.happened("WaitStarted", update["Id"], Duration=seconds, ScheduledEndTimestamp=due)
        case "CANCEL":
            if before is None or before.stage is not Stage.STARTED:
                raise InvalidParameterValue("Cannot cancel a WAIT that does not exist or has already completed.")
            draft.put(replace(before, stage=Stage.CANCELLED, ended=draft.now, due=None))
            draft.happened("WaitCancelled", update["Id"])
        case _:
            raise _wrong_action()


def _callback(draft: Draft, update: Update, before: Operation | None) -> None:
    if update["Action"] != "START":
        raise _wrong_action()
    if before is not None:
        raise InvalidParameterValue("Cannot start a CALLBACK that already exist.")
    options = update.get("CallbackOptions", {})
    timeout, heartbeat = options.get("TimeoutSeconds") or None, options.get("HeartbeatTimeoutSeconds") or None
    id = tokens.write(tokens.CallbackId(draft.execution, update["Id"]))
    draft.put(
        _begun(
            draft,
            update,
            callback=id,
            due=None if timeout is None else _in(draft, timeout),
            seconds=heartbeat or 0,
            silent_until=None if heartbeat is None else _in(draft, heartbeat),
        )
    )
    draft.happened("CallbackStarted", update["Id"], CallbackId=id, Timeout=timeout, HeartbeatTimeout=heartbeat)


def _chain(draft: Draft, update: Update, before: Operation | None, targets: Targets) -> None:
    if update["Action"] != "START":
        raise _wrong_action()
    options = update.get("ChainedInvokeOptions")
    if options is None:
        raise InvalidParameterValue("Update for CHAINED_INVOKE operation requires ChainedInvokeOptions.")
    if before is not None:
        raise InvalidParameterValue("Cannot start a CHAINED_INVOKE that already exist.")
    target = targets[update["Id"]]
    function, tenant = options["FunctionName"], options.get("TenantId")
    begun = _begun(draft, update, input=update.get("Payload"), function=function, tenant=tenant)
    if isinstance(target, NotChained):
        draft.put(replace(begun, stage=Stage.FAILED, ended=draft.now, error=target.error))
        draft.happened("ChainedInvokeStarted", update["Id"], FunctionName=function, TenantId=tenant)
        draft.happened("ChainedInvokeFailed", update["Id"])
        return
    draft.put(replace(begun, version=target.version, child=target.child))
    draft.happened(
        "ChainedInvokeStarted",
        update["Id"],
        FunctionName=function,
        TenantId=tenant,
        ExecutedVersion=target.version,
        DurableExecutionArn=target.child,
    )


_TAKE: Mapping[Kind, Callable[[Draft, Update, Operation | None], None]] = {
    Kind.CONTEXT: _context,
    Kind.STEP: _step,
    Kind.WAIT: _wait,
    Kind.CALLBACK: _callback,
}
