"""Small sites on which everything goes wrong that can: a scenario for each seed, and what must hold all the same.

`python tests/simulation/faulty_site.py SEED ...` replays some.
"""

import sys
from collections import Counter
from collections.abc import Callable
from random import Random

import msgspec

from ondol.counting.api import Pool
from ondol.model.ids import EnvironmentId
from ondol.model.limits import AccountLimits, KeepAlive, Phases
from ondol.model.time import MILLISECOND, SECOND, Instant
from ondol.simulator.kernel import Kernel
from ondol.simulator.trace import (
    ACCOUNT,
    REGION,
    Call,
    Decision,
    Ending,
    Function,
    Init,
    Provisioning,
    Site,
    Trace,
    Update,
)

ENDINGS = [Ending.WELL] * 30 + [Ending.RAISE, Ending.DIE, Ending.DIE, Ending.HANG]
INITS = [Ending.WELL] * 20 + [Ending.RAISE, Ending.DIE, Ending.HANG]
QUIET = 60 * SECOND


class Scenario(msgspec.Struct, frozen=True):
    site: Site
    trace: Trace
    calls: list[Call]
    crashes: list[tuple[Instant, EnvironmentId]]
    """Environments whose process dies, whatever it is at."""

    until: Instant
    """When all is over and every environment is gone."""


def scenario(seed: int) -> Scenario:
    random = Random(seed)
    site = Site(
        workers=random.randint(2, 5),
        worker_memory_mb=random.choice([110, 160, 800]),
        worker_environments=random.randint(4, 12),
        frontends=random.randint(1, 3),
        limits=AccountLimits(concurrency=random.randint(15, 60), growth_burst=random.choice([20, 1000])),
        keep_alive=KeepAlive(random.randint(1, 6) * SECOND, random.randint(8, 30) * SECOND),
        phases=Phases(init=2 * SECOND),
    )
    functions = [_function(number, random) for number in range(random.randint(2, 12))]
    calls = _calls(site, functions, random)
    last = calls[-1].at
    updates = sorted((Update(_odd(random.random() * last), _any(functions, random)) for _ in range(8)), key=_at)
    crashes = [(_odd(random.random() * last), EnvironmentId(str(random.randint(1, 150)))) for _ in range(20)]
    after = last + QUIET
    calls += [Call(_odd(after + n * SECOND), n, 20 * MILLISECOND + 1) for n in range(len(functions))]
    trace = Trace(functions, calls, _init(seed), updates, _provisioned(functions, last, random))
    return Scenario(site, trace, calls, crashes, Instant(calls[-1].at + QUIET))


def _function(number: int, random: Random) -> Function:
    memory_mb = random.choice([128, 256, 512, 1024])
    return Function(f"function-{number}", memory_mb, random.choice([1, 2, 5]), random.choice([None, None, None, 2]))


def _provisioned(functions: list[Function], last: int, random: Random) -> list[Provisioning]:
    """Some functions have provisioned concurrency for a while, in amounts that change; at the end none has."""
    provisioned = []
    for index, function in enumerate(functions):
        most = function.reserved_concurrency or 3
        changes = random.choice([0, 0, 1, 3])
        provisioned += [
            Provisioning(_odd(random.random() * last), index, random.randint(1, most)) for _ in range(changes)
        ]
        if changes:
            provisioned.append(Provisioning(_odd(last + index), index, 0))
    return sorted(provisioned, key=lambda each: each.at)


def _calls(site: Site, functions: list[Function], random: Random) -> list[Call]:
    """In bursts, most of them of the first function."""
    calls, at = [], 0.0
    per_s = random.choice([20, 60])
    for _ in range(random.randint(300, 500)):
        at += random.expovariate(per_s) if random.random() < 0.97 else random.uniform(0, 4)
        calls.append(
            Call(
                _odd(at * SECOND),
                min(len(functions), int(random.paretovariate(0.6))) - 1,
                _odd(random.lognormvariate(-1.5, 1.3) * SECOND),
                random.randrange(site.frontends),
                random.choice(ENDINGS),
                2 * int(random.random() * 300 * MILLISECOND) if random.random() < 0.05 else None,
            )
        )
    return calls


def _init(seed: int) -> Callable[[int], Init]:
    def init(number: int) -> Init:
        random = Random(f"{seed}/{number}")
        return Init(_odd(random.lognormvariate(-1.5, 0.8) * SECOND), random.choice(INITS))

    return init


def _any(functions: list[Function], random: Random) -> int:
    return random.randrange(len(functions))


def _at(update: Update) -> Instant:
    return update.at


def _odd(at: float) -> Instant:
    """Never on a timer's tick."""
    return Instant(int(at) | 1)


def check(seed: int) -> None:
    """Run a scenario in the kernel and see that what must hold does. Raises `AssertionError`, `InvariantError`."""
    played = scenario(seed)
    log: list[Decision] = []
    kernel = Kernel(played.site, played.trace, log)
    for at, environment in played.crashes:
        kernel.timeline.at(at, kernel.hosts.crash, environment)
    for second in range(played.until // SECOND + 1):
        kernel.run(second * SECOND)
        _no_more_is_granted_than_there_is(kernel, played)
    kernel.run(played.until)
    _every_client_is_told_one_thing(log, played)
    _no_environment_serves_two_versions_or_two_at_once(log, played)
    _no_more_runs_than_may(log, played)
    _nothing_is_left(kernel, played)


def _no_more_is_granted_than_there_is(kernel: Kernel, played: Scenario) -> None:
    """Pools that shrank may have more for as long as what they had runs; all together never have."""
    pools = {function.pool for function in played.trace.functions}
    if not played.trace.provisioned:
        for pool in pools:
            assert kernel.counting.granted(pool) <= kernel.counting.limit(pool), f"{pool} is granted too often"
    granted = sum(map(kernel.counting.granted, (*pools, *_provisioned_pools(played))))
    assert granted <= played.site.limits.concurrency


def _provisioned_pools(played: Scenario) -> set[Pool]:
    """All that there may have been."""
    revisions = range(1, len(played.trace.updates) + 2)
    functions = [played.trace.functions[index] for index in {each.function for each in played.trace.provisioned}]
    return {Pool(ACCOUNT, REGION, each.name, each.version(revision).id) for each in functions for revision in revisions}


def _every_client_is_told_one_thing(log: list[Decision], played: Scenario) -> None:
    told = Counter(each.request for each in log if each.what in {"answer", "refuse", "fail", "gone"})
    assert told == Counter(f"request-{number}" for number in range(1, len(played.calls) + 1))
    last = {f"request-{len(played.calls) - n}" for n in range(len(played.trace.functions))}
    for each in log:
        if each.request in last and each.what in {"refuse", "fail"}:
            assert each.detail.startswith("init:"), f"the site does not recover: {each}"


def _no_environment_serves_two_versions_or_two_at_once(log: list[Decision], played: Scenario) -> None:
    serves: dict[str, tuple[int, int]] = {}
    busy: dict[str, str] = {}
    for each in log:
        if each.what == "run":
            call = _call(played, each.request)
            updates = sum(u.function == call.function and u.at <= call.at for u in played.trace.updates)
            version = (call.function, updates)
            assert serves.setdefault(each.environment, version) == version, f"two versions: {each}"
            assert busy.get(each.request) != each.environment, f"bounced back to where it came from: {each}"
            busy[each.request] = each.environment
            assert Counter(busy.values())[each.environment] == 1, f"two at once: {each}"
        elif each.what in {"answer", "fail", "refuse"}:
            busy.pop(each.request, None)


def _no_more_runs_than_may(log: list[Decision], played: Scenario) -> None:
    running: dict[str, Pool] = {}
    limits = {function.pool: function.reserved_concurrency for function in played.trace.functions}
    whole = played.site.limits.concurrency
    limits[Pool(ACCOUNT, REGION)] = whole - sum(limit for limit in limits.values() if limit is not None)
    for each in log:
        if each.what == "run":
            pool = running[each.request] = played.trace.functions[_call(played, each.request).function].pool
            limit = limits[pool] if pool.function is not None or not played.trace.provisioned else whole
            assert limit is not None and Counter(running.values())[pool] <= limit, f"more than {pool} allows: {each}"
            assert len(running) <= whole
        elif each.what in {"answer", "fail", "refuse"}:
            running.pop(each.request, None)


def _nothing_is_left(kernel: Kernel, played: Scenario) -> None:
    assert kernel.manager.environments() == []
    assert len(kernel.hosts) == 0
    assert all(worker.memory_mb == worker.environments == 0 for worker in kernel.fleet.workers())
    for front in kernel.frontends:
        assert not front.waiting
        assert len(front.assignment.idle) == 0
        for pool in {function.pool for function in played.trace.functions} | _provisioned_pools(played):
            kernel.counting.recalled(
                front.assignment.recall_permits(pool, 10_000, owe=False), None, kernel.timeline.now
            )
    for pool in {function.pool for function in played.trace.functions} | _provisioned_pools(played):
        assert kernel.counting.granted(pool) == 0, f"permits of {pool} were lost"


def _call(played: Scenario, request: str) -> Call:
    return played.calls[int(request.partition("-")[2]) - 1]


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        check(int(argument))
