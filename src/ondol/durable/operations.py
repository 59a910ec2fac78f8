"""AWS's operations on durable executions: from what a request says to what becomes of an execution, and back.

Source: API reference, of the operations whose names end in DurableExecution or begin with SendDurableExecutionCallback.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from ondol.control.api import Caller
from ondol.durable import tokens
from ondol.durable.chaining import find_targets
from ondol.durable.executions import Executions
from ondol.durable.life import Life
from ondol.durable.machine import Checkpoint, callback_closed, replayed
from ondol.durable.paging import page, position_of
from ondol.durable.records import Error, Head, Pause, Stage
from ondol.durable.shown import being_deleted, described, shown_events, shown_operation, shown_status, summary
from ondol.durable.updates import check_error
from ondol.model.errors import InvalidParameterValue, ResourceConflict, ResourceNotFound
from ondol.model.function import FunctionKey
from ondol.model.time import WallTime

Parameters = Mapping[str, Any]
Answer = dict[str, Any]
Operation = Callable[[Caller, Parameters], Coroutine[Any, Any, Answer]]


class DurableOperations:
    def __init__(self, executions: Executions) -> None:
        self._executions = executions

    def table(self) -> Mapping[str, Operation]:
        """What is served, by operation."""
        return {
            "CheckpointDurableExecution": self.checkpoint,
            "GetDurableExecutionState": self.state,
            "GetDurableExecution": self.get,
            "GetDurableExecutionHistory": self.history,
            "ListDurableExecutionsByFunction": self.list,
            "StopDurableExecution": self.stop,
            "PauseDurableExecution": self.pause,
            "ResumeDurableExecution": self.resume,
            "DeleteDurableExecution": self.delete,
            "SendDurableExecutionCallbackSuccess": self.callback_success,
            "SendDurableExecutionCallbackFailure": self.callback_failure,
            "SendDurableExecutionCallbackHeartbeat": self.callback_heartbeat,
        }

    # What functions say and ask

    async def checkpoint(self, caller: Caller, parameters: Parameters) -> Answer:
        life = self._running(caller, parameters)
        updates = parameters.get("Updates") or []
        asked = Checkpoint(parameters["CheckpointToken"], updates, parameters.get("ClientToken"))
        executions = self._executions
        targets = await find_targets(life.execution.head, updates, executions.runner, executions.new_id)
        taken = await life.act(lambda execution, now: execution.checkpoint(asked, targets, now), asked)
        answer: Answer = {"NewExecutionState": {"Operations": [shown_operation(each) for each in taken.operations]}}
        if taken.token is not None:
            answer["CheckpointToken"] = taken.token
        return answer

    async def state(self, caller: Caller, parameters: Parameters) -> Answer:
        execution = self._running(caller, parameters).execution
        execution.check_token(parameters["CheckpointToken"])
        replaying = enumerate(replayed(execution.operations.values()))
        operations, following = page(((position_of(n), shown_operation(each)) for n, each in replaying), parameters)
        return {"Operations": operations, **following}

    def _running(self, caller: Caller, parameters: Parameters) -> Life:
        """Raises `InvalidParameterValue`: a token of what is not there is as good as any wrong one."""
        head = self._executions.heads.find(parameters["DurableExecutionArn"])
        life = None if head is None or not _owns(caller, head) else self._executions.life(head)
        if life is None:
            raise InvalidParameterValue("Invalid checkpoint token")
        return life

    # What is shown

    async def get(self, caller: Caller, parameters: Parameters) -> Answer:
        head = self._found(caller, parameters)
        if head.closed is not None and head.closed.deleting:
            return being_deleted(head, head.closed)
        execution = await self._executions.load(head)
        status = shown_status(head, execution)
        return described(head, execution, status, parameters.get("IncludeExecutionData", True))

    async def history(self, caller: Caller, parameters: Parameters) -> Answer:
        head = self._found(caller, parameters)
        steps = [step async for step in self._executions.journal.steps(head.id)]
        events = shown_events(head, steps, parameters.get("IncludeExecutionData", True))
        backwards = parameters.get("ReverseOrder", False)
        positions = [(position_of(event["EventId"]), event) for event in events]
        shown, following = page(reversed(positions) if backwards else positions, parameters, descending=backwards)
        return {"Events": shown, **following}

    async def list(self, caller: Caller, parameters: Parameters) -> Answer:
        function = FunctionKey(caller.account, caller.region, parameters["FunctionName"])
        version = await self._version(function, parameters.get("Qualifier"))
        oldest_first = parameters.get("ReverseOrder", False)
        rows = []
        for head in self._executions.heads.of(function):
            life = self._executions.life(head)
            status = shown_status(head, None if life is None else life.execution)
            if version in (None, head.version) and _wanted(head, status.value, parameters):
                ended = None if head.closed is None else head.closed.ended
                rows.append((f"{position_of(head.started)}/{head.id}", summary(head, status, ended)))
        rows.sort(key=lambda row: row[0], reverse=not oldest_first)
        shown, following = page(rows, parameters, descending=not oldest_first)
        return {"DurableExecutions": shown, **following}

    async def _version(self, function: FunctionKey, qualifier: str | None) -> str | None:
        """What a qualifier means. Raises `ResourceNotFound`, for the function too."""
        try:
            found = await self._executions.runner.find(function, qualifier)
        except ResourceConflict:
            return qualifier
        return None if qualifier is None else found.version

    # What others do to it

    async def stop(self, caller: Caller, parameters: Parameters) -> Answer:
        head = self._found(caller, parameters)
        error = parameters.get("Error")
        if error is not None:
            check_error(error)
        life = self._executions.life(head)
        if life is not None:
            return {"StopTimestamp": await life.act(lambda execution, now: execution.stop(error, now))}
        assert head.closed is not None
        return {"StopTimestamp": head.closed.ended}

    async def pause(self, caller: Caller, parameters: Parameters) -> Answer:
        life = self._alive(caller, parameters)
        token, reason = parameters.get("ClientToken"), parameters.get("Reason")
        stops_clock = parameters.get("ExecutionTimeoutPaused", True)
        await life.act(lambda execution, now: execution.pause(Pause(now, token, stops_clock, reason), now))
        return {}

    async def resume(self, caller: Caller, parameters: Parameters) -> Answer:
        life = self._alive(caller, parameters)
        reason, token = parameters.get("Reason"), parameters.get("ClientToken")
        await life.act(lambda execution, now: execution.resume(reason, token, now))
        return {}

    async def delete(self, caller: Caller, parameters: Parameters) -> Answer:
        head = self._found(caller, parameters)
        life = self._executions.life(head)
        if life is not None and life.execution.closed:
            await life.settled.wait()
            head = self._found(caller, parameters)
        if head.closed is None:
            raise ResourceConflict("A durable execution that has not ended cannot be deleted.")
        if not head.closed.deleting:
            await self._executions.delete(head)
        return {"DeletionRequestTimestamp": self._executions.clock.wall()}

    def _alive(self, caller: Caller, parameters: Parameters) -> Life:
        life = self._executions.life(self._found(caller, parameters))
        if life is None:
            raise ResourceConflict("The durable execution has ended.")
        return life

    def _found(self, caller: Caller, parameters: Parameters) -> Head:
        """Raises `ResourceNotFound`."""
        head = self._executions.find(parameters["DurableExecutionArn"])
        if not _owns(caller, head):
            raise ResourceNotFound("Durable Execution does not exist")
        return head

    # Callbacks

    async def callback_success(self, caller: Caller, parameters: Parameters) -> Answer:
        result = parameters.get("Result")
        text = None if result is None else result.decode(errors="replace")
        return await self._complete(caller, parameters, Stage.SUCCEEDED, text, None)

    async def callback_failure(self, caller: Caller, parameters: Parameters) -> Answer:
        error = parameters.get("Error", {})
        check_error(error)
        return await self._complete(caller, parameters, Stage.FAILED, None, error)

    async def callback_heartbeat(self, caller: Caller, parameters: Parameters) -> Answer:
        life, operation = self._callback(caller, parameters)
        await life.act(lambda execution, now: execution.heartbeat(operation, now))
        return {}

    async def _complete(
        self, caller: Caller, parameters: Parameters, stage: Stage, result: str | None, error: Error | None
    ) -> Answer:
        life, operation = self._callback(caller, parameters)
        await life.act(lambda execution, now: execution.callback_ended(operation, stage, result, error, now))
        return {}

    def _callback(self, caller: Caller, parameters: Parameters) -> tuple[Life, str]:
        """Raises `InvalidParameterValue` for what is no callback's id, `CallbackTimedOut` for what is no more one."""
        id = tokens.read_callback(parameters["CallbackId"])
        if id is None:
            raise InvalidParameterValue("Invalid callback id")
        head = self._executions.heads.get(id.execution)
        life = None if head is None or not _owns(caller, head) else self._executions.life(head)
        if life is None:
            raise callback_closed()
        return life, id.operation


def _owns(caller: Caller, head: Head) -> bool:
    return (head.function.account, head.function.region) == (caller.account, caller.region)


def _wanted(head: Head, status: str, parameters: Parameters) -> bool:
    name, statuses = parameters.get("DurableExecutionName"), parameters.get("Statuses")
    after: WallTime | None = parameters.get("StartedAfter")
    before: WallTime | None = parameters.get("StartedBefore")
    return (
        name in (None, head.name)
        and (not statuses or status in statuses)
        and (after is None or head.started > after)
        and (before is None or head.started < before)
    )
