"""Assignment: which invocation runs now, on which permit, in which environment.

```
 Arrived ──▶ rate? ──▶ permit? ──▶ environment? ──▶ Run ──▶ Finished: permit and environment serve whoever waits
              │ no        │ none       │ none idle
            Refuse    AskPermits      Want ──▶ Lent: to the longest waiting; StartFailed: Fail its cause
                       │      │
                   Granted  Refused: Refuse
```

A version that has provisioned concurrency draws from that pool first. What its rate, or counting, does not let through
spills over: it goes the same way once more, through its function's pool or the account's.

Pure: everything that happens is an event, everything that must be done a command. A warm invocation takes two steps
here, `Arrived` and `Finished`, and neither asks anybody.
"""

from collections import deque
from typing import NamedTuple

import msgspec

from ondol.counting.api import Grant, Pool, Refusal
from ondol.frontend.idle import Expected, Idle, Waiting
from ondol.frontend.permits import Permit, PoolPermits
from ondol.model.errors import InvariantError
from ondol.model.ids import EnvironmentId, RequestId, VersionId
from ondol.model.invocation import ThrottleReason
from ondol.model.time import MILLISECOND, Instant
from ondol.worker_manager.api import Environment, StartFailure

PATIENCE = 50 * MILLISECOND
"""How long an environment whose invocation is answered is expected back, before another is started in its stead. A
runtime that asks for the next invocation in a step of its own takes a millisecond for it; one that starts a program to
do so, or has used up its processor share, some tens."""

SMALLEST_BLOCK = 16
"""Permits asked for at a time, at least; a frontend that has more asks for as many again."""


class Run(msgspec.Struct, frozen=True, gc=False):
    """Run this invocation in this environment."""

    request: RequestId
    environment: Environment
    permit: Permit


class Refuse(msgspec.Struct, frozen=True, gc=False):
    """Throttle this invocation."""

    request: RequestId
    reason: ThrottleReason


class Fail(msgspec.Struct, frozen=True, gc=False):
    """No environment is coming for this invocation."""

    request: RequestId
    failure: StartFailure


class AskPermits(msgspec.Struct, frozen=True, gc=False):
    """Ask counting for `n` permits of the pool."""

    pool: Pool
    n: int


class Want(msgspec.Struct, frozen=True, gc=False):
    """Ask the worker manager for an environment, for this invocation."""

    request: RequestId
    version: VersionId


class Reconsider(msgspec.Struct, frozen=True, gc=False):
    """Come back with `reconsidered` at `at`, if by then somebody may still wait for what was expected back."""

    version: VersionId
    at: Instant


class GiveBackPermit(msgspec.Struct, frozen=True, gc=False):
    grant: int


class GiveBackEnvironment(msgspec.Struct, frozen=True, gc=False):
    environment: EnvironmentId


Command = Run | Refuse | Fail | AskPermits | Want | Reconsider | GiveBackPermit | GiveBackEnvironment


class Provisioned(msgspec.Struct, frozen=True, gc=False):
    """A version's provisioned concurrency: the pool, and how many permits it has in all."""

    pool: Pool
    n: int


class _Waiter(NamedTuple):
    """An invocation that waits for a permit."""

    request: RequestId
    version: VersionId
    spills_to: Pool | None
    """Where it goes if there is none; None: it is throttled."""


class _Pool:
    __slots__ = ("asking", "permits", "waiting")

    def __init__(self, pool: Pool) -> None:
        self.permits = PoolPermits(pool)
        self.waiting: deque[_Waiter] = deque()
        self.asking = False


class Assignment:
    """The frontend's part of admission and assignment, for all functions that it serves."""

    def __init__(self) -> None:
        self.idle = Idle()
        self._waiting = Waiting()
        self._pools: dict[Pool, _Pool] = {}
        self._permits: dict[RequestId, Permit] = {}
        self._in_use: dict[EnvironmentId, RequestId] = {}
        self._wanted_back: set[EnvironmentId] = set()
        self._expected = Expected()
        self._reconsidering: set[VersionId] = set()

    # Invocations

    def arrived(
        self, request: RequestId, version: VersionId, pool: Pool, now: Instant, provisioned: Provisioned | None = None
    ) -> list[Command]:
        """An invocation came in."""
        if provisioned is not None:
            return self._arrived_where_provisioned(request, version, pool, now, provisioned)
        state = self._pools.get(pool)
        if state is None:
            state = self._pools[pool] = _Pool(pool)
        if not state.permits.within_rate(now):
            return [Refuse(request, ThrottleReason.RESERVED_RATE if pool.function else ThrottleReason.RATE)]
        permit = state.permits.draw(now)
        if permit is not None:
            return self._assign(request, version, permit, now)
        state.waiting.append(_Waiter(request, version, None))
        return self._ask(state)

    def answered(self, environment: Environment, now: Instant) -> None:
        """The client has its answer; the environment should be ready for another invocation in a moment."""
        self._expected.add(environment, now)

    def finished(self, request: RequestId, environment: Environment, reusable: bool, now: Instant) -> list[Command]:
        """An invocation ended; `reusable` says whether its environment is ready for the next one."""
        if self._in_use.pop(environment.id, None) is None:
            raise InvariantError(f"environment {environment.id} finished {request} but was not in use")
        self._expected.discard(environment)
        commands: list[Command] = []
        if environment.id in self._wanted_back:
            self._wanted_back.discard(environment.id)
            if reusable:
                commands.append(GiveBackEnvironment(environment.id))
        elif reusable:
            commands = self._offer(environment, now)  # first, so that the permit's next user may run in it
        return commands + self._put_back(request, now)

    def bounced(self, request: RequestId, environment: Environment, now: Instant) -> list[Command]:
        """The worker did not take the invocation, and nothing was started: another environment must serve it."""
        self._in_use.pop(environment.id, None)
        self._wanted_back.discard(environment.id)
        permit = self._permits.pop(request)
        return self._assign(request, environment.version, permit, now)

    def gave_up(self, request: RequestId, version: VersionId, now: Instant) -> list[Command]:
        """The client of a waiting invocation went away. The environment that it asked for will serve another."""
        if self._waiting.remove(version, request):
            return self._put_back(request, now)
        for state in self._pools.values():
            for waiter in state.waiting:
                if waiter.request == request:
                    state.waiting.remove(waiter)
                    break
        return []

    # Permits

    def granted(self, grant: Grant, now: Instant) -> list[Command]:
        state = self._pools[grant.pool]
        state.asking = False
        state.permits.granted(grant, now)
        return self._serve_permit_waiters(state, now)

    def refused(self, refusal: Refusal, now: Instant) -> list[Command]:
        """Counting has nothing left, and nobody holds an unused permit: who waits spills over, or is throttled."""
        state = self._pools[refusal.pool]
        state.asking = False
        commands: list[Command] = []
        waiting, state.waiting = state.waiting, deque()
        for request, version, spills_to in waiting:
            if spills_to is None:
                commands.append(Refuse(request, refusal.reason))
            else:
                commands += self.arrived(request, version, spills_to, now)
        return commands

    def recall_permits(self, pool: Pool, n: int, owe: bool) -> dict[int, int]:
        state = self._pools.get(pool)
        return state.permits.release(n, owe) if state else {}

    def grants(self) -> list[int]:
        """All grants held, to be renewed."""
        return [grant for state in self._pools.values() for grant in state.permits.grants]

    def renewed(self, lost: frozenset[int], now: Instant) -> None:
        """Counting answered the renewal."""
        for state in self._pools.values():
            for grant in state.permits.grants:
                if grant in lost:
                    state.permits.lost(grant)
                else:
                    state.permits.renewed(grant, now)
        self._forget_pools(now)

    def lost(self, permit: Permit) -> None:
        """A worker says that this permit's grant is dead: nothing is drawn from it any more."""
        self._pools[permit.pool].permits.lost(permit.grant)

    # Environments

    def lent(self, environment: Environment, now: Instant) -> list[Command]:
        """An environment that was asked for is ready for work."""
        self._waiting.came(environment.version)
        return self._offer(environment, now)

    def offered(self, environment: Environment, now: Instant) -> list[Command]:
        """An environment is ready for work that nobody has asked for."""
        return self._offer(environment, now)

    def start_failed(
        self, request: RequestId, version: VersionId, failure: StartFailure, now: Instant
    ) -> list[Command]:
        """The environment that this invocation asked for is not coming. If it runs already, nothing is lost."""
        self._waiting.came(version)
        if not self._waiting.remove(version, request):
            return self._ask_environment(version, now)
        return [Fail(request, failure), *self._put_back(request, now), *self._ask_environment(version, now)]

    def reconsidered(self, version: VersionId, now: Instant) -> list[Command]:
        """The moment that `Reconsider` named has come."""
        self._reconsidering.discard(version)
        commands: list[Command] = []
        while asked := self._ask_environment(version, now):
            commands += asked
            if not isinstance(asked[0], Want):
                break
        return commands

    def recall_environment(self, id: EnvironmentId, idle_for: int, now: Instant) -> int | None:
        """As `EnvironmentHolder.recall_environment`."""
        since = self.idle.idle_since(id)
        if since is None:
            if id not in self._in_use:
                return None
            if idle_for == 0:
                self._wanted_back.add(id)
            return max(idle_for, 1)
        left = since + idle_for - now
        if left > 0:
            return left
        self.idle.remove(id)
        return None

    # Inside

    def _arrived_where_provisioned(
        self, request: RequestId, version: VersionId, pool: Pool, now: Instant, provisioned: Provisioned
    ) -> list[Command]:
        state = self._pools.get(provisioned.pool)
        if state is None:
            state = self._pools[provisioned.pool] = _Pool(provisioned.pool)
        if state.permits.within_rate(now):
            permit = state.permits.draw(now)
            if permit is not None:
                return self._assign(request, version, permit, now)
            if state.permits.total < provisioned.n:  # or nobody else has any, so that there is no need to ask
                state.waiting.append(_Waiter(request, version, pool))
                return self._ask(state)
        return self.arrived(request, version, pool, now)

    def _offer(self, environment: Environment, now: Instant) -> list[Command]:
        """Late binding: to whoever has waited longest; kept idle if nobody waits."""
        request = self._waiting.next(environment.version)
        if request is None:
            self.idle.put(environment, now)
            return []
        self._in_use[environment.id] = request
        return [Run(request, environment, self._permits[request])]

    def _assign(self, request: RequestId, version: VersionId, permit: Permit, now: Instant) -> list[Command]:
        self._permits[request] = permit
        environment = self.idle.take(version)
        if environment is not None:
            self._in_use[environment.id] = request
            return [Run(request, environment, permit)]
        self._waiting.add(version, request)
        return self._ask_environment(version, now)

    def _ask_environment(self, version: VersionId, now: Instant) -> list[Command]:
        """For one more environment, if neither one that is coming nor one expected back is there for all who wait."""
        back, until = self._expected.within(version, PATIENCE, now)
        request = self._waiting.ask(version, back)
        if request is not None:
            return [Want(request, version)]
        if until is None or version in self._reconsidering or not self._waiting.waits(version):
            return []
        self._reconsidering.add(version)
        return [Reconsider(version, until)]

    def _put_back(self, request: RequestId, now: Instant) -> list[Command]:
        permit = self._permits.pop(request)
        state = self._pools[permit.pool]
        commands: list[Command] = []
        if state.permits.put_back(permit):
            commands.append(GiveBackPermit(permit.grant))
        if state.waiting:
            commands += self._serve_permit_waiters(state, now)
        return commands

    def _serve_permit_waiters(self, state: _Pool, now: Instant) -> list[Command]:
        commands: list[Command] = []
        while state.waiting:
            permit = state.permits.draw(now)
            if permit is None:
                return commands + self._ask(state)
            request, version, _ = state.waiting.popleft()
            commands += self._assign(request, version, permit, now)
        return commands

    def _forget_pools(self, now: Instant) -> None:
        """Those of which nothing is left: a function's end with it, and a version's with what it had provisioned."""
        drawn = {permit.pool for permit in self._permits.values()}
        self._pools = {
            pool: state
            for pool, state in self._pools.items()
            if state.asking or state.waiting or pool in drawn or not state.permits.blank(now)
        }

    def _ask(self, state: _Pool) -> list[Command]:
        if state.asking:
            return []
        state.asking = True
        return [AskPermits(state.permits.pool, max(SMALLEST_BLOCK, state.permits.total))]
