"""Counting and the frontends' permits together: whatever happens, no limit is broken and no permit is lost.

Provisioned, reserved and unreserved concurrency live side by side. What a change of limits finds running may end as it
likes, and counts until then; nothing new starts beyond what the limits leave beside it.
"""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ondol.counting.api import Grant, Pool
from ondol.counting.machine import Answer, CountingMachine, Recall
from ondol.counting.machine import Command as CountingCommand
from ondol.frontend.machine import AskPermits, Assignment, Command, GiveBackPermit, Provisioned, Refuse, Run, Want
from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, EnvironmentId, FrontendId, Region, RequestId, VersionId, WorkerId
from ondol.model.invocation import ThrottleReason
from ondol.model.limits import AccountLimits
from ondol.model.time import SECOND, Instant
from ondol.worker_manager.api import Environment

ACCOUNT, REGION = AccountId("000000000000"), Region("us-east-1")
FUNCTIONS = ("a", "b", "c")
FRONTENDS = (FrontendId("one"), FrontendId("two"))
LIMIT = 40
UNRESERVED = Pool(ACCOUNT, REGION)
VERSIONS = tuple(VersionId(f"{function}/{number}") for function in FUNCTIONS for number in (1, 2))
CONCURRENCY = (ThrottleReason.CONCURRENCY, ThrottleReason.RESERVED_CONCURRENCY)


class Admission(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.now = Instant(0)
        self.counting = CountingMachine(AccountLimits(concurrency=LIMIT, requests_per_concurrency=10_000))
        self.frontends = {id: Assignment() for id in FRONTENDS}
        for id in FRONTENDS:
            self.counting.joined(id)
        self.reserved: dict[str, int] = {}
        self.provisioned: dict[VersionId, int] = {}
        self.running: dict[RequestId, tuple[FrontendId, Environment, Pool]] = {}
        self.versions: dict[RequestId, VersionId] = {}
        self.requests = 0
        self.questions = 0
        self.asking: dict[int, FrontendId] = {}
        self.told: Counter[RequestId] = Counter()
        self.tolerated: Counter[Pool | str] = Counter()
        """By pool, and by function, what ran when limits changed last, and may run still."""

    @rule(frontend=st.sampled_from(FRONTENDS), version=st.sampled_from(VERSIONS), n=st.integers(1, 3))
    def invoke(self, frontend: FrontendId, version: VersionId, n: int) -> None:
        for _ in range(n):
            self.requests += 1
            request = RequestId(str(self.requests))
            self.versions[request] = version
            pool = Pool(ACCOUNT, REGION, _function(version) if _function(version) in self.reserved else None)
            own = self.provisioned.get(version, 0)
            provisioned = Provisioned(_provisioned_pool(version), own) if own else None
            assignment = self.frontends[frontend]
            self.perform(frontend, assignment.arrived(request, version, pool, self.now, provisioned))

    @rule(data=st.data(), reusable=st.booleans())
    def finish(self, data: st.DataObject, reusable: bool) -> None:
        if self.running:
            request = data.draw(st.sampled_from(sorted(self.running)))
            frontend, environment, _ = self.running.pop(request)
            self.tolerated &= self.in_flight()
            self.perform(frontend, self.frontends[frontend].finished(request, environment, reusable, self.now))

    @rule(function=st.sampled_from(FUNCTIONS), concurrency=st.one_of(st.none(), st.integers(0, 12)))
    def reserve(self, function: str, concurrency: int | None) -> None:
        """No less than is provisioned: control sees to that."""
        together = sum(n for version, n in self.provisioned.items() if _function(version) == function)
        if concurrency is None:
            self.reserved.pop(function, None)
        else:
            self.reserved[function] = max(concurrency, together)
        self.claim(function)

    @rule(version=st.sampled_from(VERSIONS), n=st.integers(0, 6))
    def provision(self, version: VersionId, n: int) -> None:
        """No more than is reserved."""
        function = _function(version)
        others = sum(m for other, m in self.provisioned.items() if _function(other) == function and other != version)
        n = min(n, self.reserved.get(function, LIMIT) - others)
        self.provisioned.pop(version, None)
        if n > 0:
            self.provisioned[version] = n
        self.claim(function)

    def claim(self, function: str) -> None:
        provisioned = {version: n for version, n in self.provisioned.items() if _function(version) == function}
        commands = self.counting.reserve(
            FunctionKey(ACCOUNT, REGION, function), self.reserved.get(function), provisioned
        )
        self.tolerated = self.in_flight()
        self.count(commands)

    @rule(seconds=st.integers(0, 7))
    def pass_time(self, seconds: int) -> None:
        self.now = Instant(self.now + seconds * SECOND)
        for id, frontend in self.frontends.items():
            lost = self.counting.renewed(id, frontend.grants(), self.now)
            frontend.renewed(lost, self.now)
        self.counting.expire(self.now)

    def perform(self, frontend: FrontendId, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Run(request, environment, permit):
                    self.told[request] += 1
                    self.running[request] = (frontend, environment, permit.pool)
                    self.see_that_it_may_run(permit.pool)
                    self.see_that_provisioned_came_first(request, permit.pool)
                case Want(request, version):
                    environment = Environment(EnvironmentId(f"for {request}"), WorkerId("w"), version)
                    self.perform(frontend, self.frontends[frontend].lent(environment, self.now))
                case AskPermits(pool, n):
                    self.questions += 1
                    self.asking[self.questions] = frontend
                    self.count(self.counting.asked(self.questions, frontend, pool, n, self.now))
                case GiveBackPermit(grant):
                    self.counting.given_back(grant, 1)
                case Refuse(request, reason):
                    self.told[request] += 1
                    if reason in CONCURRENCY:
                        self.see_that_nothing_was_left(request, reason)

    def count(self, commands: list[CountingCommand]) -> None:
        for command in commands:
            match command:
                case Answer(number, Grant() as grant):
                    holder = self.asking.pop(number)
                    self.perform(holder, self.frontends[holder].granted(grant, self.now))
                case Answer(number, refusal):
                    holder = self.asking.pop(number)
                    self.perform(holder, self.frontends[holder].refused(refusal, self.now))
                case Recall(holder, pool, n, owe, number):
                    returned = self.frontends[holder].recall_permits(pool, n, owe)
                    self.count(self.counting.recalled(returned, number, self.now))

    # What must hold when something is decided

    def see_that_it_may_run(self, pool: Pool) -> None:
        """It drew the last permit that its pool, its function and its account let it have, or one before that."""
        running = self.in_flight()
        assert running[pool] <= max(self.limit(pool), self.tolerated[pool]), f"more than {pool} may"
        if pool.function is not None and pool.function in self.reserved:
            most = max(self.reserved[pool.function], self.tolerated[pool.function])
            assert running[pool.function] <= most, f"more than {pool.function} has reserved"

    def see_that_provisioned_came_first(self, request: RequestId, pool: Pool) -> None:
        own = self.provisioned.get(self.versions[request], 0)
        if own and pool.version is None:
            used = self.in_flight()[_provisioned_pool(self.versions[request])]
            assert used >= own or self.blocked(self.versions[request]), (
                "it spilled over with provisioned permits to spare"
            )

    def see_that_nothing_was_left(self, request: RequestId, reason: ThrottleReason) -> None:
        function = _function(self.versions[request])
        reserved = reason is ThrottleReason.RESERVED_CONCURRENCY
        pool = Pool(ACCOUNT, REGION, function if reserved else None)
        running = self.in_flight()
        full = running[pool] >= self.limit(pool) or len(self.running) >= LIMIT
        if reserved and function in self.reserved:
            full |= running[function] >= self.reserved[function]
        assert full, f"refused with permits of {pool} to spare"

    def blocked(self, version: VersionId) -> bool:
        """Others still use what this version's permits are made of."""
        function = _function(version)
        running = self.in_flight()
        return len(self.running) >= LIMIT or running[function] >= self.reserved.get(function, LIMIT)

    def limit(self, pool: Pool) -> int:
        """As the developer guide has it, counted anew."""
        if pool.version is not None:
            return self.provisioned.get(pool.version, 0)
        together = {
            function: sum(n for version, n in self.provisioned.items() if _function(version) == function)
            for function in FUNCTIONS
        }
        if pool.function is not None:
            return self.reserved.get(pool.function, together[pool.function]) - together[pool.function]
        return LIMIT - sum(self.reserved.get(function, together[function]) for function in FUNCTIONS)

    def in_flight(self) -> Counter[Pool | str]:
        """By pool, and by function over the pools that it has."""
        running: Counter[Pool | str] = Counter()
        for _, _, pool in self.running.values():
            running[pool] += 1
            if pool.function is not None:
                running[pool.function] += 1
        return running

    # What must hold always

    @invariant()
    def the_account_runs_no_more_than_it_may(self) -> None:
        assert len(self.running) <= LIMIT

    @invariant()
    def what_counting_granted_covers_what_runs(self) -> None:
        by_pool = Counter(pool for _, _, pool in self.running.values())
        for pool, n in by_pool.items():
            assert n <= self.counting.granted(pool)

    @invariant()
    def the_limits_of_all_pools_are_what_the_account_has(self) -> None:
        pools = [Pool(ACCOUNT, REGION, function) for function in FUNCTIONS]
        pools += [_provisioned_pool(version) for version in VERSIONS]
        for pool in (*pools, UNRESERVED):
            assert self.counting.limit(pool) == self.limit(pool)
        assert sum(map(self.counting.limit, (*pools, UNRESERVED))) == LIMIT

    @invariant()
    def every_invocation_was_answered_or_runs(self) -> None:
        assert not self.asking
        assert len(self.told) == self.requests and set(self.told.values()) <= {1}


def _function(version: VersionId) -> str:
    return version.partition("/")[0]


def _provisioned_pool(version: VersionId) -> Pool:
    return Pool(ACCOUNT, REGION, _function(version), version)


TestAdmission = Admission.TestCase
TestAdmission.settings = settings(max_examples=80, stateful_step_count=60, deadline=None)
