"""Counting and the frontends' permits together: whatever happens, no limit is broken and no permit is lost."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ondol.counting.api import Grant, Pool
from ondol.counting.machine import Answer, CountingMachine, Recall
from ondol.counting.machine import Command as CountingCommand
from ondol.frontend.machine import AskPermits, Assignment, Command, GiveBackPermit, Refuse, Run, Want
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


class Admission(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.now = Instant(0)
        self.counting = CountingMachine(AccountLimits(concurrency=LIMIT))
        self.frontends = {id: Assignment() for id in FRONTENDS}
        for id in FRONTENDS:
            self.counting.joined(id)
        self.reserved: dict[str, int] = {}
        self.running: dict[RequestId, tuple[FrontendId, Environment, Pool]] = {}
        self.pools: dict[RequestId, Pool] = {}
        self.requests = 0
        self.questions = 0
        self.asking: dict[int, FrontendId] = {}

    @rule(frontend=st.sampled_from(FRONTENDS), function=st.sampled_from(FUNCTIONS))
    def invoke(self, frontend: FrontendId, function: str) -> None:
        self.requests += 1
        request = RequestId(str(self.requests))
        pool = Pool(ACCOUNT, REGION, function if function in self.reserved else None)
        self.pools[request] = pool
        self.perform(frontend, self.frontends[frontend].arrived(request, VersionId(function), pool, self.now))

    @rule(data=st.data(), reusable=st.booleans())
    def finish(self, data: st.DataObject, reusable: bool) -> None:
        if self.running:
            request = data.draw(st.sampled_from(sorted(self.running)))
            frontend, environment, _ = self.running.pop(request)
            self.perform(frontend, self.frontends[frontend].finished(request, environment, reusable, self.now))

    @rule(function=st.sampled_from(FUNCTIONS), concurrency=st.one_of(st.none(), st.integers(0, 12)))
    def reserve(self, function: str, concurrency: int | None) -> None:
        if concurrency is None:
            self.reserved.pop(function, None)
        else:
            self.reserved[function] = concurrency
        self.count(self.counting.reserve(FunctionKey(ACCOUNT, REGION, function), concurrency))

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
                    self.running[request] = (frontend, environment, permit.pool)
                case Want(request, version):
                    environment = Environment(EnvironmentId(f"for {request}"), WorkerId("w"), version)
                    self.perform(frontend, self.frontends[frontend].lent(environment, self.now))
                case AskPermits(pool, n):
                    self.questions += 1
                    self.asking[self.questions] = frontend
                    self.count(self.counting.asked(self.questions, frontend, pool, n, self.now))
                case GiveBackPermit(grant):
                    self.counting.given_back(grant, 1)
                case Refuse(request, ThrottleReason.CONCURRENCY | ThrottleReason.RESERVED_CONCURRENCY):
                    pool = self.pools[request]
                    if pool.function is not None and pool.function in self.reserved:
                        limit = self.counting.limit(pool)
                        in_use = sum(running[2] == pool for running in self.running.values())
                        everything = len(self.running)
                        assert in_use >= limit or everything >= LIMIT - self.excess(), "refused with permits to spare"

    def excess(self) -> int:
        """Permits that shrunk pools still owe."""
        by_pool = Counter(pool for _, _, pool in self.running.values())
        return sum(max(0, n - self.counting.limit(pool)) for pool, n in by_pool.items())

    def count(self, commands: list[CountingCommand]) -> None:
        for command in commands:
            match command:
                case Answer(number, Grant() as grant):
                    holder = self.asking.pop(number)
                    self.perform(holder, self.frontends[holder].granted(grant, self.now))
                case Answer(number, refusal):
                    holder = self.asking.pop(number)
                    self.perform(holder, self.frontends[holder].refused(refusal))
                case Recall(holder, pool, n, owe, number):
                    returned = self.frontends[holder].recall_permits(pool, n, owe)
                    self.count(self.counting.recalled(returned, number, self.now))

    @invariant()
    def the_account_runs_no_more_than_it_may(self) -> None:
        assert len(self.running) <= LIMIT

    @invariant()
    def what_counting_granted_covers_what_runs(self) -> None:
        by_pool = Counter(pool for _, _, pool in self.running.values())
        for pool, n in by_pool.items():
            assert n <= self.counting.granted(pool)

    @invariant()
    def every_invocation_was_answered_or_runs(self) -> None:
        assert not self.asking


TestAdmission = Admission.TestCase
TestAdmission.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
