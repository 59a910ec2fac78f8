"""Permits that this frontend holds: blocks of the right to run, granted by counting, drawn without asking anybody.

Pure and synchronous. What is counted is invocations in flight: a permit is out from the draw to the return, and an
idle environment needs none.
"""

import msgspec

from ondol.counting.api import Grant, Pool
from ondol.model.errors import InvariantError
from ondol.model.rate import TokenBucket
from ondol.model.time import Instant


class Permit(msgspec.Struct, frozen=True, gc=False):
    """One of a grant: the right to run one invocation now."""

    pool: Pool
    grant: int


class _Held:
    __slots__ = ("free", "permit", "total", "ttl", "until")

    def __init__(self, grant: Grant, pool: Pool, now: Instant) -> None:
        self.permit = Permit(pool, grant.id)
        self.total = grant.n
        self.free = grant.n
        self.ttl = grant.ttl
        self.until = now + grant.ttl


class PoolPermits:
    """The grants of one pool, and this frontend's share of its request rate."""

    __slots__ = ("_grants", "_owed", "_rate", "pool")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._owed = 0
        self._grants: dict[int, _Held] = {}
        self._rate: TokenBucket | None = None

    def granted(self, grant: Grant, now: Instant) -> None:
        """Counting granted more."""
        self._grants[grant.id] = _Held(grant, self.pool, now)
        if self._rate is None:
            self._rate = TokenBucket(grant.requests_per_s, grant.requests_per_s, now)
        else:
            self._rate.resize(grant.requests_per_s, grant.requests_per_s, now)

    def within_rate(self, now: Instant) -> bool:
        """Charge one request to the rate. True while no grant has told what the rate is."""
        return self._rate is None or self._rate.take(now)

    def draw(self, now: Instant) -> Permit | None:
        """Take one permit; None if no living grant has one free."""
        for held in self._grants.values():
            if held.free and now < held.until:
                held.free -= 1
                return held.permit
        return None

    def put_back(self, permit: Permit) -> bool:
        """The invocation is over. True if the permit is owed to counting, and must be given back instead of kept."""
        held = self._grants.get(permit.grant)
        if held is None:
            return False
        held.free += 1
        if held.free > held.total:
            raise InvariantError(f"grant {held.permit.grant} of {self.pool} has more free permits than it has permits")
        if not self._owed:
            return False
        self._owed -= 1
        self._part(held, 1)
        return True

    def release(self, n: int, owe: bool) -> dict[int, int]:
        """Part with up to `n` unused permits: how many of which grant.

        With `owe` what is in use now and exceeds them is parted with as it comes back: the pool has shrunk.
        """
        released: dict[int, int] = {}
        for held in list(self._grants.values()):
            part = min(held.free, n)
            if part:
                released[held.permit.grant] = part
                self._part(held, part)
                n -= part
        if owe:
            self._owed = min(n, self.total)
        return released

    def _part(self, held: _Held, n: int) -> None:
        held.free -= n
        held.total -= n
        if held.total == 0:
            del self._grants[held.permit.grant]

    def renewed(self, grant: int, now: Instant) -> None:
        """Counting keeps this grant for another time to live."""
        held = self._grants.get(grant)
        if held is not None:
            held.until = now + held.ttl

    def lost(self, grant: int) -> None:
        """Counting holds this grant no longer."""
        self._grants.pop(grant, None)

    def blank(self, now: Instant) -> bool:
        """Nothing is held, nor is anything known of the rate that one new to the pool would not have in full."""
        return not self._grants and (self._rate is None or self._rate.full_at <= now)

    @property
    def grants(self) -> list[int]:
        return list(self._grants)

    @property
    def free(self) -> int:
        return sum(held.free for held in self._grants.values())

    @property
    def total(self) -> int:
        return sum(held.total for held in self._grants.values())
