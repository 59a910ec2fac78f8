"""Who holds how many permits of which pool.

Pure. Grants are blocks; a holder renews what it holds, a worker reports what runs, and what neither vouches for any
longer is free again. Before anyone is refused, unused permits of the other holders are recalled.

An account's concurrency is divided: a function claims what it has reserved, or what its versions have provisioned if it
has reserved nothing; the rest is unreserved. Of a reservation its versions' provisioned concurrency is a part, and what
is left is for all versions, `$LATEST` included (developer guide, "Configuring provisioned concurrency for a function").
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from ondol.counting.api import Grant, Pool, Refusal
from ondol.model.errors import InvariantError
from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, FrontendId, Region, VersionId, WorkerId
from ondol.model.invocation import ThrottleReason
from ondol.model.limits import AccountLimits
from ondol.model.rate import TokenBucket
from ondol.model.time import SECOND, Instant

GRANT_TTL = 15 * SECOND

_Counted = TypeVar("_Counted")


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What the request with this number gets."""

    request: int
    outcome: Grant | Refusal


class Recall(msgspec.Struct, frozen=True, gc=False):
    """Ask a holder for unused permits; `request` waits for what comes of it, if it is there."""

    holder: FrontendId
    pool: Pool
    n: int
    owe: bool
    request: int | None


Command = Answer | Recall


class _Grant:
    __slots__ = ("holder", "n", "pool", "running", "until")

    def __init__(self, pool: Pool, holder: FrontendId, n: int, until: Instant) -> None:
        self.pool = pool
        self.holder = holder
        self.n = n
        self.until = until
        self.running: dict[WorkerId, tuple[int, Instant]] = {}
        """Invocations that workers report on this grant, and until when that report counts."""


class _Request:
    __slots__ = ("holder", "n", "open_recalls", "pool")

    def __init__(self, holder: FrontendId, pool: Pool, n: int, open_recalls: int) -> None:
        self.holder = holder
        self.pool = pool
        self.n = n
        self.open_recalls = open_recalls


class _Claim:
    """What one function has for itself."""

    __slots__ = ("most", "provisioned", "reserved", "total")

    def __init__(self, reserved: int | None, provisioned: Mapping[Pool, int]) -> None:
        together = sum(provisioned.values())
        self.provisioned = provisioned
        self.total = together if reserved is None else max(reserved, together)
        self.reserved = self.total - together
        """What is left to all its versions."""

        self.most = None if reserved is None else self.total
        """Of its invocations at once, whatever pools they draw from; None: as many as its account has left."""


_NO_CLAIM = _Claim(None, {})


class CountingMachine:
    """All pools of all accounts. One writer; `now` never goes back."""

    def __init__(self, limits: AccountLimits) -> None:
        self._limits = limits
        self._holders: list[FrontendId] = []
        self._claims: dict[Pool, _Claim] = {}
        """By the pool that the function has for all its versions."""

        self._account_claimed: dict[tuple[AccountId, Region], int] = {}
        self._granted: dict[Pool, int] = {}
        self._function_granted: dict[Pool, int] = {}
        self._account_granted: dict[tuple[AccountId, Region], int] = {}
        self._grants: dict[int, _Grant] = {}
        self._requests: dict[int, _Request] = {}
        self._growth: dict[FunctionKey, TokenBucket] = {}
        self._last_grant = 0

    def joined(self, holder: FrontendId) -> None:
        if holder not in self._holders:
            self._holders.append(holder)

    def limit(self, pool: Pool) -> int:
        """How many invocations of this pool may run at once."""
        if pool.version is not None:
            return self._claims.get(_of_function(pool), _NO_CLAIM).provisioned.get(pool, 0)
        if pool.function is not None:
            return self._claims.get(pool, _NO_CLAIM).reserved
        return max(0, self._limits.concurrency - self._account_claimed.get(_account(pool), 0))

    def granted(self, pool: Pool) -> int:
        return self._granted.get(pool, 0)

    # Permits

    def asked(self, request: int, holder: FrontendId, pool: Pool, n: int, now: Instant) -> list[Command]:
        """A holder needs up to `n` permits. Answered at once, or when the others have said what they can spare."""
        if self._available(pool) > 0 or self.limit(pool) == 0:
            return [Answer(request, self._settle(holder, pool, n, now))]
        others = [
            Recall(other, recalled, n, False, request)
            for other in self._holders
            for recalled in self._pools_of(pool)
            if (other, recalled) != (holder, pool) and self._held(other, recalled)
        ]
        if not others:
            return [Answer(request, self._settle(holder, pool, n, now))]
        self._requests[request] = _Request(holder, pool, n, len(others))
        return list(others)

    def recalled(self, returned: Mapping[int, int], request: int | None, now: Instant) -> list[Command]:
        """A holder answered a recall."""
        for grant, n in returned.items():
            self._shrink(grant, n)
        waiting = self._requests.get(request) if request is not None else None
        if waiting is None or request is None:
            return []
        waiting.open_recalls -= 1
        if waiting.open_recalls:
            return []
        del self._requests[request]
        return [Answer(request, self._settle(waiting.holder, waiting.pool, waiting.n, now))]

    def given_back(self, grant: int, n: int) -> None:
        self._shrink(grant, n)

    def renewed(self, holder: FrontendId, grants: list[int], now: Instant) -> frozenset[int]:
        """Keep a holder's grants; the answer is those that are gone."""
        lost = set()
        for id in grants:
            grant = self._grants.get(id)
            if grant is None or grant.holder != holder:
                lost.add(id)
            else:
                grant.until = Instant(now + GRANT_TTL)
        return frozenset(lost)

    def reported(self, worker: WorkerId, running: Mapping[int, int], now: Instant) -> frozenset[int]:
        """A worker's heartbeat; the answer is the grants that are dead, whose invocations must end."""
        for id, n in running.items():
            grant = self._grants.get(id)
            if grant is not None:
                grant.running[worker] = (n, Instant(now + GRANT_TTL))
        for id, grant in self._grants.items():
            if worker in grant.running and id not in running:
                del grant.running[worker]
        return frozenset(id for id in running if id not in self._grants)

    def expire(self, now: Instant) -> None:
        """Free what nobody vouches for: of a grant whose holder is silent only what workers still run remains."""
        for id, grant in list(self._grants.items()):
            if now < grant.until:
                continue
            alive = sum(n for n, until in grant.running.values() if now < until)
            if alive < grant.n:
                self._shrink(id, grant.n - alive)

    # Limits

    def reserve(
        self, function: FunctionKey, concurrency: int | None, provisioned: Mapping[VersionId, int]
    ) -> list[Command]:
        """Give a function pools of its own, resize or end them; pools that shrink are recalled, in part later."""
        own = Pool(function.account, function.region, function.name)
        pools = {Pool(own.account, own.region, own.function, version): n for version, n in provisioned.items()}
        before, claim = self._claims.pop(own, _NO_CLAIM), _Claim(concurrency, pools)
        if concurrency is not None or pools:
            self._claims[own] = claim
        account = _account(own)
        _add(self._account_claimed, account, claim.total - before.total)
        over = 0 if claim.most is None else self._function_granted.get(own, 0) - claim.most
        own_pools = [pool for pool in self._granted if pool.function == own.function and _account(pool) == account]
        commands = [recall for pool in own_pools for recall in self._recall_excess(pool, over)]
        return [*commands, *self._recall_excess(Pool(own.account, own.region))]

    def may_grow(self, function: FunctionKey, now: Instant) -> bool:
        """May it have one more environment now? 1,000 at once, refilled over 10 s, never more than 1,000 saved up."""
        bucket = self._growth.get(function)
        if bucket is None:
            per_second = self._limits.growth_burst * SECOND // self._limits.growth_period
            bucket = self._growth[function] = TokenBucket(self._limits.growth_burst, per_second, now)
        return bucket.take(now)

    def forget_growth(self, now: Instant) -> None:
        """Drop the growth of functions that have not grown for so long that nothing of it matters."""
        self._growth = {function: bucket for function, bucket in self._growth.items() if bucket.full_at > now}

    # Inside

    def _available(self, pool: Pool) -> int:
        """What the pool has left, while those that shrank may still have more than they should."""
        left = self._limits.concurrency - self._account_granted.get(_account(pool), 0)
        if pool.function is not None:
            function = _of_function(pool)
            most = self._claims.get(function, _NO_CLAIM).most
            if most is not None:
                left = min(left, most - self._function_granted.get(function, 0))
        return min(left, self.limit(pool) - self.granted(pool))

    def _pools_of(self, pool: Pool) -> list[Pool]:
        """Pools whose unused permits stand in this one's way.

        Itself; and if it has not all that it may have, all others of the account, one of which still has more than it
        may, since its limit fell.
        """
        if self.granted(pool) >= self.limit(pool):
            return [pool]
        account = _account(pool)
        return [pool, *(other for other in self._granted if other != pool and _account(other) == account)]

    def _held(self, holder: FrontendId, pool: Pool) -> bool:
        return any(grant.holder == holder and grant.pool == pool for grant in self._grants.values())

    def _settle(self, holder: FrontendId, pool: Pool, n: int, now: Instant) -> Grant | Refusal:
        n = min(n, self._available(pool))
        if n <= 0:
            reserved = pool.function is not None
            return Refusal(pool, ThrottleReason.RESERVED_CONCURRENCY if reserved else ThrottleReason.CONCURRENCY)
        self._last_grant += 1
        self._grants[self._last_grant] = _Grant(pool, holder, n, Instant(now + GRANT_TTL))
        self._count(pool, n)
        rate = self.limit(pool) * self._limits.requests_per_concurrency // max(1, len(self._holders))
        return Grant(self._last_grant, pool, n, GRANT_TTL, max(1, rate))

    def _shrink(self, id: int, n: int) -> None:
        grant = self._grants.get(id)
        if grant is None:
            return
        if n > grant.n:
            raise InvariantError(f"{n} permits came back of grant {id}, which has {grant.n}")
        grant.n -= n
        self._count(grant.pool, -n)
        if grant.n == 0:
            del self._grants[id]

    def _count(self, pool: Pool, n: int) -> None:
        _add(self._granted, pool, n)
        if pool.function is not None:
            _add(self._function_granted, _of_function(pool), n)
        _add(self._account_granted, _account(pool), n)

    def _recall_excess(self, pool: Pool, over: int = 0) -> list[Command]:
        """What the pool has granted too much, or its function has, by `over`: whoever needs one of these asks again."""
        excess = max(over, self.granted(pool) - self.limit(pool))
        if excess <= 0:
            return []
        return [Recall(holder, pool, excess, True, None) for holder in self._holders if self._held(holder, pool)]


def _add(counts: dict[_Counted, int], what: _Counted, n: int) -> None:
    """Nothing is kept of what comes down to none: functions and their versions come and go."""
    count = counts.get(what, 0) + n
    if count:
        counts[what] = count
    else:
        counts.pop(what, None)


def _account(pool: Pool) -> tuple[AccountId, Region]:
    return pool.account, pool.region


def _of_function(pool: Pool) -> Pool:
    """The pool that its function has for all versions."""
    return Pool(pool.account, pool.region, pool.function)
