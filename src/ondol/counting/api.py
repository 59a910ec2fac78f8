"""Counting's door."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, FrontendId, Region, VersionId, WorkerId
from ondol.model.invocation import ThrottleReason


class Pool(msgspec.Struct, frozen=True, gc=False):
    """What permits are drawn from: a version's provisioned concurrency, what its function has reserved beside that,
    or what its account has left to all functions that have reserved nothing."""

    account: AccountId
    region: Region
    function: str | None = None
    """Name of the function that has this pool for itself; None is the account's unreserved pool."""

    version: VersionId | None = None
    """The only version of the function that has this pool: its provisioned concurrency."""


class Grant(msgspec.Struct, frozen=True, gc=False):
    """The right to run `n` invocations at once, until `ttl` after the last renewal."""

    id: int
    """Grows with every grant and is never given again: a worker that was told one is dead refuses it for ever."""

    pool: Pool
    n: int
    ttl: int
    """Nanoseconds."""

    requests_per_s: int
    """This holder's share of the pool's request rate, for all its grants of the pool together."""


class Refusal(msgspec.Struct, frozen=True, gc=False):
    pool: Pool
    reason: ThrottleReason


class Counting(Protocol):
    def register(self, holder: "PermitHolder") -> None: ...

    async def grant(self, holder: FrontendId, pool: Pool, n: int) -> Grant | Refusal:
        """Up to `n` permits, at least one; a refusal only once nobody holds an unused one."""
        ...

    async def give_back(self, holder: FrontendId, grant: int, n: int) -> None:
        """`n` permits of a grant are not needed any more."""
        ...

    async def renew(self, holder: FrontendId, grants: list[int]) -> frozenset[int]:
        """Keep these grants for another time to live; answers the ones that are held no longer."""
        ...

    async def running(self, worker: WorkerId, permits: dict[int, int]) -> frozenset[int]:
        """A worker's heartbeat: how many invocations run on permits of which grant. Answers dead grants."""
        ...

    async def may_grow(self, function: FunctionKey) -> bool:
        """May this function have one more environment now? A yes is charged (developer guide, scaling behavior)."""
        ...

    async def reserve(
        self, function: FunctionKey, concurrency: int | None, provisioned: Mapping[VersionId, int]
    ) -> None:
        """Give a function pools of its own, change their sizes, or end them: what it has reserved in all (None:
        nothing), and what its versions have provisioned, which is a part of that."""
        ...


class PermitHolder(Protocol):
    """A frontend, as counting sees it."""

    @property
    def id(self) -> FrontendId: ...

    async def recall_permits(self, pool: Pool, n: int, owe: bool) -> dict[int, int]:
        """Give up to `n` unused permits of the pool back: how many of which grant.

        With `owe` the pool has shrunk, and the rest of the `n` is given back as invocations end.
        """
        ...
