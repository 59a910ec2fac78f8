"""Counting: pools, recalls, expiry, growth."""

from ondol.counting.api import Grant, Pool, Refusal
from ondol.counting.machine import GRANT_TTL, Answer, Command, CountingMachine, Recall
from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, FrontendId, Region, VersionId, WorkerId
from ondol.model.invocation import ThrottleReason
from ondol.model.limits import AccountLimits
from ondol.model.time import SECOND, Instant

ACCOUNT, REGION = AccountId("000000000000"), Region("us-east-1")
POOL = Pool(ACCOUNT, REGION)
FUNCTION = FunctionKey(ACCOUNT, REGION, "f")
RESERVED = Pool(ACCOUNT, REGION, "f")
ONE, TWO = FrontendId("one"), FrontendId("two")
NOW = Instant(0)


def machine(concurrency: int = 20) -> CountingMachine:
    counting = CountingMachine(AccountLimits(concurrency=concurrency))
    counting.joined(ONE)
    counting.joined(TWO)
    return counting


def granted(commands: list[Command]) -> Grant:
    [answer] = commands
    assert isinstance(answer, Answer) and isinstance(answer.outcome, Grant), commands
    return answer.outcome


def refused(commands: list[Command]) -> ThrottleReason:
    [answer] = commands
    assert isinstance(answer, Answer) and isinstance(answer.outcome, Refusal), commands
    return answer.outcome.reason


def test_grants_are_blocks_up_to_what_is_left() -> None:
    counting = machine(20)
    assert granted(counting.asked(1, ONE, POOL, 16, NOW)).n == 16
    assert granted(counting.asked(2, ONE, POOL, 16, NOW)).n == 4


def test_nobody_is_refused_before_others_unused_permits_are_recalled() -> None:
    counting = machine(20)
    grant = granted(counting.asked(1, ONE, POOL, 20, NOW))
    assert counting.asked(2, TWO, POOL, 16, NOW) == [Recall(ONE, POOL, 16, False, 2)]
    assert granted(counting.recalled({grant.id: 5}, 2, NOW)).n == 5
    assert counting.granted(POOL) == 20


def test_a_recall_that_brings_nothing_ends_in_a_refusal() -> None:
    counting = machine(20)
    counting.asked(1, ONE, POOL, 20, NOW)
    counting.asked(2, TWO, POOL, 1, NOW)
    assert refused(counting.recalled({}, 2, NOW)) is ThrottleReason.CONCURRENCY


def test_each_holder_gets_its_share_of_the_request_rate() -> None:
    assert granted(machine(20).asked(1, ONE, POOL, 1, NOW)).requests_per_s == 100


def test_reserved_concurrency_is_a_pool_of_its_own_taken_from_the_account() -> None:
    counting = machine(20)
    counting.reserve(FUNCTION, 5, {})
    assert granted(counting.asked(1, ONE, RESERVED, 16, NOW)).n == 5
    assert granted(counting.asked(2, ONE, POOL, 100, NOW)).n == 15
    assert refused(counting.asked(3, ONE, RESERVED, 1, NOW)) is ThrottleReason.RESERVED_CONCURRENCY


def test_reserved_zero_refuses_everything() -> None:
    counting = machine()
    counting.reserve(FUNCTION, 0, {})
    assert refused(counting.asked(1, ONE, RESERVED, 1, NOW)) is ThrottleReason.RESERVED_CONCURRENCY


def test_a_reservation_recalls_what_the_account_has_granted_too_much() -> None:
    counting = machine(20)
    grant = granted(counting.asked(1, ONE, POOL, 20, NOW))
    assert counting.reserve(FUNCTION, 5, {}) == [Recall(ONE, POOL, 5, True, None)]
    counting.recalled({grant.id: 3}, None, NOW)
    assert granted(counting.asked(2, ONE, RESERVED, 5, NOW)).n == 3, "never more than the account has in all"
    counting.given_back(grant.id, 2)
    assert granted(counting.asked(3, ONE, RESERVED, 5, NOW)).n == 2


def test_a_reservation_finds_room_in_the_unreserved_pool_while_a_former_one_is_still_in_use() -> None:
    counting = machine(20)
    counting.reserve(FUNCTION, 5, {})
    counting.asked(1, ONE, RESERVED, 5, NOW)
    counting.reserve(FUNCTION, None, {})
    everything = granted(counting.asked(2, TWO, POOL, 20, NOW))
    assert everything.n == 15
    other = FunctionKey(ACCOUNT, REGION, "g")
    counting.reserve(other, 5, {})
    recalls = counting.asked(3, ONE, Pool(ACCOUNT, REGION, "g"), 2, NOW)
    assert recalls == [Recall(ONE, RESERVED, 2, False, 3), Recall(TWO, POOL, 2, False, 3)]
    assert counting.recalled({}, 3, NOW) == [], "the function's former pool is all in use"
    assert granted(counting.recalled({everything.id: 2}, 3, NOW)).n == 2


def test_what_nobody_renews_is_free_again_but_for_what_workers_still_run() -> None:
    counting = machine(20)
    grant = granted(counting.asked(1, ONE, POOL, 20, NOW))
    late = Instant(NOW + GRANT_TTL)
    counting.reported(WorkerId("w"), {grant.id: 7}, Instant(NOW + SECOND))
    counting.expire(late)
    assert counting.granted(POOL) == 7
    assert counting.renewed(TWO, [grant.id], late) == {grant.id}, "not its grant"
    counting.expire(Instant(late + SECOND))
    assert counting.granted(POOL) == 0
    assert counting.reported(WorkerId("w"), {grant.id: 7}, late) == {grant.id}


def test_a_renewed_grant_stays() -> None:
    counting = machine(20)
    grant = granted(counting.asked(1, ONE, POOL, 20, NOW))
    assert counting.renewed(ONE, [grant.id], Instant(GRANT_TTL - 1)) == frozenset()
    counting.expire(Instant(GRANT_TTL))
    assert counting.granted(POOL) == 20


def test_a_function_grows_by_a_thousand_at_once_and_then_a_hundred_a_second() -> None:
    counting = machine()
    assert sum(counting.may_grow(FUNCTION, NOW) for _ in range(2000)) == 1000
    assert sum(counting.may_grow(FUNCTION, Instant(SECOND)) for _ in range(2000)) == 100
    assert sum(counting.may_grow(FUNCTION, Instant(3600 * SECOND)) for _ in range(2000)) == 1000


FIRST, SECOND_VERSION = VersionId("f/1"), VersionId("f/2")
OF_FIRST = Pool(ACCOUNT, REGION, "f", FIRST)


def test_provisioned_concurrency_is_taken_from_the_account() -> None:
    counting = machine(20)
    counting.reserve(FUNCTION, None, {FIRST: 5, SECOND_VERSION: 3})
    assert granted(counting.asked(1, ONE, OF_FIRST, 16, NOW)).n == 5
    assert granted(counting.asked(2, ONE, POOL, 100, NOW)).n == 12
    assert counting.limit(Pool(ACCOUNT, REGION, "f", SECOND_VERSION)) == 3


def test_provisioned_concurrency_is_a_part_of_what_is_reserved() -> None:
    counting = machine(20)
    counting.reserve(FUNCTION, 5, {FIRST: 5})
    assert counting.limit(POOL) == 15
    assert refused(counting.asked(1, ONE, RESERVED, 1, NOW)) is ThrottleReason.RESERVED_CONCURRENCY
    assert granted(counting.asked(2, ONE, OF_FIRST, 16, NOW)).n == 5
    counting.reserve(FUNCTION, 7, {FIRST: 5})
    assert granted(counting.asked(3, ONE, RESERVED, 16, NOW)).n == 2


def test_a_function_runs_no_more_than_it_has_reserved_while_its_pools_change() -> None:
    counting = machine(20)
    counting.reserve(FUNCTION, 5, {FIRST: 3})
    running = granted(counting.asked(1, ONE, OF_FIRST, 3, NOW))
    assert counting.reserve(FUNCTION, 5, {}) == [Recall(ONE, OF_FIRST, 3, True, None)]
    assert granted(counting.asked(2, ONE, RESERVED, 5, NOW)).n == 2, "three of the former pool are in use"
    counting.given_back(running.id, 1)
    assert granted(counting.asked(3, ONE, RESERVED, 5, NOW)).n == 1


def test_what_a_function_has_beyond_a_new_reservation_is_recalled_from_all_its_pools() -> None:
    counting = machine(20)
    counting.reserve(FUNCTION, 6, {FIRST: 2})
    counting.asked(1, ONE, OF_FIRST, 2, NOW)
    counting.asked(2, ONE, RESERVED, 4, NOW)
    assert counting.reserve(FUNCTION, 3, {FIRST: 2}) == [
        Recall(ONE, OF_FIRST, 3, True, None),
        Recall(ONE, RESERVED, 3, True, None),
    ]


def test_nothing_is_kept_of_functions_that_have_nothing_any_more() -> None:
    counting = machine(20)
    counting.reserve(FUNCTION, 6, {FIRST: 2})
    grants = [granted(counting.asked(1, ONE, pool, 2, NOW)) for pool in (OF_FIRST, RESERVED)]
    counting.reserve(FUNCTION, None, {})
    for grant in grants:
        counting.given_back(grant.id, grant.n)
    new = machine(20)
    kept = [name for name, value in vars(counting).items() if isinstance(value, dict) and value != vars(new)[name]]
    assert kept == []
