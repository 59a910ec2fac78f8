"""The phases of one environment: what each event means in each state, and what is done about it."""

import msgspec
import pytest

from ondol.model.function import FunctionKey, FunctionVersion, LogSettings
from ondol.model.ids import AccountId, CodeDigest, EnvironmentId, Region, RequestId, VersionId
from ondol.model.invocation import FailureKind
from ondol.model.limits import RESPONSE_PAYLOAD_BYTES, Phases
from ondol.model.time import MILLISECOND, SECOND, Instant
from ondol.worker.api import InvocationHead
from ondol.worker.commands import (
    Answer,
    Command,
    Deliver,
    Finish,
    Freeze,
    InitFailure,
    Ready,
    Stop,
    Thaw,
    Throttle,
    Wake,
)
from ondol.worker.failures import End, entrypoint_refusal
from ondol.worker.machine import Attempt, EnvironmentMachine, RuntimeMisbehaved, State, UnknownRequest

CAUSE = RequestId("cause")
ONE = RequestId("one")


def version(timeout_s: int = 3) -> FunctionVersion:
    key = FunctionKey(AccountId("000000000000"), Region("us-east-1"), "f")
    logs = LogSettings("/aws/lambda/f")
    return FunctionVersion(
        VersionId("f/1"),
        function=key,
        version="$LATEST",
        runtime="python3.11",
        handler="m.h",
        code=CodeDigest("d"),
        role="arn:aws:iam::000000000000:role/r",
        memory_mb=128,
        timeout_s=timeout_s,
        tmp_mb=512,
        environment={},
        logs=logs,
    )


def head(request: RequestId = ONE) -> InvocationHead:
    return InvocationHead(request, EnvironmentId("e"), 1, "arn", 2)


def at(milliseconds: float) -> Instant:
    return Instant(int(milliseconds * MILLISECOND))


def begun(timeout_s: int = 3) -> EnvironmentMachine:
    machine = EnvironmentMachine(version(timeout_s), CAUSE, Phases(), at(0))
    machine.began()
    return machine


def idle() -> EnvironmentMachine:
    machine = begun()
    machine.next_asked(at(20))
    return machine


def busy() -> EnvironmentMachine:
    machine = idle()
    assert machine.invoked(head(), at(30))
    return machine


def of(kind: type, commands: list[Command] | None) -> list[Command]:
    return [command for command in commands or [] if isinstance(command, kind)]


def test_the_first_next_ends_init_and_enforces_the_processor_share() -> None:
    commands = begun().next_asked(at(20))
    assert commands[:2] == [Throttle(), Ready(20 * MILLISECOND)]


def test_an_invocation_is_delivered_and_answered_and_its_environment_is_ready_again() -> None:
    machine = idle()
    [deliver, *_] = machine.invoked(head(), at(30)) or []
    assert deliver == Deliver(head(), thaw=False, remaining_ns=3 * SECOND)
    assert machine.responded(ONE, 2, at(35)) == [Answer(head(), None, 5 * MILLISECOND, 20 * MILLISECOND)]
    assert of(Finish, machine.next_asked(at(36))) == [Finish(ONE, True)]
    assert machine.state is State.IDLE


def test_only_the_first_report_has_the_init_duration() -> None:
    machine = busy()
    machine.responded(ONE, 2, at(35))
    machine.next_asked(at(36))
    machine.invoked(head(RequestId("two")), at(40))
    [answer] = machine.responded("two", 2, at(41))
    assert isinstance(answer, Answer) and answer.init_ns is None


def test_a_warm_invocation_sets_no_timer() -> None:
    machine = busy()
    machine.responded(ONE, 2, at(35))
    assert of(Wake, machine.next_asked(at(36))) == []
    assert of(Wake, machine.invoked(head(RequestId("two")), at(37))) == []


def test_a_busy_environment_takes_no_other_invocation() -> None:
    machine = busy()
    assert machine.invoked(head(RequestId("two")), at(31)) is None
    assert machine.state is State.BUSY


def test_an_idle_environment_is_frozen_after_a_while_and_thawed_for_the_next_invocation() -> None:
    machine = idle()
    assert machine.timer_due(at(120)) == [Freeze()]
    [deliver, *_] = machine.invoked(head(), at(500)) or []
    assert isinstance(deliver, Deliver) and deliver.thaw


def test_a_timer_that_comes_early_asks_to_be_woken_again() -> None:
    machine = idle()
    assert machine.timer_due(at(100)) == [Wake(at(120))]


def test_an_invocation_that_takes_too_long_fails_and_ends_the_environment() -> None:
    machine = busy()
    answer, finish, stop = machine.timer_due(at(3030))
    assert isinstance(answer, Answer) and answer.failure is not None
    assert msgspec.json.decode(answer.failure.payload) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: one Error: Task timed out after 3.00 seconds",
    }
    assert [finish, stop] == [Finish(ONE, False), Stop()]
    assert machine.exited(End(None, 9, False), at(3040)) == []


@pytest.mark.parametrize(
    ("end", "kind", "text"),
    [
        (End(0, None, False), FailureKind.EXITED, "Runtime exited without providing a reason"),
        (End(127, None, False), FailureKind.EXITED, "Runtime exited with error: exit status 127"),
        (End(None, 11, False), FailureKind.EXITED, "Runtime exited with error: signal: segmentation fault"),
        (End(None, 9, True), FailureKind.OUT_OF_MEMORY, "Runtime exited with error: signal: killed"),
    ],
)
def test_a_runtime_that_ends_without_an_answer_fails_its_invocation(end: End, kind: FailureKind, text: str) -> None:
    answer, *_ = busy().exited(end, at(40))
    assert isinstance(answer, Answer) and answer.failure is not None
    assert answer.failure.kind is kind
    assert msgspec.json.decode(answer.failure.payload)["errorMessage"] == f"RequestId: one Error: {text}"


def test_a_runtime_that_ends_after_its_answer_spoils_nothing_but_the_environment() -> None:
    machine = busy()
    machine.responded(ONE, 2, at(35))
    assert machine.exited(End(1, None, False), at(36)) == [Finish(ONE, False), Stop()]


def test_too_large_a_result_is_the_functions_failure_and_the_environment_lives() -> None:
    machine = busy()
    [answer] = machine.responded(ONE, RESPONSE_PAYLOAD_BYTES + 1, at(35))
    assert isinstance(answer, Answer) and answer.failure is not None
    assert answer.failure.error_type == "Function.ResponseSizeTooLarge"
    assert of(Finish, machine.next_asked(at(36))) == [Finish(ONE, True)]


def test_a_failed_init_is_told_as_the_failure_of_its_cause() -> None:
    failed, stop = begun().exited(End(1, None, False), at(15))
    assert isinstance(failed, InitFailure) and failed.failure.error_type == "Runtime.ExitError"
    assert b"RequestId: cause" in failed.failure.payload
    assert stop == Stop()


@pytest.mark.parametrize(
    ("code", "output", "refusal"),
    [
        (127, b"Couldn't find valid bootstrap(s): [/a /b]\n", "Couldn't find valid bootstrap(s): [/a /b]"),
        (126, b"fork/exec /var/task/bootstrap: denied\n", "fork/exec /var/task/bootstrap: denied"),
        (127, b"fork/exec /opt/bootstrap: no such file\n", "fork/exec /opt/bootstrap: no such file"),
        (1, b"fork/exec /var/task/bootstrap: denied\n", None),
        (127, b"/var/task/bootstrap: line 3: tool: command not found\n", None),
        (127, b"fork/exec /opt/wrapper: no such file\n", None),
        (126, b"hello\nfork/exec /var/task/bootstrap: denied\n", None),
        (127, b"", None),
        (None, b"fork/exec /var/task/bootstrap: denied\n", None),
    ],
)
def test_only_the_functions_own_bootstrap_is_an_invalid_entrypoint(
    code: int | None, output: bytes, refusal: str | None
) -> None:
    assert entrypoint_refusal(code, output) == refusal


@pytest.mark.parametrize(
    "text",
    [
        "fork/exec /entry: exec format error",
        'exec: "app": executable file not found in $PATH',
        "Couldn't find valid bootstrap(s): [/a /b]",
        "the working directory doesn't exist: /app",
    ],
)
def test_of_an_image_any_program_may_be_an_invalid_entrypoint(text: str) -> None:
    told = f"IMAGE\tLaunch error: {text}\tEntrypoint: [a,b]\tCmd: [one\ntwo]\tWorkingDir: [/x]\n".encode()
    assert entrypoint_refusal(127, told, image=True) == text
    assert entrypoint_refusal(1, told, image=True) is None
    assert entrypoint_refusal(127, b"hello\n" + told, image=True) is None
    assert entrypoint_refusal(127, f"{text}\n".encode(), image=True) is None, "its own programs say so too"


def test_a_working_directory_has_an_error_of_its_own() -> None:
    failed, _ = begun().exited(End(127, None, False, "the working directory doesn't exist: /app"), at(15))
    assert isinstance(failed, InitFailure)
    assert failed.failure.error_type == "Runtime.InvalidWorkingDir"


def test_an_entrypoint_that_cannot_be_executed_fails_the_init() -> None:
    failed, _ = begun().exited(End(126, None, False, "fork/exec /var/task/bootstrap: denied"), at(15))
    assert isinstance(failed, InitFailure) and failed.failure.kind is FailureKind.NO_ENTRYPOINT
    assert msgspec.json.decode(failed.failure.payload) == {
        "errorType": "Runtime.InvalidEntrypoint",
        "errorMessage": "RequestId: cause Error: fork/exec /var/task/bootstrap: denied",
    }


def test_a_reported_init_error_is_passed_on_byte_for_byte() -> None:
    machine = begun()
    failed, _ = machine.init_errored("Runtime.ImportModuleError", b'{"errorMessage": "x"}', at(15))
    assert isinstance(failed, InitFailure) and failed.failure.payload == b'{"errorMessage": "x"}'
    assert machine.exited(End(1, None, False), at(16)) == []


def test_an_init_that_overruns_its_limit_has_failed_for_the_first_time() -> None:
    machine = begun(timeout_s=5)
    assert machine.timer_due(at(9_999)) == [Wake(at(10_000))]
    failed, _ = machine.timer_due(at(10_000))
    assert isinstance(failed, InitFailure) and not failed.final
    assert failed.failure.kind is FailureKind.TIMED_OUT


@pytest.mark.parametrize(("timeout_s", "limit_s"), [(5, 130), (900, 900)])
def test_an_init_for_nobody_may_take_long_and_is_not_run_again(timeout_s: int, limit_s: int) -> None:
    machine = EnvironmentMachine(version(timeout_s), CAUSE, Phases(), at(0), Attempt.AHEAD)
    assert of(Wake, machine.began()) == [Wake(at(limit_s * 1000))]
    failed, stop = machine.timer_due(at(limit_s * 1000))
    assert isinstance(failed, InitFailure) and failed.final and isinstance(stop, Stop)
    assert f"Task timed out after {limit_s}.00 seconds".encode() in failed.failure.payload


def begun_again(timeout_s: int = 5) -> EnvironmentMachine:
    machine = EnvironmentMachine(version(timeout_s), CAUSE, Phases(), at(0), Attempt.AGAIN)
    machine.began()
    return machine


def test_the_second_time_an_init_has_the_functions_own_timeout() -> None:
    machine = begun_again(timeout_s=25)
    assert machine.timer_due(at(24_999)) == [Wake(at(25_000))]
    failed, _ = machine.timer_due(at(25_000))
    assert isinstance(failed, InitFailure) and failed.final
    assert b"RequestId: cause Error: Task timed out after 25.00 seconds" in failed.failure.payload


def test_a_second_init_is_part_of_the_invocation_that_caused_it() -> None:
    machine = begun_again(timeout_s=5)
    machine.next_asked(at(2000))
    caused = head(CAUSE)
    [deliver, *_] = machine.invoked(caused, at(2001)) or []
    assert deliver == Deliver(caused, thaw=False, remaining_ns=5 * SECOND - 2001 * MILLISECOND)
    assert machine.responded(CAUSE, 2, at(3000)) == [Answer(caused, None, 3 * SECOND, None)]
    machine.next_asked(at(3001))
    [deliver, *_] = machine.invoked(head(), at(4000)) or []
    assert isinstance(deliver, Deliver) and deliver.remaining_ns == 5 * SECOND


def test_a_second_init_costs_another_invocation_nothing() -> None:
    machine = begun_again(timeout_s=5)
    machine.next_asked(at(2000))
    machine.invoked(head(), at(2500))
    assert machine.responded(ONE, 2, at(2600)) == [Answer(head(), None, 100 * MILLISECOND, None)]


@pytest.mark.parametrize("request_id", ["another", ""])
def test_results_for_another_invocation_are_refused(request_id: str) -> None:
    with pytest.raises(UnknownRequest):
        busy().responded(request_id, 2, at(35))


def test_a_second_result_is_refused_and_changes_nothing() -> None:
    machine = busy()
    machine.responded(ONE, 2, at(35))
    with pytest.raises(RuntimeMisbehaved):
        machine.errored(ONE, "Late", b"{}", at(36))
    assert machine.state is State.RESPONDED


def test_next_without_a_result_is_refused() -> None:
    with pytest.raises(RuntimeMisbehaved):
        busy().next_asked(at(35))


def test_stopping_twice_stops_once() -> None:
    machine = idle()
    assert machine.stop_asked(at(50)) == [Stop(Phases().stop_grace)]
    assert machine.stop_asked(at(60)) == []


def test_long_invocations_in_close_order_do_not_pile_up_timers() -> None:
    machine = begun(timeout_s=900)
    pending = [command.at for command in machine.next_asked(at(1)) if isinstance(command, Wake)]
    for call in range(200):
        start = 10 + call * 170
        for commands in (
            machine.invoked(head(RequestId(str(call))), at(start)),
            *(machine.timer_due(due) for due in sorted(pending) if at(start) <= due < at(start + 150)),
            machine.responded(str(call), 2, at(start + 150)),
            machine.next_asked(at(start + 150)),
        ):
            pending += [command.at for command in commands or [] if isinstance(command, Wake)]
        pending = [due for due in pending if due >= at(start + 150)]
    assert len(pending) <= 2


class TestSuspendedTime:
    """While a debugger is attached no limit counts."""

    def test_an_invocation_may_take_any_time(self) -> None:
        machine = busy()
        assert machine.suspend_time() == []
        assert machine.timer_due(at(5_000)) == []
        assert machine.responded(ONE, 2, at(60_000)) == [Answer(head(), None, 59_970 * MILLISECOND, 20 * MILLISECOND)]

    def test_afterwards_its_whole_time_is_before_it(self) -> None:
        machine = busy()
        machine.suspend_time()
        assert machine.timer_due(at(120)) == machine.timer_due(at(13_000)) == []
        assert machine.resume_time(at(60_000)) == [Wake(at(63_000))]
        [answer, *_] = machine.timer_due(at(63_000))
        assert isinstance(answer, Answer) and answer.failure is not None
        assert answer.failure.kind is FailureKind.TIMED_OUT

    def test_so_may_an_init(self) -> None:
        machine = EnvironmentMachine(version(), CAUSE, Phases(), at(0), Attempt.ONLY)
        machine.suspend_time()
        machine.began()
        assert machine.timer_due(at(13_000)) == []
        assert machine.resume_time(at(20_000)) == [Wake(at(33_000))]
        assert of(InitFailure, machine.timer_due(at(33_000))) != []

    def test_an_invocation_that_begins_then_is_not_limited_either(self) -> None:
        machine = idle()
        machine.suspend_time()
        machine.invoked(head(), at(30))
        assert machine.timer_due(at(120)) == []
        assert machine.resume_time(at(9_000)) == []
        assert machine.timer_due(at(10_000)) == [Wake(at(12_000))]

    def test_it_is_not_frozen_and_what_was_is_thawed(self) -> None:
        machine = idle()
        machine.suspend_time()
        assert machine.timer_due(at(120)) == []
        assert machine.state is State.IDLE
        assert machine.resume_time(at(500)) == [Wake(at(600))]
        assert machine.timer_due(at(600)) == [Freeze()]
        assert machine.suspend_time() == [Thaw()]
        assert machine.available

    def test_what_has_ended_stays_so(self) -> None:
        machine = busy()
        machine.suspend_time()
        machine.stop_asked(at(400))
        assert machine.resume_time(at(500)) == []
        assert machine.state is State.ENDED


def test_a_runtime_that_never_asks_again_is_ended_by_the_functions_timeout() -> None:
    machine = busy()
    machine.responded(ONE, 2, at(35))
    assert machine.timer_due(at(3030)) == [Finish(ONE, False), Stop()]


def test_a_runtime_that_is_ready_when_all_is_over_hears_nothing() -> None:
    machine = busy()
    machine.responded(ONE, 2, at(35))
    machine.stop_asked(at(36))
    assert machine.next_asked(at(37)) == []
    assert machine.state is State.ENDED


def test_a_result_after_the_timeout_is_refused() -> None:
    machine = busy()
    machine.timer_due(at(3030))
    with pytest.raises(RuntimeMisbehaved, match="ended"):
        machine.responded(ONE, 2, at(3031))
