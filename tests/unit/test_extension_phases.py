"""The phases of an environment that has extensions."""

import msgspec
import pytest
from test_environment_machine import CAUSE, ONE, at, head, of, version

from ondol.model.ids import RequestId
from ondol.model.invocation import FailureKind
from ondol.model.limits import EXTENSIONS, Phases
from ondol.model.time import MILLISECOND, SECOND
from ondol.worker.commands import (
    Answer,
    Close,
    Command,
    Deliver,
    Finish,
    Freeze,
    InitFailure,
    Ready,
    Respond,
    ShutdownReason,
    StartExtensions,
    StartRuntime,
    Stop,
    TellInvoke,
    TellShutdown,
    Throttle,
)
from ondol.worker.extensions import ExtensionRefused
from ondol.worker.failures import End
from ondol.worker.machine import EnvironmentMachine, State

BOTH = ("INVOKE", "SHUTDOWN")
WELL = End(0, None, False)
KILLED = End(None, 9, False)


def found(*names: str) -> EnvironmentMachine:
    machine = EnvironmentMachine(version(), CAUSE, Phases(), at(0))
    machine.began()
    assert machine.extensions_found(names, at(1)) == [StartExtensions()]
    return machine


def idle(**extensions: tuple[str, ...]) -> EnvironmentMachine:
    """All extensions and the runtime are ready; the identifier of each extension is its name."""
    machine = found(*extensions)
    for name, events in extensions.items():
        machine.extension_registers(name, events, name)
        machine.extension_asks(name, at(5))
    machine.next_asked(at(20))
    assert machine.state is State.IDLE
    return machine


def busy(**extensions: tuple[str, ...]) -> EnvironmentMachine:
    machine = idle(**extensions)
    assert machine.invoked(head(), at(30))
    return machine


def message(failed: InitFailure | Answer | Close) -> str:
    assert failed.failure is not None
    text: str = msgspec.json.decode(failed.failure.payload)["errorMessage"]
    return text


def only(kind: type, commands: list[Command] | None) -> Command:
    [command] = of(kind, commands)
    return command


class TestInit:
    def test_the_runtime_starts_when_the_last_external_one_has_registered(self) -> None:
        machine = found("one", "two")
        assert machine.extension_registers("one", BOTH, "1") == []
        assert machine.extension_registers("two", (), "2") == [StartRuntime()]

    def test_init_is_over_when_all_wait_in_whatever_order(self) -> None:
        machine = found("one")
        machine.extension_registers("one", BOTH, "1")
        assert machine.next_asked(at(20)) == []
        assert machine.state is State.SETTLING and not machine.available
        assert machine.extension_asks("1", at(50))[:2] == [Throttle(), Ready(50 * MILLISECOND)]
        machine = found("one")
        machine.extension_registers("one", BOTH, "1")
        assert machine.extension_asks("1", at(5)) == []
        assert machine.next_asked(at(20))[:2] == [Throttle(), Ready(20 * MILLISECOND)]

    def test_an_internal_one_is_waited_for_too(self) -> None:
        machine = EnvironmentMachine(version(), CAUSE, Phases(), at(0))
        assert machine.extension_registers("inside", ("INVOKE",), "1") == []
        assert machine.next_asked(at(20)) == []
        assert machine.extension_asks("1", at(30))[:2] == [Throttle(), Ready(30 * MILLISECOND)]

    def test_nobody_joins_after_the_runtime_is_ready(self) -> None:
        machine = found("one")
        machine.extension_registers("one", BOTH, "1")
        machine.next_asked(at(20))
        with pytest.raises(ExtensionRefused, match="closed") as refused:
            machine.extension_registers("late", ("INVOKE",), "2")
        assert refused.value.error_type == "Extension.RegistrationClosed"
        without = EnvironmentMachine(version(), CAUSE, Phases(), at(0))
        without.next_asked(at(20))
        with pytest.raises(ExtensionRefused, match="closed"):
            without.extension_registers("late", ("INVOKE",), "2")

    @pytest.mark.parametrize("waiting_for", ["registration", "readiness"])
    def test_one_that_dawdles_fails_init_by_its_limit(self, waiting_for: str) -> None:
        machine = found("one")
        if waiting_for == "readiness":
            machine.extension_registers("one", BOTH, "1")
            machine.next_asked(at(20))
        failed, stop = machine.timer_due(at(10_000))
        assert isinstance(failed, InitFailure) and failed.failure.kind is FailureKind.TIMED_OUT
        waits = waiting_for == "readiness"
        assert stop == (Stop(300 * MILLISECOND, 1700 * MILLISECOND) if waits else Stop())

    @pytest.mark.parametrize(
        ("end", "why"), [(WELL, "exit code 0"), (End(2, None, False), "exit status 2"), (KILLED, "signal: killed")]
    )
    def test_one_that_ends_fails_init(self, end: End, why: str) -> None:
        machine = found("one")
        failed, *_ = machine.extension_exited("one", end, at(9))
        assert isinstance(failed, InitFailure) and failed.failure.error_type == "Extension.Crash"
        assert message(failed) == f"RequestId: cause Error: {why}"

    def test_what_it_reported_before_is_what_its_end_is_put_down_to(self) -> None:
        machine = found("one")
        machine.extension_registers("one", BOTH, "1")
        machine.extension_init_failed("1", "Own.Reason")
        failed, *_ = machine.extension_exited("one", End(1, None, False), at(9))
        assert isinstance(failed, InitFailure) and failed.failure.error_type == "Extension.InitError"
        assert machine.extensions is not None
        assert [extension.error_type for extension in machine.extensions] == ["Own.Reason"]

    def test_the_end_of_the_runtime_is_put_down_to_it_too(self) -> None:
        machine = EnvironmentMachine(version(), CAUSE, Phases(), at(0))
        machine.extension_registers("inside", ("INVOKE",), "1")
        machine.extension_init_failed("1", "Own.Reason")
        failed, *_ = machine.exited(End(1, None, False), at(9))
        assert isinstance(failed, InitFailure) and failed.failure.error_type == "Extension.InitError"

    @pytest.mark.parametrize(
        ("reason", "error_type"), [("permission denied", "PermissionDenied"), ("exec format error", "UnknownError")]
    )
    def test_one_that_cannot_be_executed_fails_init(self, reason: str, error_type: str) -> None:
        machine = found("one", "two")
        failed, stop = machine.extension_refused("one", reason, at(2))
        assert isinstance(failed, InitFailure) and failed.failure.error_type == "Extension.LaunchError"
        assert message(failed) == f"RequestId: cause Error: fork/exec /opt/extensions/one: {reason}"
        assert machine.extensions is not None
        assert [extension.error_type for extension in machine.extensions] == [error_type, None]
        assert stop == Stop()

    def test_too_many_are_not_even_started(self) -> None:
        machine = EnvironmentMachine(version(), CAUSE, Phases(), at(0))
        failed, stop = machine.extensions_found([f"e{n:02}" for n in range(EXTENSIONS + 1)], at(1))
        assert isinstance(failed, InitFailure) and stop == Stop()
        assert message(failed) == "RequestId: cause Error: ErrTooManyExtensions"

    def test_what_was_stopped_starts_nothing(self) -> None:
        machine = EnvironmentMachine(version(), CAUSE, Phases(), at(0))
        machine.stop_asked(at(1))
        assert machine.extensions_found(["one"], at(2)) == []


class TestInvocations:
    def test_those_that_asked_for_it_hear_of_an_invocation(self) -> None:
        machine = idle(both=BOTH, calls=("INVOKE",), end=("SHUTDOWN",), none=())
        commands = machine.invoked(head(), at(30))
        assert only(Deliver, commands) == Deliver(head(), thaw=False, remaining_ns=3 * SECOND)
        assert only(TellInvoke, commands) == TellInvoke(("both", "calls"), head(), 3 * SECOND)

    def test_the_client_is_answered_at_once_and_the_report_waits(self) -> None:
        machine = busy(one=BOTH)
        assert machine.responded(ONE, 2, at(35)) == [Respond(head(), None)]
        assert machine.next_asked(at(36)) == []
        assert machine.state is State.LINGERING and not machine.available
        close, *rest, finish = machine.extension_asks("one", at(80))
        assert close == Close(head(), None, 50 * MILLISECOND, 20 * MILLISECOND)
        assert finish == Finish(ONE, True)
        assert of(Freeze, rest) == [] and machine.state is State.IDLE

    def test_it_is_over_with_the_runtime_if_that_comes_last(self) -> None:
        machine = busy(one=BOTH)
        assert machine.extension_asks("one", at(31)) == []
        machine.responded(ONE, 2, at(35))
        close, *_, finish = machine.next_asked(at(36))
        assert (close, finish) == (Close(head(), None, 6 * MILLISECOND, 20 * MILLISECOND), Finish(ONE, True))

    def test_who_does_not_want_invocations_is_not_waited_for(self) -> None:
        machine = busy(end=("SHUTDOWN",))
        machine.responded(ONE, 2, at(35))
        assert of(Finish, machine.next_asked(at(36))) == [Finish(ONE, True)]

    def test_it_is_not_frozen_while_one_is_at_work(self) -> None:
        machine = busy(one=BOTH)
        machine.responded(ONE, 2, at(35))
        machine.next_asked(at(36))
        assert of(Freeze, machine.timer_due(at(1000))) == []
        machine.extension_asks("one", at(1001))
        assert machine.timer_due(at(1101)) == [Freeze()]

    def test_one_that_hangs_ends_the_environment_by_the_functions_timeout(self) -> None:
        machine = busy(one=BOTH)
        machine.responded(ONE, 2, at(35))
        machine.next_asked(at(36))
        close, finish, stop = machine.timer_due(at(3030))
        assert isinstance(close, Close) and close.failure is not None
        assert close.failure.kind is FailureKind.TIMED_OUT
        assert finish == Finish(ONE, False)
        assert stop == Stop(300 * MILLISECOND, 1700 * MILLISECOND)

    def test_one_that_crashes_fails_the_invocation_that_runs(self) -> None:
        machine = busy(one=BOTH)
        answer, finish, _ = machine.extension_exited("one", End(5, None, False), at(40))
        assert isinstance(answer, Answer) and message(answer) == "RequestId: one Error: exit status 5"
        assert finish == Finish(ONE, False)

    def test_one_that_crashes_after_the_answer_spoils_the_report_and_the_environment(self) -> None:
        machine = busy(one=BOTH)
        machine.responded(ONE, 2, at(35))
        close, finish, _ = machine.extension_exited("one", WELL, at(40))
        assert isinstance(close, Close) and message(close) == "RequestId: one Error: exit code 0"
        assert finish == Finish(ONE, False)

    def test_one_that_crashes_in_between_ends_the_environment(self) -> None:
        machine = idle(one=BOTH)
        assert machine.extension_exited("one", WELL, at(40)) == [Stop()]
        assert machine.invoked(head(), at(41)) is None

    def test_a_stop_while_one_is_at_work_keeps_the_answer_and_reports_it(self) -> None:
        machine = busy(one=BOTH)
        machine.responded(ONE, 2, at(35))
        stop, close, finish = machine.stop_asked(at(40))
        assert stop == Stop(300 * MILLISECOND, 1700 * MILLISECOND)
        assert close == Close(head(), None, 10 * MILLISECOND, 20 * MILLISECOND)
        assert finish == Finish(ONE, False)

    def test_the_next_invocation_is_told_anew(self) -> None:
        machine = busy(one=BOTH)
        machine.responded(ONE, 2, at(35))
        machine.next_asked(at(36))
        machine.extension_asks("one", at(37))
        two = head(RequestId("two"))
        assert only(TellInvoke, machine.invoked(two, at(40))) == TellInvoke(("one",), two, 3 * SECOND)


class TestShutdown:
    def test_extensions_are_told_when_the_runtime_is_gone(self) -> None:
        machine = idle(one=BOTH, calls=("INVOKE",))
        assert machine.stop_asked(at(1000)) == [Stop(300 * MILLISECOND, 1700 * MILLISECOND)]
        told = TellShutdown(("one",), ShutdownReason.SPINDOWN, 1900 * MILLISECOND)
        assert machine.exited(End(None, 15, False), at(1100)) == [told]

    def test_one_at_work_is_told_when_it_asks(self) -> None:
        machine = busy(one=BOTH)
        machine.timer_due(at(3030))
        assert machine.exited(KILLED, at(3330)) == []
        told = TellShutdown(("one",), ShutdownReason.TIMEOUT, 1600 * MILLISECOND)
        assert machine.extension_asks("one", at(3430)) == [told]

    def test_one_that_asks_before_the_runtime_is_gone_waits(self) -> None:
        machine = busy(one=BOTH)
        machine.timer_due(at(3030))
        assert machine.extension_asks("one", at(3040)) == []
        assert [type(command) for command in machine.exited(KILLED, at(3330))] == [TellShutdown]

    def test_a_runtime_that_crashed_is_gone_already(self) -> None:
        machine = busy(one=BOTH)
        machine.extension_asks("one", at(31))
        *_, stop, told = machine.exited(End(1, None, False), at(40))
        assert stop == Stop(300 * MILLISECOND, 1700 * MILLISECOND)
        assert told == TellShutdown(("one",), ShutdownReason.FAILURE, 2 * SECOND)

    def test_when_the_last_one_that_was_told_has_ended_nobody_is_waited_for(self) -> None:
        machine = idle(one=BOTH, two=BOTH, calls=("INVOKE",))
        machine.stop_asked(at(1000))
        machine.exited(End(None, 15, False), at(1100))
        assert machine.extension_exited("one", WELL, at(1200)) == []
        assert machine.extension_exited("two", WELL, at(1300)) == [Stop()]
        assert machine.extension_exited("calls", KILLED, at(1301)) == []

    def test_the_runtime_has_its_time_though_they_are_gone(self) -> None:
        machine = idle(one=BOTH)
        machine.stop_asked(at(1000))
        assert machine.extension_exited("one", WELL, at(1010)) == []
        assert machine.exited(End(None, 15, False), at(1200)) == [Stop()]

    def test_where_none_wants_to_know_the_runtime_alone_has_time(self) -> None:
        machine = idle(calls=("INVOKE",))
        assert machine.stop_asked(at(1000)) == [Stop(Phases().stop_grace)]
        assert machine.exited(End(None, 15, False), at(1100)) == []

    def test_an_internal_one_is_told_nothing(self) -> None:
        machine = EnvironmentMachine(version(), CAUSE, Phases(), at(0))
        machine.extension_registers("inside", ("INVOKE",), "1")
        machine.extension_asks("1", at(5))
        machine.next_asked(at(20))
        assert machine.stop_asked(at(30)) == [Stop(Phases().stop_grace)]


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "events", "error_type"),
        [
            ("one", ("OTHER",), "Extension.InvalidEventType"),
            ("inside", ("SHUTDOWN",), "Extension.InvalidEventType"),
        ],
    )
    def test_events_that_are_not_for_it(self, name: str, events: tuple[str, ...], error_type: str) -> None:
        with pytest.raises(ExtensionRefused) as refused:
            found("one").extension_registers(name, events, "1")
        assert refused.value.error_type == error_type

    @pytest.mark.parametrize("name", ["one", "inside"])
    def test_registering_twice(self, name: str) -> None:
        machine = found("one")
        machine.extension_registers(name, ("INVOKE",), "1")
        with pytest.raises(ExtensionRefused) as refused:
            machine.extension_registers(name, ("INVOKE",), "2")
        assert refused.value.error_type == "Extension.InvalidExtensionState"

    def test_more_than_may_be(self) -> None:
        machine = found("one")
        for number in range(EXTENSIONS - 1):
            machine.extension_registers(f"inside {number}", ("INVOKE",), str(number))
        with pytest.raises(ExtensionRefused, match=r"Extension limit \(10\) reached") as refused:
            machine.extension_registers("eleventh", ("INVOKE",), "11")
        assert refused.value.error_type == "Extension.TooManyExtensions"

    def test_strangers(self) -> None:
        for machine in (found("one"), EnvironmentMachine(version(), CAUSE, Phases(), at(0))):
            for ask in (
                lambda m: m.extension_asks("x", at(5)),
                lambda m: m.extension_init_failed("x", "E"),
                lambda m: m.extension_exit_failed("x", "E"),
            ):
                with pytest.raises(ExtensionRefused) as refused:
                    ask(machine)
                assert refused.value.error_type == "Extension.UnknownExtensionIdentifier"

    def test_asking_twice_and_asking_after_an_error(self) -> None:
        machine = found("one", "two")
        machine.extension_registers("one", BOTH, "1")
        machine.extension_asks("1", at(5))
        with pytest.raises(ExtensionRefused, match="from Ready to Ready failed for extension 1"):
            machine.extension_asks("1", at(6))
        with pytest.raises(ExtensionRefused, match="from Ready to InitError"):
            machine.extension_init_failed("1", "E")
        machine.extension_exit_failed("1", "E")
        machine.extension_exit_failed("1", "Other")
        with pytest.raises(ExtensionRefused, match="from ExitError to Ready"):
            machine.extension_asks("1", at(7))
        assert machine.extensions is not None
        assert next(iter(machine.extensions)).error_type == "E", "the first error counts"
