"""One durable execution: what it has come to, and what each thing that happens makes of it. Pure.

```
 checkpoint, invocation_ended, woken, callback_ended, heartbeat, chained_ended, stop, pause, resume
      └──▶ Decision: the step to write, and what to answer ──written──▶ commit
```

A decision changes nothing: only `commit` does, once its step is on disk. What follows from the state (an invocation to
begin, a time to be woken at) is asked of it, never told: so it is found again after a restart as it was before.

Source: developer guide, "Lambda durable functions": invoking, retries, pausing and resuming. How often an invocation
that fails is tried again is unconfirmed.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace

from ondol.durable.api import CallbackTimedOut, Failed, Refused
from ondol.durable.draft import Draft, whole
from ondol.durable.function_answers import FunctionAnswer, error_of, what_is_wrong
from ondol.durable.records import (
    Error,
    Head,
    Kind,
    Operation,
    Pause,
    Phase,
    Progress,
    Resumed,
    Stage,
    Status,
    Step,
    size_of,
)
from ondol.durable.timers import due_at, fire
from ondol.durable.tokens import CheckpointToken, read_token, write
from ondol.durable.updates import Targets, Update, apply_updates, result_too_large
from ondol.model.errors import InvalidParameterValue, ResourceConflict
from ondol.model.ids import RequestId
from ondol.model.limits import DurableSchedule
from ondol.model.time import MILLISECOND, WallTime

LONGEST_S = 366 * 86_400
"""After so long an execution ends, paused or not."""

REPEATED_MS = 15 * 60_000
"""For so long a repeated request with the same client token counts as one."""

_CHAINED = {
    Stage.SUCCEEDED: "ChainedInvokeSucceeded",
    Stage.FAILED: "ChainedInvokeFailed",
    Stage.TIMED_OUT: "ChainedInvokeTimedOut",
    Stage.STOPPED: "ChainedInvokeStopped",
}

T = TypeVar("T")


class Turn(msgspec.Struct, frozen=True):
    """An invocation under way. It is of this process: whoever is killed has none."""

    id: RequestId
    began: WallTime


class Checkpoint(msgspec.Struct, frozen=True):
    """What a function says."""

    token: str
    updates: Sequence[Update]
    client_token: str | None


class Taken(msgspec.Struct, frozen=True):
    """The answer to a checkpoint."""

    token: str | None
    """None: there is no next one."""

    operations: tuple[Operation, ...]
    """Those that have changed since the function was last told."""


class Answered(msgspec.Struct, frozen=True):
    """An invocation ended well; None: with something that is no answer of a durable function."""

    answer: FunctionAnswer | None


Ending = Answered | Failed | Refused
"""How an invocation ended."""


class Decision(msgspec.Struct, Generic[T], frozen=True):
    step: Step | None
    """None: nothing is to be written."""

    answer: T
    told: bool = False
    """With the answer the function knows all that has changed."""

    late: bool = False
    """Some of that was not the function's doing."""

    over: bool = False
    """The invocation under way has ended."""


class Execution:
    """`steps` are those that have been written, in order."""

    def __init__(self, head: Head, steps: Iterable[Step], schedule: DurableSchedule) -> None:
        self.head = head
        self.operations: dict[str, Operation] = {}
        """In the order in which they were started."""

        self.steps = 0
        self.turn: Turn | None = None
        self._checkpoints = 0
        """Of the invocation under way."""

        self._schedule = schedule
        self._waiting: dict[str, None] = {}
        self._untold: dict[str, None] = {}
        self._withheld = False
        """The invocation under way was told to checkpoint no more."""

        self._told_late = False
        """It was told in an answer that something outside has happened, which it may have been too late to act on."""

        self._last: tuple[Checkpoint, Taken] | None = None
        for step in steps:
            self._apply(step)

    @classmethod
    def begun(cls, head: Head, payload: str, schedule: DurableSchedule) -> "tuple[Execution, Step]":
        """A new execution and its first step, which is not yet written."""
        now = head.started
        progress = Progress(Phase.ACTIVE, WallTime(now + head.timeout_s * 1000))
        draft = Draft(head.id, progress, {}, now)
        draft.put(whole(head.id, head.name, payload, now))
        draft.happened("ExecutionStarted", head.id, ExecutionTimeout=head.timeout_s)
        step = draft.step()
        assert step is not None
        return cls(head, (step,), schedule), step

    # What it has come to

    @property
    def status(self) -> Status:
        outcome, pause = self.progress.outcome, self.progress.pause
        if outcome is not None:
            return outcome.status
        if pause is not None:
            return Status.PAUSING if pause.began is None else Status.PAUSED
        return Status.RUNNING

    @property
    def closed(self) -> bool:
        return self.progress.phase is Phase.CLOSED

    @property
    def deadline(self) -> WallTime:
        """When it times out, as things are."""
        pause = self.progress.pause
        if pause is not None and pause.began is not None and pause.stops_clock:
            return self._latest
        return min(self.progress.deadline, self._latest)

    @property
    def _latest(self) -> WallTime:
        return WallTime(self.head.started + LONGEST_S * 1000)

    def may_run(self, now: WallTime) -> bool:
        """Whether an invocation is to begin."""
        progress = self.progress
        if progress.phase is not Phase.ACTIVE or progress.pause is not None or self.turn is not None:
            return False
        return progress.retry_at is None or progress.retry_at <= now

    def wake_at(self) -> WallTime | None:
        """When time will change something."""
        if self.closed:
            return None
        times = [self.deadline]
        if self.progress.retry_at is not None and self.turn is None and self.progress.pause is None:
            times.append(self.progress.retry_at)
        times += (at for id in self._waiting if (at := due_at(self.operations[id])) is not None)
        return min(times)

    def chained(self) -> Iterator[Operation]:
        """Invocations of other functions whose answers it waits for."""
        return (self.operations[id] for id in self._waiting if self.operations[id].kind is Kind.CHAINED_INVOKE)

    def untold(self) -> list[str]:
        """Operations that have changed since the function was last told."""
        return list(self._untold)

    # An invocation

    def begin(self, turn: Turn) -> str:
        """It is under way, told of all that there is; the answer is its first checkpoint token."""
        self.turn = turn
        self._untold.clear()
        self._withheld = self._told_late = False
        self._last = None
        self._checkpoints = 0
        return self._token(0)

    def check_token(self, text: str) -> None:
        """Raises `InvalidParameterValue` unless it is the current one of this execution."""
        token = read_token(text)
        if token is not None and token.execution != self.head.id:
            raise InvalidParameterValue("Checkpoint token is not valid for the durable execution ARN")
        if token is None or self.closed or self.turn is None or text != self._token(self._checkpoints):
            raise InvalidParameterValue("Invalid checkpoint token")

    def checkpoint(self, asked: Checkpoint, targets: Targets, now: WallTime) -> Decision[Taken]:
        """Raises `InvalidParameterValue`."""
        if self._last is not None and asked.client_token is not None:
            before, taken = self._last
            if (before.token, before.client_token) == (asked.token, asked.client_token):
                return Decision(None, taken)
        self.check_token(asked.token)
        draft = self._draft(now)
        apply_updates(draft, asked.updates, targets, self.head.largest_result)
        ends = draft.progress.outcome is not None
        late = bool(self._untold)
        if not ends:
            late |= fire(draft, self._waiting)
        if asked.updates and draft.progress.failures:
            draft.change(failures=0)
        pauses = self._pauses(draft)
        token = None if ends or pauses else self._token(self._checkpoints + 1)
        changed = {**self._untold, **dict.fromkeys(operation.id for operation in draft.changed)}
        operations = tuple(operation for id in changed if (operation := draft.get(id)) is not None)
        return Decision(draft.step(), Taken(token, operations), told=True, late=late)

    def invocation_ended(self, outcome: Ending, now: WallTime, chance: float) -> Decision[None]:
        """Of the one under way. `chance`, from 0 to 1, spreads what is tried again."""
        turn = self.turn
        if turn is None:
            return Decision(None, None)
        if self.closed:
            # It was stopped, has timed out, or said in a checkpoint how it ends.
            return Decision(None, None, over=True)
        draft = self._draft(now)
        error = self._went_on(draft, outcome, chance)
        if not isinstance(outcome, Refused):
            shown = None if error is None else {"Payload": error, "Truncated": False}
            draft.preceded(
                "InvocationCompleted", StartTimestamp=turn.began, EndTimestamp=now, RequestId=turn.id, Error=shown
            )
        if draft.progress.outcome is None:
            self._pauses(draft)
        return Decision(draft.step(), None, over=True)

    def _went_on(self, draft: Draft, outcome: Ending, chance: float) -> Error | None:
        """How it goes on after an invocation; the answer is the error that the history has of it."""
        match outcome:
            case Answered(answer):
                return self._answered(draft, answer)
            case Failed(payload):
                error = error_of(payload)
                failures = draft.progress.failures + 1
                draft.change(failures=failures)
                if failures >= self._schedule.attempts:
                    draft.close(Status.FAILED, error=error)
                else:
                    self._again(draft, failures - 1, chance)
                return error
            case Refused(message, gone, _):
                if gone:
                    draft.close(
                        Status.FAILED, error={"ErrorType": "ResourceNotFoundException", "ErrorMessage": message}
                    )
                else:
                    # It was not the function's fault: tried again at the same distance for as long as it takes.
                    self._again(draft, draft.progress.failures, chance)
                return None

    def _answered(self, draft: Draft, answer: FunctionAnswer | None) -> Error | None:
        owed = bool(self._untold or self._told_late or self._withheld or draft.progress.pause is not None)
        something_waits = owed or bool(self._waiting)
        wrong = what_is_wrong(answer, something_waits)
        if wrong is None and answer is not None and size_of(answer.result) > self.head.largest_result:
            wrong = result_too_large(self.head.largest_result)
        if answer is None or wrong is not None:
            error: Error = {"ErrorType": InvalidParameterValue.code, "ErrorMessage": wrong}
            draft.close(Status.FAILED, error=error)
            return error
        draft.change(failures=0, retry_at=None)
        match answer.status:
            case "SUCCEEDED":
                draft.close(Status.SUCCEEDED, result=answer.result)
            case "FAILED":
                draft.close(Status.FAILED, error=answer.error or {})
                return answer.error or {}
            case _:
                draft.change(phase=Phase.ACTIVE if owed else Phase.SUSPENDED)
        return None

    def _again(self, draft: Draft, times: int, chance: float) -> None:
        delay = min(self._schedule.longest, self._schedule.retry << min(times, 40))
        delay += int(delay * chance / 4)
        draft.change(retry_at=WallTime(draft.now + delay // MILLISECOND))

    # What happens outside of it

    def woken(self, now: WallTime) -> Decision[None]:
        """Time has passed."""
        draft = self._draft(now)
        if not self.closed:
            if self.deadline <= now:
                text = f"Execution timed out after {self.head.timeout_s} seconds."
                draft.close(Status.TIMED_OUT, error={"ErrorMessage": text})
            else:
                if fire(draft, self._waiting):
                    draft.change(phase=Phase.ACTIVE)
                if self.turn is None:
                    # A pause that a killed process did not live to see begin.
                    self._pauses(draft)
        return Decision(draft.step(), None)

    def callback_ended(
        self, operation: str, stage: Stage, result: str | None, error: Error | None, now: WallTime
    ) -> Decision[None]:
        """Raises `CallbackTimedOut`."""
        callback = self._callback(operation, now)
        draft = self._draft(now)
        draft.put(replace(callback, stage=stage, ended=now, result=result, error=error))
        draft.happened("CallbackSucceeded" if stage is Stage.SUCCEEDED else "CallbackFailed", operation)
        draft.change(phase=Phase.ACTIVE)
        return Decision(draft.step(), None)

    def heartbeat(self, operation: str, now: WallTime) -> Decision[None]:
        """Raises `CallbackTimedOut`."""
        callback = self._callback(operation, now)
        draft = self._draft(now)
        if callback.seconds:
            draft.put(replace(callback, silent_until=WallTime(now + callback.seconds * 1000)))
        return Decision(draft.step(), None)

    def _callback(self, id: str, now: WallTime) -> Operation:
        operation = self.operations.get(id)
        if self.closed or operation is None or operation.kind is not Kind.CALLBACK or not operation.waits:
            raise callback_closed()
        at = due_at(operation)
        if at is not None and at <= now:
            raise callback_closed()
        return operation

    def chained_ended(
        self, operation: str, stage: Stage, result: str | None, error: Error | None, now: WallTime
    ) -> Decision[None]:
        """Another function has answered; nobody waits for it any more if the execution is closed."""
        chained = self.operations.get(operation)
        draft = self._draft(now)
        if not self.closed and chained is not None and chained.waits:
            draft.put(replace(chained, stage=stage, ended=now, result=result, error=error))
            draft.happened(_CHAINED[stage], operation)
            draft.change(phase=Phase.ACTIVE)
        return Decision(draft.step(), None)

    def stop(self, error: Error | None, now: WallTime) -> Decision[WallTime]:
        """The answer is when it ended."""
        outcome = self.progress.outcome
        if outcome is not None:
            return Decision(None, outcome.ended)
        draft = self._draft(now)
        draft.close(Status.STOPPED, error=error or {})
        return Decision(draft.step(), now)

    def pause(self, asked: Pause, now: WallTime) -> Decision[None]:
        """Raises `ResourceConflict`."""
        before = self.progress.pause
        if self.closed:
            raise ResourceConflict("The durable execution has ended.")
        if before is not None:
            if asked.token is not None and asked.token == before.token and now - before.requested < REPEATED_MS:
                return Decision(None, None)
            raise ResourceConflict(f"The durable execution is {self.status.value} already.")
        draft = self._draft(now)
        draft.change(pause=asked)
        if self.turn is None:
            self._pauses(draft)
        return Decision(draft.step(), None)

    def resume(self, reason: str | None, token: str | None, now: WallTime) -> Decision[None]:
        """Raises `ResourceConflict`."""
        pause, before = self.progress.pause, self.progress.resumed
        if pause is None:
            repeated = before is not None and token == before.token and now - before.at < REPEATED_MS
            if repeated and token is not None:
                return Decision(None, None)
            raise ResourceConflict(f"The durable execution is {self.status.value}, not paused.")
        draft = self._draft(now)
        draft.change(pause=None, resumed=Resumed(now, token))
        if pause.began is not None:
            if pause.stops_clock:
                draft.change(deadline=WallTime(draft.progress.deadline + now - pause.began))
            told = None if reason is None else {"Payload": reason, "Truncated": False}
            draft.happened("ExecutionResumed", self.head.id, ResumeRequestTimestamp=now, Reason=told)
        return Decision(draft.step(), None)

    def _pauses(self, draft: Draft) -> bool:
        """Whether a pause that was asked for is in force with this step."""
        pause = draft.progress.pause
        if pause is None:
            return False
        if pause.began is None:
            told = None if pause.reason is None else {"Payload": pause.reason, "Truncated": False}
            draft.change(pause=replace(pause, began=draft.now))
            draft.happened(
                "ExecutionPaused",
                self.head.id,
                PauseRequestTimestamp=pause.requested,
                ExecutionTimeoutPaused=pause.stops_clock,
                Reason=told,
            )
        return True

    # Making it true

    def commit(self, decision: Decision[T], asked: Checkpoint | None = None) -> T:
        """The decision's step has been written. `asked` is the checkpoint that it takes, if it takes one."""
        if decision.step is not None:
            self._apply(decision.step)
        if decision.told:
            self._untold.clear()
            self._told_late |= decision.late
            self._checkpoints += 1
        if decision.over:
            self.turn = self._last = None
        if asked is not None and isinstance(decision.answer, Taken) and decision.told:
            self._withheld = decision.answer.token is None
            self._last = None if self._withheld else (asked, decision.answer)
        return decision.answer

    def _apply(self, step: Step) -> None:
        self.steps += 1
        self.progress = step.progress
        for operation in step.operations:
            before = self.operations.get(operation.id)
            if before is None or before.stage is not operation.stage:
                self._untold[operation.id] = None
            self.operations[operation.id] = operation
            if operation.waits:
                self._waiting[operation.id] = None
            else:
                self._waiting.pop(operation.id, None)

    def _draft(self, now: WallTime) -> Draft:
        return Draft(self.head.id, self.progress, self.operations, now)

    def _token(self, checkpoints: int) -> str:
        assert self.turn is not None
        return write(CheckpointToken(self.head.id, self.turn.id, checkpoints))


def callback_closed() -> CallbackTimedOut:
    return CallbackTimedOut("The callback is either timed out or already completed")


def replayed(operations: Iterable[Operation]) -> Iterator[Operation]:
    """Those that a function is told of when it runs again: without what is inside a context that is over, unless the
    context has asked for it (service model, GetDurableExecutionState)."""
    hidden: set[str] = set()
    for operation in operations:
        if operation.parent in hidden:
            hidden.add(operation.id)
            continue
        if operation.kind is Kind.CONTEXT and operation.ended is not None and not operation.replay_children:
            hidden.add(operation.id)
        yield operation
