"""Assignment in the frontend: permits, idle environments and waiters, step by step."""

import pytest

from ondol.counting.api import Grant, Pool, Refusal
from ondol.frontend.machine import (
    PATIENCE,
    SMALLEST_BLOCK,
    AskPermits,
    Assignment,
    Command,
    Fail,
    GiveBackEnvironment,
    GiveBackPermit,
    Provisioned,
    Reconsider,
    Refuse,
    Run,
    Want,
)
from ondol.frontend.permits import Permit
from ondol.model.errors import InvariantError
from ondol.model.ids import AccountId, EnvironmentId, Region, RequestId, VersionId, WorkerId
from ondol.model.invocation import ThrottleReason
from ondol.model.time import SECOND, Instant
from ondol.worker_manager.api import Environment, NoRoom

POOL = Pool(AccountId("000000000000"), Region("us-east-1"))
RESERVED = Pool(AccountId("000000000000"), Region("us-east-1"), "f")
VERSION = VersionId("f/1")
NOW = Instant(1000)


def environment(name: str, version: VersionId = VERSION) -> Environment:
    return Environment(EnvironmentId(name), WorkerId("w"), version)


def grant(n: int, id: int = 1, pool: Pool = POOL, rate: int = 1000) -> Grant:
    return Grant(id, pool, n, 15 * SECOND, rate)


def arrive(assignment: Assignment, request: str, version: VersionId = VERSION, pool: Pool = POOL) -> list[Command]:
    return assignment.arrived(RequestId(request), version, pool, NOW)


def ready(permits: int, *environments: str) -> Assignment:
    """An assignment that holds so many permits and these idle environments, the last used last."""
    assignment = Assignment()
    arrive(assignment, "first")
    commands = assignment.granted(grant(permits), NOW)
    assert commands == [Want(RequestId("first"), VERSION)]
    assignment.start_failed(RequestId("first"), VERSION, NoRoom("made up"), NOW)
    for name in environments:
        assignment.idle.put(environment(name), NOW)
    return assignment


def test_the_first_invocation_asks_for_permits_and_then_for_an_environment() -> None:
    assignment = Assignment()
    assert arrive(assignment, "a") == [AskPermits(POOL, SMALLEST_BLOCK)]
    assert arrive(assignment, "b") == []
    assert assignment.granted(grant(16), NOW) == [Want(RequestId("a"), VERSION), Want(RequestId("b"), VERSION)]


def test_a_warm_invocation_asks_nobody_and_takes_the_environment_used_last() -> None:
    assignment = ready(2, "old", "new")
    [run] = arrive(assignment, "a")
    assert isinstance(run, Run)
    assert run.environment == environment("new")
    assert assignment.finished(RequestId("a"), environment("new"), True, NOW) == []
    [run] = arrive(assignment, "b")
    assert isinstance(run, Run)
    assert run.environment == environment("new")


def test_a_released_environment_goes_to_whoever_has_waited_longest() -> None:
    assignment = ready(3, "only")
    arrive(assignment, "a")
    assert arrive(assignment, "b") == [Want(RequestId("b"), VERSION)]
    assert arrive(assignment, "c") == [Want(RequestId("c"), VERSION)]
    [run] = assignment.finished(RequestId("a"), environment("only"), True, NOW)
    assert isinstance(run, Run) and run.request == "b"
    [run] = assignment.lent(environment("started for b"), NOW)
    assert isinstance(run, Run) and run.request == "c"
    assert assignment.lent(environment("started for c"), NOW) == []
    assert len(assignment.idle) == 1


def test_a_failed_start_is_told_only_to_its_cause_and_only_if_it_still_waits() -> None:
    assignment = ready(2, "only")
    arrive(assignment, "a")
    arrive(assignment, "b")
    assignment.finished(RequestId("a"), environment("only"), True, NOW)
    assert assignment.start_failed(RequestId("b"), VERSION, NoRoom("full"), NOW) == []
    assert arrive(assignment, "c") == [Want(RequestId("c"), VERSION)]
    assert assignment.start_failed(RequestId("c"), VERSION, NoRoom("full"), NOW) == [
        Fail(RequestId("c"), NoRoom("full"))
    ]


def test_no_more_environments_are_asked_for_than_invocations_wait() -> None:
    assignment = ready(9, "only")
    arrive(assignment, "a")
    assert arrive(assignment, "b") == [Want(RequestId("b"), VERSION)]
    assignment.finished(RequestId("a"), environment("only"), True, NOW)
    assert arrive(assignment, "c") == [], "the one that b asked for is coming"
    assert assignment.start_failed(RequestId("b"), VERSION, NoRoom("full"), NOW) == [Want(RequestId("c"), VERSION)]


def test_environments_serve_only_their_own_version() -> None:
    assignment = ready(2, "one")
    assert arrive(assignment, "a", VersionId("f/2")) == [Want(RequestId("a"), VersionId("f/2"))]


def test_refusal_throttles_all_who_wait_for_a_permit() -> None:
    assignment = Assignment()
    arrive(assignment, "a", pool=RESERVED)
    arrive(assignment, "b", pool=RESERVED)
    reason = ThrottleReason.RESERVED_CONCURRENCY
    assert assignment.refused(Refusal(RESERVED, reason), NOW) == [Refuse(RequestId(r), reason) for r in ("a", "b")]
    assert arrive(assignment, "c", pool=RESERVED) == [AskPermits(RESERVED, SMALLEST_BLOCK)]


def test_a_returned_permit_serves_whoever_waits_for_one() -> None:
    assignment = ready(1, "only")
    arrive(assignment, "a")
    assert arrive(assignment, "b") == [AskPermits(POOL, SMALLEST_BLOCK)]
    commands = assignment.finished(RequestId("a"), environment("only"), True, NOW)
    [run] = commands
    assert isinstance(run, Run) and run.request == "b", "in the environment that came back with the permit"


def test_requests_beyond_the_rate_are_refused() -> None:
    assignment = ready(5, "only")
    assignment.granted(grant(1, id=2, rate=2), NOW)
    assert isinstance(arrive(assignment, "a")[0], Run)
    arrive(assignment, "b")
    assert arrive(assignment, "c") == [Refuse(RequestId("c"), ThrottleReason.RATE)]


def test_an_expired_grant_is_not_drawn_from_and_a_renewed_one_is() -> None:
    assignment = ready(1, "only")
    later = Instant(NOW + 16 * SECOND)
    assert assignment.arrived(RequestId("a"), VERSION, POOL, later) == [AskPermits(POOL, SMALLEST_BLOCK)]
    assignment.renewed(frozenset(), later)
    assert isinstance(assignment.granted(grant(1, id=2), later)[0], Run)
    assert isinstance(assignment.arrived(RequestId("b"), VERSION, POOL, later)[0], Want)


def test_a_recall_takes_unused_permits_and_owes_the_rest() -> None:
    assignment = ready(3, "one", "two")
    arrive(assignment, "a")
    assert assignment.recall_permits(POOL, 3, owe=True) == {1: 2}
    assert GiveBackPermit(1) in assignment.finished(RequestId("a"), environment("two"), True, NOW)
    assert arrive(assignment, "b") == [AskPermits(POOL, SMALLEST_BLOCK)]


def test_an_idle_environment_is_recalled_only_after_its_time() -> None:
    assignment = ready(1, "one")
    assert assignment.recall_environment(EnvironmentId("one"), 10, Instant(NOW + 4)) == 6
    assert assignment.recall_environment(EnvironmentId("one"), 10, Instant(NOW + 10)) is None
    assert len(assignment.idle) == 0


def test_an_environment_recalled_for_good_while_in_use_is_given_back_when_it_ends() -> None:
    assignment = ready(1, "one")
    arrive(assignment, "a")
    assert assignment.recall_environment(EnvironmentId("one"), 0, NOW) is not None
    commands = assignment.finished(RequestId("a"), environment("one"), True, NOW)
    assert commands == [GiveBackEnvironment(EnvironmentId("one"))]
    assert len(assignment.idle) == 0


def test_a_bounced_invocation_keeps_its_permit_and_gets_another_environment() -> None:
    assignment = ready(1, "one", "gone")
    arrive(assignment, "a")
    [run] = assignment.bounced(RequestId("a"), environment("gone"), NOW)
    assert isinstance(run, Run) and run.environment == environment("one")


def test_a_client_that_goes_away_leaves_its_permit_to_others() -> None:
    assignment = ready(1)
    arrive(assignment, "a")
    assert assignment.gave_up(RequestId("a"), VERSION, NOW) == []
    assert arrive(assignment, "b") == [], "the environment that was asked for is still coming"
    [run] = assignment.lent(environment("asked for by a"), NOW)
    assert isinstance(run, Run) and run.request == "b"


def test_finishing_what_was_not_in_use_is_a_bug() -> None:
    with pytest.raises(InvariantError):
        Assignment().finished(RequestId("a"), environment("one"), True, NOW)


def test_one_whose_environment_went_to_another_asks_again_when_the_others_fails() -> None:
    assignment = ready(2)
    arrive(assignment, "a")
    arrive(assignment, "b")
    [run] = assignment.lent(environment("started for b"), NOW)
    assert isinstance(run, Run) and run.request == "a"
    assert assignment.start_failed(RequestId("a"), VERSION, NoRoom("full"), NOW) == [Want(RequestId("b"), VERSION)]


def test_an_environment_that_has_answered_is_expected_back_before_another_is_asked_for() -> None:
    assignment = ready(3, "e")
    [run] = arrive(assignment, "a")
    assert isinstance(run, Run)
    assignment.answered(run.environment, NOW)
    assert arrive(assignment, "b") == [Reconsider(VERSION, Instant(NOW + PATIENCE))]
    [again] = assignment.finished(RequestId("a"), run.environment, True, Instant(NOW + 1))
    assert isinstance(again, Run)
    assert (again.request, again.environment) == ("b", run.environment)
    assert assignment.reconsidered(VERSION, Instant(NOW + PATIENCE)) == []


def test_only_as_many_wait_as_are_expected_back() -> None:
    assignment = ready(3, "e")
    [run] = arrive(assignment, "a")
    assert isinstance(run, Run)
    assignment.answered(run.environment, NOW)
    arrive(assignment, "b")
    assert arrive(assignment, "c") == [Want(RequestId("c"), VERSION)]


def test_one_that_does_not_come_back_is_given_up() -> None:
    assignment = ready(3, "e")
    [run] = arrive(assignment, "a")
    assert isinstance(run, Run)
    assignment.answered(run.environment, NOW)
    arrive(assignment, "b")
    late = Instant(NOW + PATIENCE)
    assert assignment.reconsidered(VERSION, late) == [Want(RequestId("b"), VERSION)]
    assert assignment.arrived(RequestId("c"), VERSION, POOL, late) == [Want(RequestId("c"), VERSION)]
    assert assignment.finished(RequestId("a"), run.environment, False, late) == []


OWN = Pool(AccountId("000000000000"), Region("us-east-1"), "f", VERSION)


def arrive_provisioned(assignment: Assignment, request: str, n: int, pool: Pool = POOL) -> list[Command]:
    return assignment.arrived(RequestId(request), VERSION, pool, NOW, Provisioned(OWN, n))


def test_provisioned_permits_and_environments_are_used_first() -> None:
    assignment = ready(1, "on demand")
    kept = Environment(EnvironmentId("kept"), WorkerId("w"), VERSION, provisioned=True)
    assignment.offered(kept, NOW)
    assignment.idle.put(environment("used last"), NOW)
    assert arrive_provisioned(assignment, "a", 2) == [AskPermits(OWN, SMALLEST_BLOCK)]
    assert assignment.granted(grant(2, 7, OWN), NOW) == [Run(RequestId("a"), kept, Permit(OWN, 7))]
    [run] = arrive_provisioned(assignment, "b", 2)
    assert run == Run(RequestId("b"), environment("used last"), Permit(OWN, 7)), "until one of its own is ready"
    [spilled] = arrive_provisioned(assignment, "c", 2)
    assert spilled == Run(RequestId("c"), environment("on demand"), Permit(POOL, 1)), "nobody need be asked"


def test_who_waited_for_a_provisioned_permit_in_vain_spills_over() -> None:
    assignment = ready(1, "e")
    for request in ("a", "b"):
        arrive_provisioned(assignment, request, 2)
    commands = assignment.refused(Refusal(OWN, ThrottleReason.RESERVED_CONCURRENCY), NOW)
    assert commands == [Run(RequestId("a"), environment("e"), Permit(POOL, 1)), AskPermits(POOL, SMALLEST_BLOCK)]
    reason = ThrottleReason.CONCURRENCY
    assert assignment.refused(Refusal(POOL, reason), NOW) == [Refuse(RequestId("b"), reason)]


def test_what_is_beyond_the_rate_of_provisioned_concurrency_spills_over() -> None:
    assignment = ready(2, "e", "f", "g")
    arrive_provisioned(assignment, "a", 2)
    assignment.granted(grant(2, 7, OWN, rate=1), NOW)
    arrive_provisioned(assignment, "b", 2)
    [run] = arrive_provisioned(assignment, "c", 2)
    assert isinstance(run, Run) and run.permit.pool == POOL


def test_a_client_that_goes_away_waits_for_no_provisioned_permit() -> None:
    assignment = Assignment()
    arrive_provisioned(assignment, "a", 1)
    assert assignment.gave_up(RequestId("a"), VERSION, NOW) == []
    assert assignment.granted(grant(1, 7, OWN), NOW) == []


def test_a_provisioned_environment_that_is_recalled_is_idle_no_more() -> None:
    assignment = ready(1)
    kept = Environment(EnvironmentId("kept"), WorkerId("w"), VERSION, provisioned=True)
    assignment.offered(kept, NOW)
    assert assignment.recall_environment(kept.id, 0, NOW) is None
    assert assignment.idle.take(VERSION) is None


def test_nothing_is_kept_of_what_a_version_had_provisioned_once_that_is_recalled_and_over() -> None:
    assignment = ready(1)
    arrive_provisioned(assignment, "a", 1)
    assignment.renewed(frozenset(), NOW)
    assignment.granted(grant(1, 7, OWN), NOW)
    kept = Environment(EnvironmentId("kept"), WorkerId("w"), VERSION, provisioned=True)
    assignment.offered(kept, NOW)
    assert assignment.recall_permits(OWN, 1, owe=True) == {}
    later = Instant(NOW + SECOND)
    assignment.renewed(frozenset({7}), later)
    assert assignment.finished(RequestId("a"), kept, True, later) == [], "its permit is lost, its pool is not"
    assignment.renewed(frozenset(), later)
    assert list(assignment._pools) == [POOL], "whose permit is held still"
