"""Which environments exist: started for waiters, recalled when idle or replaced, making room for others."""

import pytest

from ondol.model.errors import InvariantError
from ondol.model.function import FunctionKey, FunctionVersion, LogSettings
from ondol.model.ids import AccountId, CodeDigest, EnvironmentId, FrontendId, Region, RequestId, VersionId, WorkerId
from ondol.model.invocation import ThrottleReason
from ondol.model.limits import KeepAlive
from ondol.model.time import MINUTE, SECOND, Instant
from ondol.placement.api import Demand, Placed, Unplaced
from ondol.worker_manager.api import Environment, HostFailed, NoRoom, SessionEnd
from ondol.worker_manager.commands import (
    AskGrowth,
    Command,
    EndSession,
    Lend,
    Offer,
    Place,
    Recall,
    Release,
    SetTimer,
    ShutOut,
    Start,
    Stop,
    TellFailure,
)
from ondol.worker_manager.machine import (
    MAKE_ROOM_IDLE,
    REPLACED,
    SESSION_OVER,
    WAIT_FOR_ROOM,
    ManagerMachine,
)

FRONTEND, WORKER = FrontendId("fe"), WorkerId("w")
KEY = FunctionKey(AccountId("000000000000"), Region("us-east-1"), "f")
IDLE, AGE = 10 * MINUTE, 60 * MINUTE


def version(id: str = "f/1") -> FunctionVersion:
    logs = LogSettings("/aws/lambda/f")
    return FunctionVersion(
        VersionId(id),
        function=KEY,
        version="$LATEST",
        runtime="python3.11",
        handler="m.h",
        code=CodeDigest("d"),
        role="r",
        memory_mb=128,
        timeout_s=3,
        tmp_mb=512,
        environment={},
        logs=logs,
    )


def env(name: str) -> EnvironmentId:
    return EnvironmentId(name)


def manager() -> ManagerMachine:
    return ManagerMachine(KeepAlive(IDLE, AGE))


def want(machine: ManagerMachine, name: str, now: int = 0, id: str = "f/1") -> list[Command]:
    return machine.wanted(env(name), FRONTEND, RequestId(f"for {name}"), version(id), Instant(now))


def lent(machine: ManagerMachine, name: str, now: int = 0, id: str = "f/1") -> None:
    want(machine, name, now, id)
    machine.growth(env(name), None, Instant(0))
    machine.placed(env(name), Placed(WORKER, "fits"), Instant(now))
    machine.started(env(name), Instant(now))


def test_an_environment_is_asked_for_placed_started_and_lent() -> None:
    machine = manager()
    assert want(machine, "e") == [AskGrowth(env("e"), KEY)]
    assert machine.growth(env("e"), None, Instant(0)) == [Place(Demand(env("e"), 128, "python3.11"))]
    assert machine.placed(env("e"), Placed(WORKER, "fits"), Instant(0)) == [
        Start(env("e"), WORKER, version(), RequestId("for e"), "fits")
    ]
    lend, timer = machine.started(env("e"), Instant(5))
    assert lend == Lend(FRONTEND, Environment(env("e"), WORKER, VersionId("f/1")))
    assert timer == SetTimer(env("e"), 1, Instant(5 + IDLE))


def test_a_function_that_may_not_grow_throttles_its_cause() -> None:
    machine = manager()
    want(machine, "e")
    reason = ThrottleReason.CONCURRENCY
    assert machine.growth(env("e"), reason, Instant(0)) == [
        TellFailure(FRONTEND, RequestId("for e"), VersionId("f/1"), reason)
    ]
    assert machine.environments() == []


def test_an_environment_that_nobody_used_is_recalled_and_stopped() -> None:
    machine = manager()
    lent(machine, "e")
    assert machine.timer_due(env("e"), 1, Instant(IDLE)) == [Recall(FRONTEND, env("e"), IDLE)]
    assert machine.given_back(env("e")) == [Stop(env("e"), WORKER, "nobody used it")]
    assert machine.ended(env("e"), Instant(0)) == [Release(env("e"))]
    assert machine.environments() == []


def test_one_that_was_used_meanwhile_is_kept_and_asked_for_again() -> None:
    machine = manager()
    lent(machine, "e")
    machine.timer_due(env("e"), 1, Instant(IDLE))
    assert machine.kept(env("e"), 4 * MINUTE, Instant(IDLE)) == [SetTimer(env("e"), 2, Instant(IDLE + 4 * MINUTE))]
    assert machine.timer_due(env("e"), 1, Instant(2 * IDLE)) == [], "a stale timer"


def test_an_old_one_is_wanted_back_even_if_it_is_in_use() -> None:
    machine = manager()
    lent(machine, "e")
    machine.timer_due(env("e"), 1, Instant(IDLE))
    machine.kept(env("e"), AGE, Instant(IDLE))
    assert machine.timer_due(env("e"), 2, Instant(AGE)) == [Recall(FRONTEND, env("e"), 0)]
    assert machine.kept(env("e"), 1, Instant(AGE)) == []
    assert machine.given_back(env("e")) == [Stop(env("e"), WORKER, "it is old")]


def test_environments_of_replaced_versions_are_recalled_at_once() -> None:
    machine = manager()
    lent(machine, "old", id="f/1")
    lent(machine, "new", id="f/2")
    assert machine.retired(KEY, frozenset({VersionId("f/2")})) == [Recall(FRONTEND, env("old"), 0)]
    assert machine.retired(KEY, frozenset({VersionId("f/2")})) == []


def test_environments_of_tenants_stay_while_their_version_does() -> None:
    machine = manager()
    for tenant in ("blue", "green/f/1"):
        own = version().of_tenant(tenant)
        machine.wanted(env(tenant), FRONTEND, RequestId(f"for {tenant}"), own, Instant(0))
        machine.growth(env(tenant), None, Instant(0))
        machine.placed(env(tenant), Placed(WORKER, "fits"), Instant(0))
        lend, _ = machine.started(env(tenant), Instant(0))
        assert isinstance(lend, Lend) and lend.environment.version == own.id
    assert machine.retired(KEY, frozenset({VersionId("f/1")})) == []
    recalled = machine.retired(KEY, frozenset({VersionId("f/2")}))
    assert recalled == [Recall(FRONTEND, env("blue"), 0), Recall(FRONTEND, env("green/f/1"), 0)]


def test_one_that_starts_while_its_version_is_replaced_serves_its_cause_and_goes() -> None:
    machine = manager()
    want(machine, "e")
    machine.growth(env("e"), None, Instant(0))
    machine.placed(env("e"), Placed(WORKER, "fits"), Instant(0))
    machine.retired(KEY, frozenset())
    lend, recall = machine.started(env("e"), Instant(5))
    assert isinstance(lend, Lend) and recall == Recall(FRONTEND, env("e"), 0)


def test_one_recalled_for_keep_alive_while_its_version_is_replaced_is_recalled_for_good() -> None:
    machine = manager()
    lent(machine, "e")
    machine.timer_due(env("e"), 1, Instant(IDLE))
    assert machine.retired(KEY, frozenset()) == []
    assert machine.kept(env("e"), 5, Instant(IDLE)) == [Recall(FRONTEND, env("e"), 0)]


def test_without_room_the_oldest_idle_one_makes_room() -> None:
    machine = manager()
    lent(machine, "oldest")
    lent(machine, "newer")
    want(machine, "e", 7)
    machine.growth(env("e"), None, Instant(0))
    timer, recall = machine.placed(env("e"), Unplaced("w is full"), Instant(7))
    assert timer == SetTimer(env("e"), 1, Instant(7 + WAIT_FOR_ROOM))
    assert recall == Recall(FRONTEND, env("oldest"), MAKE_ROOM_IDLE)
    _, recall = machine.kept(env("oldest"), SECOND, Instant(8))
    assert recall == Recall(FRONTEND, env("newer"), MAKE_ROOM_IDLE)
    machine.given_back(env("newer"))
    assert machine.ended(env("newer"), Instant(0)) == [
        Release(env("newer")),
        Place(Demand(env("e"), 128, "python3.11")),
    ]


def test_who_waited_enough_for_room_is_told_and_it_is_no_throttle() -> None:
    machine = manager()
    want(machine, "e")
    machine.growth(env("e"), None, Instant(0))
    machine.placed(env("e"), Unplaced("w is full"), Instant(0))
    told = TellFailure(FRONTEND, RequestId("for e"), VersionId("f/1"), NoRoom("w is full"))
    assert machine.timer_due(env("e"), 1, Instant(WAIT_FOR_ROOM)) == [told]


def test_a_failed_start_frees_its_room_and_is_told_to_its_cause() -> None:
    machine = manager()
    want(machine, "e")
    machine.growth(env("e"), None, Instant(0))
    machine.placed(env("e"), Placed(WORKER, "fits"), Instant(0))
    release, told = machine.start_failed(env("e"), NoRoom("x"), Instant(0))
    assert release == Release(env("e")) and isinstance(told, TellFailure)
    assert machine.ended(env("e"), Instant(0)) == []


def test_one_that_crashes_frees_its_room_and_its_frontend_is_told() -> None:
    machine = manager()
    lent(machine, "e")
    assert machine.ended(env("e"), Instant(0)) == [Release(env("e")), Recall(FRONTEND, env("e"), 0)]
    assert machine.timer_due(env("e"), 1, Instant(IDLE)) == []


def test_what_the_table_does_not_list_is_a_bug() -> None:
    machine = manager()
    want(machine, "e")
    with pytest.raises(InvariantError):
        machine.placed(env("e"), Placed(WORKER, "fits"), Instant(0))


def test_a_fleet_in_full_use_is_asked_for_room_once_and_not_again_before_it_could_help() -> None:
    machine = manager()
    lent(machine, "a")
    lent(machine, "b")
    want(machine, "e", 7)
    machine.growth(env("e"), None, Instant(0))
    asked = [
        command for command in machine.placed(env("e"), Unplaced("full"), Instant(7)) if isinstance(command, Recall)
    ]
    for recall in asked:
        asked += [
            command
            for command in machine.kept(recall.environment, MAKE_ROOM_IDLE, Instant(7))
            if isinstance(command, Recall)
        ]
    assert [recall.environment for recall in asked] == ["a", "b"]
    machine.timer_due(env("a"), 2, Instant(7 + MAKE_ROOM_IDLE))
    commands = machine.kept(env("a"), IDLE, Instant(7 + MAKE_ROOM_IDLE))
    assert [command.environment for command in commands if isinstance(command, Recall)] == ["a"]


def test_room_that_is_enough_for_several_is_given_to_several() -> None:
    machine = manager()
    lent(machine, "large")
    for name in ("one", "two"):
        want(machine, name, 7)
        machine.growth(env(name), None, Instant(0))
        machine.placed(env(name), Unplaced("full"), Instant(7))
    machine.given_back(env("large"))
    _, place = machine.ended(env("large"), Instant(0))
    assert place == Place(Demand(env("one"), 128, "python3.11"))
    start, place = machine.placed(env("one"), Placed(WORKER, "fits"), Instant(8))
    assert isinstance(start, Start)
    assert place == Place(Demand(env("two"), 128, "python3.11"))


def debugged(machine: ManagerMachine, name: str = "e", id: str = "f/1") -> list[Command]:
    """An environment for somebody who debugs, as far as its worker starts it."""
    assert machine.debug_wanted(env(name), FRONTEND, version(id), Instant(0)) == [AskGrowth(env(name), KEY)]
    machine.growth(env(name), None, Instant(0))
    return machine.placed(env(name), Placed(WORKER, "fits"), Instant(0))


def test_what_is_debugged_is_offered_and_kept_however_long_it_idles() -> None:
    machine = manager()
    debugged(machine)
    offer, timer = machine.started(env("e"), Instant(5))
    assert offer == Offer(FRONTEND, Environment(env("e"), WORKER, VersionId("f/1")))
    assert isinstance(timer, SetTimer)
    assert machine.timer_due(env("e"), timer.generation, Instant(5 + AGE)) == []
    want(machine, "other", id="f/1")
    machine.growth(env("other"), None, Instant(0))
    commands = machine.placed(env("other"), Unplaced("full"), Instant(AGE))
    assert not any(isinstance(command, Recall) for command in commands)


def test_the_end_of_a_session_lets_debuggers_go_and_ends_the_environment() -> None:
    machine = manager()
    debugged(machine)
    shut = ShutOut(env("e"), WORKER)
    assert machine.session_over(env("e")) == [shut, Stop(env("e"), WORKER, SESSION_OVER)]
    failure = HostFailed("the environment was stopped during its init")
    assert EndSession(env("e"), failure) in machine.start_failed(env("e"), failure, Instant(0))
    assert machine.environments() == []

    debugged(machine)
    machine.started(env("e"), Instant(5))
    assert machine.session_over(env("e")) == [shut, Recall(FRONTEND, env("e"), 0)]
    machine.given_back(env("e"))
    assert EndSession(env("e"), SessionEnd(SESSION_OVER)) in machine.ended(env("e"), Instant(0))
    assert machine.session_over(env("e")) == []


def test_a_session_is_told_of_newer_code_before_and_after_its_init() -> None:
    machine = manager()
    debugged(machine)
    newer = frozenset((VersionId("f/2"),))
    assert machine.retired(KEY, newer) == [Stop(env("e"), WORKER, REPLACED)]
    assert EndSession(env("e"), SessionEnd(REPLACED, True)) in machine.start_failed(
        env("e"), HostFailed("stopped"), Instant(0)
    )

    debugged(machine)
    machine.started(env("e"), Instant(5))
    assert machine.retired(KEY, newer) == [Recall(FRONTEND, env("e"), 0)]
    machine.given_back(env("e"))
    assert EndSession(env("e"), SessionEnd(REPLACED, True)) in machine.ended(env("e"), Instant(0))


def test_a_session_is_told_why_nothing_comes_of_it() -> None:
    machine = manager()
    machine.debug_wanted(env("e"), FRONTEND, version(), Instant(0))
    assert machine.session_over(env("e")) == []  # nothing is there that could be ended
    reason = ThrottleReason.CONCURRENCY
    assert machine.growth(env("e"), reason, Instant(0)) == [EndSession(env("e"), reason)]
    debugged(machine)
    machine.started(env("e"), Instant(5))
    crashed = machine.ended(env("e"), Instant(0))
    assert EndSession(env("e"), SessionEnd("it ended by itself")) in crashed
