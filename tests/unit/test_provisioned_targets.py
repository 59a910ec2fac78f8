"""How many environments are kept ready: begun, paced, replaced, renewed when old, given up when nothing helps."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ondol.model.function import FunctionKey, FunctionVersion, LogSettings
from ondol.model.ids import AccountId, CodeDigest, EnvironmentId, FrontendId, Region, RequestId, VersionId, WorkerId
from ondol.model.invocation import FailureKind, failure
from ondol.model.limits import KeepAlive
from ondol.model.time import MINUTE, SECOND, Instant
from ondol.placement.api import Demand, Placed, Unplaced
from ondol.worker_manager.api import Environment, HostFailed, NoRoom, Provision, ProvisionStatus, StartFailure, Wanted
from ondol.worker_manager.commands import (
    Begin,
    Dismiss,
    Offer,
    Place,
    Recall,
    SetTimer,
    Settled,
    Start,
    Step,
    Stop,
    WakeAt,
)
from ondol.worker_manager.machine import MAKE_ROOM_IDLE, ManagerMachine
from ondol.worker_manager.provisioned import AT_ONCE, INIT_FAILURE, NOT_WANTED, OLD, ProvisionedTargets

KEY = FunctionKey(AccountId("000000000000"), Region("us-east-1"), "f")
BROKEN = failure(FailureKind.HANDLED_BY_RUNTIME, "ValueError", "not today")
READY, FAILED, IN_PROGRESS = ProvisionStatus.READY, ProvisionStatus.FAILED, ProvisionStatus.IN_PROGRESS


def version(number: int = 1) -> FunctionVersion:
    return FunctionVersion(
        VersionId(f"f/{number}"),
        function=KEY,
        version=str(number),
        runtime="python3.11",
        handler="m.h",
        code=CodeDigest("d"),
        role="r",
        memory_mb=128,
        timeout_s=3,
        tmp_mb=512,
        environment={},
        logs=LogSettings("/aws/lambda/f"),
    )


class Site:
    """Does what the targets ask for; environments get ready, fail, die and age when a test says so."""

    def __init__(self) -> None:
        self.targets = ProvisionedTargets()
        self.now = Instant(0)
        self.made = 0
        self.starting: dict[EnvironmentId, VersionId] = {}
        self.ready: dict[EnvironmentId, VersionId] = {}
        self.dismissed: list[str] = []
        self.wakes: list[WakeAt] = []
        self.settled: list[VersionId] = []

    def want(self, n: int, number: int = 1, order: int = 0) -> None:
        wanted = [Wanted(version(number), n, order)] if n else []
        self.follow(self.targets.want(KEY, wanted, self.now))

    def follow(self, steps: list[Step]) -> None:
        for step in steps:
            match step:
                case Begin(version):
                    self.made += 1
                    id = EnvironmentId(f"e{self.made}")
                    assert self.targets.begun(version.id, id)
                    self.starting[id] = version.id
                case Dismiss(environment, reason):
                    self.dismissed.append(reason)
                    assert self.ready.pop(environment, None) or self.starting.pop(environment, None)
                case WakeAt():
                    self.wakes.append(step)
                case Settled(id):
                    self.settled.append(id)

    def get_ready(self, n: int = 1) -> None:
        for id in list(self.starting)[:n]:
            self.ready[id] = self.starting.pop(id)
            self.follow(self.targets.ready(self.ready[id], id, self.now))

    def fail(self, why: StartFailure = BROKEN) -> None:
        id = next(iter(self.starting))
        self.follow(self.targets.failed(self.starting.pop(id), id, why, self.now))

    def die(self) -> None:
        id = next(iter(self.ready))
        self.follow(self.targets.ended(self.ready.pop(id), id, self.now))

    def age(self, id: EnvironmentId) -> None:
        self.follow(self.targets.aged(self.ready[id], id, self.now))

    def wait(self, ns: int) -> None:
        self.now = Instant(self.now + ns)
        due = [wake for wake in self.wakes if wake.at <= self.now]
        self.wakes = [wake for wake in self.wakes if wake.at > self.now]
        for wake in due:
            self.follow(self.targets.woken(wake.version, self.now))

    def state(self, number: int = 1) -> Provision | None:
        return self.targets.state(VersionId(f"f/{number}"))


@pytest.fixture
def site() -> Site:
    return Site()


def test_all_are_begun_and_then_it_is_ready(site: Site) -> None:
    site.want(3)
    assert (len(site.starting), site.state()) == (3, Provision(IN_PROGRESS, 0, 0))
    site.get_ready(2)
    assert (site.state(), site.settled) == (Provision(IN_PROGRESS, 2, 2), [])
    site.get_ready()
    assert (site.state(), site.settled) == (Provision(READY, 3, 3), ["f/1"])


def test_no_more_start_at_once_than_may_and_no_more_in_a_minute(site: Site) -> None:
    site.want(10_000)
    assert len(site.starting) == AT_ONCE
    started = site.made
    for _ in range(6_000):
        site.get_ready(AT_ONCE)
        site.wait(SECOND // 100)
    assert site.made - started == pytest.approx(6_000, abs=AT_ONCE)


def test_one_that_dies_is_replaced_at_once_and_it_stays_ready(site: Site) -> None:
    site.want(2)
    site.get_ready(2)
    site.die()
    assert (len(site.starting), site.state()) == (1, Provision(READY, 2, 1))
    site.get_ready()
    assert site.state() == Provision(READY, 2, 2)


def test_what_dies_again_and_again_is_replaced_ever_less_often(site: Site) -> None:
    site.want(1)
    made = []
    for _ in range(300):
        site.get_ready()
        if site.ready:
            site.die()
        made.append(site.made)
        site.wait(SECOND)
    assert made[1] == 2, "the first time it may be an accident"
    assert made[-1] < 12
    site.wait(2 * MINUTE)
    site.get_ready()
    site.wait(MINUTE)
    site.die()
    assert len(site.starting) == 1, "it has lived for a while: that is forgotten"


def test_an_init_that_fails_is_tried_once_more_and_then_only_if_somebody_asks(site: Site) -> None:
    site.want(1)
    site.fail()
    assert (len(site.starting), site.state()) == (1, Provision(IN_PROGRESS, 0, 0))
    site.fail()
    assert (len(site.starting), site.state()) == (0, Provision(FAILED, 0, 0, INIT_FAILURE))
    assert site.settled == ["f/1"]
    site.wait(10 * MINUTE)
    site.want(1)
    assert not site.starting, "nothing new was asked"
    site.want(1, order=1)
    assert (len(site.starting), site.state()) == (1, Provision(IN_PROGRESS, 0, 0))
    site.get_ready()
    assert site.state() == Provision(READY, 1, 1)


def test_one_failure_among_many_is_made_good(site: Site) -> None:
    site.want(3)
    site.fail()
    site.get_ready(3)
    assert site.state() == Provision(READY, 3, 3)


@pytest.mark.parametrize("why", [NoRoom("full"), HostFailed("full")])
def test_what_the_machines_cannot_do_is_told_and_tried_again(site: Site, why: StartFailure) -> None:
    site.want(1)
    site.fail(why)
    assert (len(site.starting), site.state()) == (0, Provision(FAILED, 0, 0, "full"))
    site.wait(SECOND)
    assert len(site.starting) == 1
    site.fail(why)
    site.wait(SECOND)
    assert not site.starting, "later each time"
    site.wait(SECOND)
    site.get_ready()
    assert site.state() == Provision(READY, 1, 1)


def test_an_old_one_goes_when_another_is_ready(site: Site) -> None:
    site.want(2)
    site.get_ready(2)
    site.age(EnvironmentId("e1"))
    assert (site.dismissed, len(site.ready), len(site.starting)) == ([], 2, 1)
    assert site.state() == Provision(READY, 2, 2)
    site.get_ready()
    assert (site.dismissed, list(site.ready)) == ([OLD], ["e2", "e3"])


def test_an_old_one_that_dies_is_not_replaced_twice(site: Site) -> None:
    site.want(1)
    site.get_ready()
    site.age(EnvironmentId("e1"))
    site.die()
    assert (site.made, site.state()) == (2, Provision(READY, 1, 0))


def test_fewer_are_wanted_and_then_none(site: Site) -> None:
    site.want(4)
    site.get_ready(3)
    site.want(2, order=1)
    assert (len(site.ready), len(site.starting), site.state()) == (2, 0, Provision(READY, 2, 2))
    site.settled.clear()
    site.want(0)
    assert (site.ready, site.state(), set(site.dismissed)) == ({}, None, {NOT_WANTED})
    assert site.settled == ["f/1"], "whoever waits is told"


def test_another_version_takes_the_place_of_one(site: Site) -> None:
    site.want(1)
    site.get_ready()
    site.want(1, number=2)
    assert (site.ready, list(site.starting.values())) == ({}, ["f/2"])


class Targets(RuleBasedStateMachine):
    """Whatever happens, there are never too many, and once things go well there are as many as are wanted."""

    @initialize()
    def start(self) -> None:
        self.site = Site()
        self.n, self.order = 0, 0

    @rule(n=st.integers(0, 20))
    def want(self, n: int) -> None:
        self.n, self.order = n, self.order + 1
        self.site.want(n, order=self.order)

    @rule(n=st.integers(1, 20))
    def get_ready(self, n: int) -> None:
        self.site.get_ready(n)

    @rule(why=st.sampled_from([BROKEN, NoRoom("full")]))
    def fail(self, why: StartFailure) -> None:
        if self.site.starting:
            self.site.fail(why)

    @rule()
    def die(self) -> None:
        if self.site.ready:
            self.site.die()

    @rule(data=st.data())
    def age(self, data: Any) -> None:
        if self.site.ready:
            self.site.age(data.draw(st.sampled_from(sorted(self.site.ready))))

    @rule(seconds=st.integers(0, 90))
    def wait(self, seconds: int) -> None:
        self.site.wait(seconds * SECOND)

    @invariant()
    def there_are_never_too_many(self) -> None:
        assert len(self.site.starting) <= min(self.n, AT_ONCE)
        assert len(self.site.ready) <= 2 * self.n, "as many old ones as are being replaced, at most"

    @invariant()
    def what_is_told_is_true(self) -> None:
        state = self.site.state()
        if state is not None:
            assert state.available == min(self.n, len(self.site.ready)) and state.allocated <= self.n
            assert state.status is not READY or state.allocated == self.n
            assert state.status is not IN_PROGRESS or self.site.starting or self.site.wakes

    def teardown(self) -> None:
        """From now on all goes well, and somebody asks for it."""
        self.site.want(self.n, order=self.order + 1)
        for _ in range(100):
            self.site.get_ready(20)
            self.site.wait(SECOND)
        assert len(self.site.ready) == self.n and not self.site.starting
        assert self.n == 0 or self.site.state() == Provision(READY, self.n, self.n)


TestTargets = Targets.TestCase
TestTargets.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


# In the machine of the worker manager

FRONTENDS = (FrontendId("one"), FrontendId("two"))
WORKER = WorkerId("w")
IDLE, AGE = 10 * MINUTE, 60 * MINUTE


def machine() -> ManagerMachine:
    manager = ManagerMachine(KeepAlive(IDLE, AGE))
    for frontend in FRONTENDS:
        manager.joined(frontend)
    return manager


def begin(manager: ManagerMachine, name: str, now: int = 0) -> list[Any]:
    """An environment that was asked for is placed and started."""
    assert manager.begun(EnvironmentId(name), version(), Instant(now)) == [
        Place(Demand(EnvironmentId(name), 128, "python3.11"))
    ]
    return manager.placed(EnvironmentId(name), Placed(WORKER, "fits"), Instant(now))


def test_it_is_started_for_nobody_without_asking_for_growth_and_offered_by_turns() -> None:
    manager = machine()
    assert manager.provision(KEY, [Wanted(version(), 2, 0)], Instant(0)) == [Begin(version()), Begin(version())]
    for name, frontend in zip(("a", "b"), FRONTENDS, strict=True):
        assert begin(manager, name) == [Start(EnvironmentId(name), WORKER, version(), RequestId(name), "fits", True)]
        offer, timer, *settled = manager.started(EnvironmentId(name), Instant(5))
        assert offer == Offer(frontend, Environment(EnvironmentId(name), WORKER, VersionId("f/1"), provisioned=True))
        assert timer == SetTimer(EnvironmentId(name), 1, Instant(5 + AGE)), "it is not asked whether it idles"
    assert settled == [Settled(VersionId("f/1"))]


def test_it_makes_no_room_for_others() -> None:
    manager = machine()
    manager.provision(KEY, [Wanted(version(), 1, 0)], Instant(0))
    begin(manager, "a")
    manager.started(EnvironmentId("a"), Instant(0))
    manager.wanted(EnvironmentId("b"), FRONTENDS[0], RequestId("r"), version(), Instant(MAKE_ROOM_IDLE))
    manager.growth(EnvironmentId("b"), None, Instant(MAKE_ROOM_IDLE))
    [timer] = manager.placed(EnvironmentId("b"), Unplaced("full"), Instant(MAKE_ROOM_IDLE))
    assert isinstance(timer, SetTimer)


def test_an_old_one_is_recalled_once_another_is_offered() -> None:
    manager = machine()
    manager.provision(KEY, [Wanted(version(), 1, 0)], Instant(0))
    begin(manager, "a")
    manager.started(EnvironmentId("a"), Instant(0))
    assert manager.timer_due(EnvironmentId("a"), 1, Instant(AGE)) == [Begin(version())]
    begin(manager, "b", AGE)
    offer, _, recall = manager.started(EnvironmentId("b"), Instant(AGE))
    assert isinstance(offer, Offer) and recall == Recall(FRONTENDS[0], EnvironmentId("a"), 0)
    assert manager.given_back(EnvironmentId("a")) == [Stop(EnvironmentId("a"), WORKER, OLD)]
    assert Begin(version()) not in manager.ended(EnvironmentId("a"), Instant(AGE))


def test_one_that_starts_when_it_is_wanted_no_more_is_stopped() -> None:
    manager = machine()
    manager.provision(KEY, [Wanted(version(), 1, 0)], Instant(0))
    begin(manager, "a")
    assert manager.provision(KEY, [], Instant(0)) == [
        Stop(EnvironmentId("a"), WORKER, NOT_WANTED),
        Settled(VersionId("f/1")),
    ]
    manager.start_failed(EnvironmentId("a"), HostFailed("stopped"), Instant(0))
    assert manager.environments() == []
    assert manager.begun(EnvironmentId("b"), version(), Instant(0)) == [], "asked for before, and not wanted any more"
