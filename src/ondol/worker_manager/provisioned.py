"""How many environments of which versions are kept ready ahead of invocations, and which one is missing.

Pure. One target for each version that has provisioned concurrency:

```
 begun ──▶ starting ──▶ ready ──▶ aging, once it is old and until another is ready in its stead ──▶ dismissed
              │ failed    │ ended
              └───────────┴──▶ replaced, if it may be
```

An init that fails is tried once more; after that nothing restarts it by itself, until somebody asks for provisioned
concurrency anew. What the machines cannot do (no room, a slot that could not be made) is tried again ever less often,
and so is a version whose environments die as soon as they are ready.
"""

from collections.abc import Iterable

from ondol.model.function import FunctionKey
from ondol.model.ids import EnvironmentId, VersionId
from ondol.model.invocation import FunctionFailure, ThrottleReason
from ondol.model.rate import TokenBucket
from ondol.model.time import MINUTE, SECOND, Instant
from ondol.worker_manager.api import Provision, ProvisionStatus, StartFailure, Wanted
from ondol.worker_manager.commands import Begin, Dismiss, Settled, Step, WakeAt

PER_SECOND = 100
"""Environments of one version that are begun in a second: 6,000 a minute (developer guide, "Understanding and
visualizing provisioned concurrency")."""

AT_ONCE = 16
"""Of one version that start side by side, so that those who wait for an environment are not kept from theirs."""

TRIES = 2
"""Inits that fail in a row before a version counts as failed."""

SHORT_LIFE = 10 * SECOND
FIRST_DELAY = SECOND
LONGEST_DELAY = MINUTE

INIT_FAILURE = "FUNCTION_ERROR_INIT_FAILURE"
"""AWS's StatusReason for a function whose init fails."""


NOT_WANTED = "it is not provisioned any more"
OLD = "it is old"


class _Target:
    """What one version should have, and has."""

    __slots__ = (
        "aging",
        "asked",
        "bucket",
        "delays",
        "failures",
        "not_before",
        "ready",
        "reason",
        "settled",
        "starting",
        "stuck",
        "told",
        "wake",
        "wanted",
    )

    def __init__(self, wanted: Wanted, now: Instant) -> None:
        self.wanted = wanted
        self.bucket = TokenBucket(AT_ONCE, PER_SECOND, now)
        self.asked = 0
        """Begun, and not yet known by name."""

        self.starting: dict[EnvironmentId, None] = {}
        self.ready: dict[EnvironmentId, Instant] = {}
        """Since when; the oldest first."""

        self.aging: dict[EnvironmentId, None] = {}
        self.settled = False
        """All that is wanted has been there since it was asked for."""

        self.failures = 0
        self.reason: str | None = None
        """Why what is missing is missing."""

        self.stuck = False
        """Nothing more is begun until somebody asks anew."""

        self.delays = 0
        self.not_before = now
        self.wake: Instant | None = None
        self.told = False

    def ask_anew(self, now: Instant) -> None:
        self.settled = self.told = self.stuck = False
        self.failures = self.delays = 0
        self.reason = None
        self.not_before = now

    def hold_back(self, now: Instant) -> None:
        """The next is begun later, each time by twice as much."""
        self.not_before = Instant(now + min(FIRST_DELAY << min(self.delays, 10), LONGEST_DELAY))
        self.delays += 1

    def state(self) -> Provision:
        n, there = self.wanted.n, len(self.ready) + len(self.aging)
        available = min(n, there)
        if self.reason is not None:
            return Provision(ProvisionStatus.FAILED, available, available, self.reason)
        if self.settled:
            return Provision(ProvisionStatus.READY, n, available)
        return Provision(ProvisionStatus.IN_PROGRESS, available, available)


class ProvisionedTargets:
    """All targets of the versions that this manager answers for."""

    def __init__(self) -> None:
        self._targets: dict[VersionId, _Target] = {}
        self._by_function: dict[FunctionKey, set[VersionId]] = {}

    def state(self, version: VersionId) -> Provision | None:
        """How far a version has come; None if nothing is wanted of it."""
        target = self._targets.get(version)
        return None if target is None else target.state()

    def want(self, function: FunctionKey, wanted: Iterable[Wanted], now: Instant) -> list[Step]:
        """These versions of the function are to have environments ready, and no others."""
        current = {each.version.id: each for each in wanted}
        steps: list[Step] = []
        for version in sorted(self._by_function.pop(function, set()) - current.keys()):
            gone = self._targets.pop(version)
            steps += [Dismiss(id, NOT_WANTED) for id in (*gone.aging, *gone.ready, *gone.starting)]
            steps.append(Settled(version))
        if current:
            self._by_function[function] = set(current)
        for version, each in current.items():
            target = self._targets.get(version)
            if target is None:
                target = self._targets[version] = _Target(each, now)
            elif target.wanted != each:
                if (target.wanted.n, target.wanted.order) != (each.n, each.order):
                    target.ask_anew(now)
                target.wanted = each
            steps += self._balance(target, now)
        return steps

    def begun(self, version: VersionId, id: EnvironmentId) -> bool:
        """`Begin` was followed, by this environment. False: it is not wanted any more, and must not be made."""
        target = self._targets.get(version)
        if target is None or not target.asked:
            return False
        target.asked -= 1
        target.starting[id] = None
        return True

    def ready(self, version: VersionId, id: EnvironmentId, now: Instant) -> list[Step]:
        """Its init is over."""
        target = self._targets.get(version)
        if target is None or id not in target.starting:
            return [Dismiss(id, NOT_WANTED)]
        del target.starting[id]
        target.ready[id] = now
        target.failures = 0
        if not target.stuck:
            target.reason = None
        return self._balance(target, now)

    def failed(self, version: VersionId, id: EnvironmentId, failure: StartFailure, now: Instant) -> list[Step]:
        """It did not get ready, and is gone."""
        target = self._targets.get(version)
        if target is None or id not in target.starting:
            return []
        del target.starting[id]
        if isinstance(failure, FunctionFailure):
            target.failures += 1
            if target.failures >= TRIES:
                target.stuck, target.reason = True, INIT_FAILURE
        else:
            target.reason = failure.value if isinstance(failure, ThrottleReason) else failure.reason
            target.hold_back(now)
        return self._balance(target, now)

    def ended(self, version: VersionId, id: EnvironmentId, now: Instant) -> list[Step]:
        """It was ready, and is no more."""
        target = self._targets.get(version)
        if target is None:
            return []
        target.aging.pop(id, None)
        since = target.ready.pop(id, None)
        if since is None:
            return self._balance(target, now)
        if now - since >= SHORT_LIFE:
            target.delays = 0
        elif target.delays:
            target.hold_back(now)
        else:
            target.delays = 1  # once may be an accident, and is made good at once
        return self._balance(target, now)

    def aged(self, version: VersionId, id: EnvironmentId, now: Instant) -> list[Step]:
        """It is old: another is to take its place, and only then is it dismissed."""
        target = self._targets.get(version)
        if target is None or target.ready.pop(id, None) is None:
            return []
        target.aging[id] = None
        return self._balance(target, now)

    def woken(self, version: VersionId, now: Instant) -> list[Step]:
        """The moment that `WakeAt` named has come."""
        target = self._targets.get(version)
        if target is None:
            return []
        target.wake = None
        return self._balance(target, now)

    # Inside

    def _balance(self, target: _Target, now: Instant) -> list[Step]:
        """Begin what is missing, as far as it may be begun now, and dismiss what is too much."""
        steps: list[Step] = []
        n, version = target.wanted.n, target.wanted.version
        while not target.stuck and len(target.ready) + len(target.starting) + target.asked < n:
            if len(target.starting) + target.asked >= AT_ONCE:
                break
            if now < target.not_before or not target.bucket.take(now):
                steps += self._wake(target, max(target.not_before, Instant(now + SECOND // PER_SECOND)))
                break
            target.asked += 1
            steps.append(Begin(version))
        for id in list(target.aging)[: max(0, len(target.ready) + len(target.aging) - n)]:
            del target.aging[id]
            steps.append(Dismiss(id, OLD))
        for id in list(target.starting)[::-1][: max(0, len(target.ready) + len(target.starting) - n)]:
            del target.starting[id]
            steps.append(Dismiss(id, NOT_WANTED))
        for id in list(target.ready)[: max(0, len(target.ready) - n)]:
            del target.ready[id]
            steps.append(Dismiss(id, NOT_WANTED))
        target.settled |= len(target.ready) + len(target.aging) >= n
        if not target.told and target.state().status is not ProvisionStatus.IN_PROGRESS:
            target.told = True
            steps.append(Settled(version.id))
        return steps

    def _wake(self, target: _Target, at: Instant) -> list[Step]:
        if target.wake is not None and target.wake <= at:
            return []
        target.wake = at
        return [WakeAt(target.wanted.version.id, at)]
