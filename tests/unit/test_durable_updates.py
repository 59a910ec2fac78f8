"""What a checkpoint may say: AWS's rules and texts, and that a batch is taken whole or not at all."""

from typing import Any

import pytest

from ondol.durable.machine import Checkpoint, Execution, Turn, replayed
from ondol.durable.records import Head, decode_head, decode_step, encode, first_part, split
from ondol.durable.shown import shown_events
from ondol.durable.tokens import CallbackId, CheckpointToken, read_callback, read_token, write
from ondol.durable.updates import ERROR_BYTES, OPERATIONS, PAYLOAD_BYTES, Chained, NotChained
from ondol.model.errors import InvalidParameterValue
from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, Region, RequestId
from ondol.model.limits import DurableSchedule
from ondol.model.time import WallTime

FUNCTION = FunctionKey(AccountId("123456789012"), Region("eu-west-1"), "fn")
NOW = WallTime(1_700_000_000_000)
HEAD = Head("id", "name", FUNCTION, "1", NOW, 3600, 14, b"digest", 1 << 20)
TARGETS = {"i": Chained("1", None), "gone": NotChained({"ErrorType": "ResourceNotFoundException"})}


class Talk:
    """An execution whose invocation is under way."""

    def __init__(self) -> None:
        self.execution, first = Execution.begun(HEAD, "{}", DurableSchedule())
        self.steps = [first]
        self.token: str | None = self.execution.begin(Turn(RequestId("r"), NOW))

    def say(self, *updates: dict[str, Any], after_s: float = 0) -> list[tuple[str, str]]:
        """What has changed: ids and stages."""
        asked = Checkpoint(self.token or "", updates, None)
        now = WallTime(NOW + int(after_s * 1000))
        decision = self.execution.checkpoint(asked, TARGETS, now)
        if decision.step is not None:
            self.steps.append(decision.step)
        taken = self.execution.commit(decision, asked)
        self.token = taken.token
        return [(operation.id, operation.stage.value) for operation in taken.operations]

    def events(self) -> list[str]:
        return [event["EventType"] for event in shown_events(HEAD, self.steps, with_data=True)]


def of(kind: str, id: str, action: str, **more: Any) -> dict[str, Any]:
    return {"Type": kind, "Id": id, "Action": action, **more}


def start(kind: str, id: str, **more: Any) -> dict[str, Any]:
    options = {
        "WAIT": {"WaitOptions": {"WaitSeconds": 10}},
        "CHAINED_INVOKE": {"ChainedInvokeOptions": {"FunctionName": "f"}},
    }
    return of(kind, id, "START", **options.get(kind, {}), **more)


def test_errors_are_stored_too() -> None:
    talk, error = Talk(), {"Error": {"ErrorMessage": "x" * (ERROR_BYTES - 100)}}
    for number in range(20):
        talk.say(*(of("STEP", f"s{number}-{each}", "FAIL", **error) for each in range(5)))
    with pytest.raises(InvalidParameterValue, match="at most 104857600 bytes"):
        talk.say(of("STEP", "more", "FAIL", **error))
    talk.say(of("EXECUTION", "id", "FAIL", **error))
    assert talk.execution.closed, "it can end all the same"


RETRY = {"StepOptions": {"NextAttemptDelaySeconds": 5}}

BEGUN = (
    start("CONTEXT", "c"),
    start("STEP", "s"),
    start("WAIT", "w"),
    start("CALLBACK", "cb"),
    start("CHAINED_INVOKE", "i"),
)


@pytest.mark.parametrize(
    ("updates", "error"),
    [
        ([start("CONTEXT", "c")], "Cannot start a CONTEXT that already exist."),
        ([start("STEP", "s")], "Invalid current STEP state to start."),
        ([start("WAIT", "w")], "Cannot start a WAIT that already exist."),
        ([start("CALLBACK", "cb")], "Cannot start a CALLBACK that already exist."),
        ([start("CHAINED_INVOKE", "i")], "Cannot start a CHAINED_INVOKE that already exist."),
        ([of("CONTEXT", "new", "SUCCEED")], "Invalid current CONTEXT state to close."),
        ([of("CONTEXT", "c", "RETRY")], "Invalid action for the given operation type."),
        ([of("STEP", "s", "CANCEL")], "Invalid action for the given operation type."),
        ([of("STEP", "s", "RETRY")], "Invalid StepOptions for the given action."),
        ([of("STEP", "s", "SUCCEED", **RETRY)], "Invalid StepOptions for the given action."),
        ([of("STEP", "s", "SUCCEED", Error={})], "Cannot provide an Error for SUCCEED action."),
        ([of("STEP", "s", "FAIL", Payload="1")], "Cannot provide a Payload for FAIL action."),
        (
            [of("STEP", "s", "RETRY", Payload="1", Error={}, **RETRY)],
            "Cannot provide both error and payload to RETRY a STEP.",
        ),
        ([of("WAIT", "new", "START")], "Update for WAIT operation requires WaitOptions."),
        ([of("WAIT", "new", "CANCEL")], "Cannot cancel a WAIT that does not exist or has already completed."),
        ([of("WAIT", "w", "SUCCEED")], "Invalid action for the given operation type."),
        ([of("CALLBACK", "cb", "SUCCEED")], "Invalid action for the given operation type."),
        ([of("CHAINED_INVOKE", "new", "START")], "Update for CHAINED_INVOKE operation requires ChainedInvokeOptions."),
        ([of("CHAINED_INVOKE", "i", "SUCCEED")], "Invalid action for the given operation type."),
        ([of("EXECUTION", "e", "RETRY")], "Invalid EXECUTION action."),
        ([of("EXECUTION", "e", "SUCCEED"), of("EXECUTION", "e", "FAIL")], "Cannot checkpoint multiple EXECUTION"),
        ([of("EXECUTION", "e", "SUCCEED"), start("STEP", "new")], "EXECUTION checkpoint must be the last update."),
        ([start("WAIT", "new"), of("WAIT", "new", "CANCEL")], "Cannot update the same operation twice in a single"),
        ([start("STEP", "new"), start("STEP", "new")], "Cannot update the same operation twice in a single request."),
        ([of("WAIT", "s", "CANCEL")], "Inconsistent operation type."),
        ([of("STEP", "s", "SUCCEED", SubType="x")], "Inconsistent operation subtype."),
        ([of("STEP", "s", "SUCCEED", Name="x")], "Inconsistent operation name."),
        ([of("STEP", "s", "SUCCEED", ParentId="c")], "Inconsistent parent operation id."),
        ([start("STEP", "new", ParentId="s")], "Invalid parent operation id."),
        ([start("STEP", "new", ParentId="nobody")], "Invalid parent operation id."),
        ([of("STEP", "s", "SUCCEED", Payload="é" * PAYLOAD_BYTES)], "STEP payload size must be less than or equal to"),
        ([of("STEP", "s", "FAIL", Error={"ErrorData": "x" * ERROR_BYTES})], "Error object size must be less than"),
        ([of("EXECUTION", "e", "SUCCEED", Payload="x" * (1 << 20 | 1))], "Execution output payload size must be less"),
    ],
)
def test_what_is_refused_changes_nothing(updates: list[dict[str, Any]], error: str) -> None:
    talk = Talk()
    talk.say(*BEGUN)
    before, token = dict(talk.execution.operations), talk.token
    with pytest.raises(InvalidParameterValue) as refused:
        talk.say(of("STEP", "another", "SUCCEED"), *updates)
    assert refused.value.message.startswith(error)
    assert (talk.execution.operations, talk.token) == (before, token)
    assert talk.say() == []


def test_how_operations_go_on() -> None:
    talk = Talk()
    talk.say(*BEGUN)
    assert talk.say(of("STEP", "s", "RETRY", Error={"ErrorType": "E"}, **RETRY)) == [("s", "PENDING")]
    assert talk.say(after_s=4.999) == []
    assert talk.say(after_s=5) == [("s", "READY")]
    assert talk.say(start("STEP", "s"), of("STEP", "s", "SUCCEED", Payload="1"), after_s=6) == [("s", "SUCCEEDED")]
    assert talk.execution.operations["s"].attempt == 2
    assert talk.say(after_s=10) == [("w", "SUCCEEDED")]
    assert talk.say(start("CHAINED_INVOKE", "gone")) == [("gone", "FAILED")]
    options = {"ContextOptions": {"ReplayChildren": True}}
    assert talk.say(of("CONTEXT", "c", "SUCCEED", Payload="2", **options)) == [("c", "SUCCEEDED")]
    assert talk.execution.operations["c"].replay_children
    assert talk.say(start("WAIT", "w2"), after_s=10) == [("w2", "STARTED")]
    assert talk.say(of("WAIT", "w2", "CANCEL"), after_s=10) == [("w2", "CANCELLED")]
    assert [event for event in talk.events() if event.startswith(("Step", "Wait"))] == [
        *("StepStarted", "WaitStarted", "StepFailed", "StepStarted", "StepSucceeded", "WaitSucceeded"),
        *("WaitStarted", "WaitCancelled"),
    ]


def test_a_question_without_news_writes_nothing_and_takes_its_token() -> None:
    talk = Talk()
    talk.say(*BEGUN)
    token, steps = talk.token, len(talk.steps)
    assert talk.say() == []
    assert talk.token != token
    assert len(talk.steps) == steps


def test_a_checkpoint_that_ends_the_execution_has_no_next_one() -> None:
    talk = Talk()
    talk.say(of("STEP", "s", "SUCCEED"), of("EXECUTION", "e", "SUCCEED", Payload="3"))
    assert talk.token is None
    assert talk.execution.closed
    outcome = talk.execution.progress.outcome
    assert outcome is not None and outcome.result == "3"
    with pytest.raises(InvalidParameterValue, match="Invalid checkpoint token"):
        talk.say()


def test_an_execution_has_so_many_operations_and_no_more() -> None:
    talk = Talk()
    talk.say(*(of("STEP", f"s{number}", "SUCCEED") for number in range(OPERATIONS - 1)))
    with pytest.raises(InvalidParameterValue, match="at most 3000 operations"):
        talk.say(start("STEP", "one-more"))
    assert talk.say(of("EXECUTION", "e", "SUCCEED")) == [("id", "SUCCEEDED")]


def test_what_is_inside_a_context_that_is_over_is_not_told_again() -> None:
    talk = Talk()
    talk.say(start("CONTEXT", "c"), start("CONTEXT", "d", ParentId="c"), start("STEP", "s", ParentId="d"))
    assert [each.id for each in replayed(talk.execution.operations.values())] == ["id", "c", "d", "s"]
    talk.say(of("CONTEXT", "c", "SUCCEED"))
    assert [each.id for each in replayed(talk.execution.operations.values())] == ["id", "c"]


def test_tokens_of_others() -> None:
    talk = Talk()
    talk.token = write(CheckpointToken("other", "r", 0))
    with pytest.raises(InvalidParameterValue, match="Checkpoint token is not valid for the durable execution ARN"):
        talk.say()
    for text in ("", "!", "bm9uZQ==", "W10=", "A" * 2048):
        assert read_token(text) is None
        assert read_callback(text) is None
    assert read_callback(write(CallbackId("e", "o"))) == CallbackId("e", "o")


def test_steps_are_read_as_they_were_written() -> None:
    talk = Talk()
    talk.say(*BEGUN, of("STEP", "large", "SUCCEED", Payload="x" * (PAYLOAD_BYTES - 1)))
    for step in talk.steps:
        parts = split(encode(step))
        count, first = first_part(parts[0])
        assert count == len(parts)
        assert decode_step(b"".join([first, *parts[1:]])) == step
    assert len(split(encode(talk.steps[1]))) == 3
    again = Execution(decode_head(encode(HEAD)), talk.steps, DurableSchedule())
    assert again.operations == talk.execution.operations
    assert list(again.operations) == list(talk.execution.operations)
    assert again.progress == talk.execution.progress
    assert again.wake_at() == talk.execution.wake_at()
