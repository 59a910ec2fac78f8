"""Functions that durable functions invoke and wait for: which are meant, and what their answers make of the operation.

Source: developer guide, "Chained invocations"; texts as others have recorded them.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from ondol.aws.names import resolve_function
from ondol.durable.api import Failed, Ran, Refused, Run, Runner, RunOutcome
from ondol.durable.function_answers import error_of
from ondol.durable.records import Error, Head, Operation, Outcome, Stage, Status
from ondol.durable.updates import PAYLOAD_BYTES, Chained, NotChained, Targets, Update
from ondol.model.arn import FunctionArn
from ondol.model.errors import CallerError, InvalidParameterValue
from ondol.model.function import FunctionKey
from ondol.model.ids import RequestId
from ondol.model.limits import DurableSchedule
from ondol.model.time import SECOND

Answer = tuple[Stage, str | None, Error | None]
"""How the operation ends: its stage, with a result or an error."""

_UNQUALIFIED = "You cannot invoke a durable function using an unqualified ARN."
_ENDED = {Status.SUCCEEDED: Stage.SUCCEEDED, Status.TIMED_OUT: Stage.TIMED_OUT, Status.STOPPED: Stage.STOPPED}


async def find_targets(head: Head, updates: Sequence[Update], runner: Runner, new_id: Callable[[], str]) -> Targets:
    """What the CHAINED_INVOKEs of a batch mean. Raises `InvalidParameterValue` for another account."""
    return {
        update["Id"]: await _target(head, update["ChainedInvokeOptions"], runner, new_id)
        for update in updates
        if update["Type"] == "CHAINED_INVOKE" and "ChainedInvokeOptions" in update
    }


async def _target(
    head: Head, options: Mapping[str, str], runner: Runner, new_id: Callable[[], str]
) -> Chained | NotChained:
    try:
        arn = _named(head, options["FunctionName"])
    except CallerError as error:
        return _not_chained(error)
    if arn.account != head.function.account:
        raise InvalidParameterValue("Cannot start a CHAINED_INVOKE on a function in another account.")
    function = FunctionKey(arn.account, arn.region, arn.name)
    try:
        version = await runner.find(function, arn.qualifier, options.get("TenantId"))
        if version.durable is not None and arn.qualifier is None:
            raise InvalidParameterValue(_UNQUALIFIED)
    except CallerError as error:
        return _not_chained(error)
    if version.durable is None:
        return Chained(version.version, None)
    return Chained(version.version, f"{version.arn}/durable-execution/{new_id()}/{new_id()}")


def _not_chained(error: CallerError) -> NotChained:
    return NotChained({"ErrorType": error.code, "ErrorMessage": error.message})


def _named(head: Head, name: str) -> FunctionArn:
    function = head.function
    return resolve_function(name, None, function.account, function.region, "Invoke")


async def run_plain(
    head: Head,
    operation: Operation,
    *,
    runner: Runner,
    schedule: DurableSchedule,
    new_id: Callable[[], str],
    chance: Callable[[], float],
) -> Answer:
    """Run a function that is not durable, once; what has not begun is tried again for as long as it takes."""
    function = FunctionKey(head.function.account, head.function.region, _named(head, operation.function or "").name)
    payload = (operation.input or "{}").encode()
    times = 0
    while True:
        request = RequestId(new_id())
        run = Run(function, operation.version or "", payload, request, head.trace, operation.tenant)
        outcome = await runner.run(run)
        if not isinstance(outcome, Refused) or outcome.gone or outcome.started:
            return _answer_of(outcome)
        delay = min(schedule.longest, schedule.retry << min(times, 40))
        await asyncio.sleep(delay * (1 + chance() / 4) / SECOND)
        times += 1


def _answer_of(outcome: RunOutcome) -> Answer:
    match outcome:
        case Ran(payload) if len(payload) > PAYLOAD_BYTES:
            text = f"CHAINED_INVOKE output payload size must be less than or equal to {PAYLOAD_BYTES} bytes."
            return Stage.FAILED, None, {"ErrorMessage": text}
        case Ran(payload):
            return Stage.SUCCEEDED, payload.decode(errors="replace"), None
        case Failed(payload):
            return Stage.FAILED, None, error_of(payload)
        case Refused(message, gone, _):
            kind = "ResourceNotFoundException" if gone else "ServiceException"
            return Stage.FAILED, None, {"ErrorType": kind, "ErrorMessage": message}


def answer_of_child(head: Head, outcome: Outcome) -> Answer:
    """What the end of a durable function's execution makes of the operation that began it."""
    stage = _ENDED.get(outcome.status, Stage.FAILED)
    if stage is Stage.TIMED_OUT:
        text = f"CHAINED_INVOKE timed out after {head.timeout_s} seconds."
        return stage, None, {"ErrorType": "ChainedInvoke.Timeout", "ErrorMessage": text}
    return stage, outcome.result, outcome.error
