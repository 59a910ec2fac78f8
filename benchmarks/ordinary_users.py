"""What it costs to run ondol as an ordinary user: cold starts and warm throughput beside root's."""

import asyncio
import contextlib
import os
import statistics
import time

from client import Caller, wrk
from figure import Effort, Figure, Line
from functions import CREATED, ECHO, FULL_MB, create, create_many
from harness import BenchmarkError, interleaved, median_ratio
from platform_under_test import Ondol, ondol

BATCH = 20
EVERY_S = 0.05
SETTLED_S = 1.0
GONE_WITHIN_S = 30.0
CONNECTIONS = 32


def measure(effort: Effort) -> list[Line]:
    """Both run side by side, in turns: batches of first calls, 50 ms apart; then a few seconds of `wrk -t1 -c32`."""
    if os.geteuid() != 0:
        raise BenchmarkError("only root can be both root and an ordinary user: sudo make bench")
    seconds = effort.pick(4, 1)
    with contextlib.ExitStack() as stack:
        roots = stack.enter_context(ondol(limits_concurrency=100_000))
        users = stack.enter_context(ondol(as_user=True, limits_concurrency=100_000))
        cold = interleaved({"user": lambda: _cold_p50(users), "root": lambda: _cold_p50(roots)})
        for each in (roots, users):
            create(each.port, "echo")
        rates = interleaved(
            {
                "user": lambda: wrk(users.port, "echo", CONNECTIONS, seconds),
                "root": lambda: wrk(roots.port, "echo", CONNECTIONS, seconds),
            }
        )
    return [
        Line(
            name="ordinary user: cold start p50",
            ours=statistics.median(cold["user"]),
            unit="ms",
            peer="root's",
            theirs=statistics.median(cold["root"]),
            judged=median_ratio(cold["user"], cold["root"]),
            judged_unit="x",
            must=2.0,
            aim=1.2,
        ),
        Line(
            name=f"ordinary user: warm throughput, {CONNECTIONS} connections",
            ours=statistics.median(rates["user"]),
            unit="/s",
            peer="root's",
            theirs=statistics.median(rates["root"]),
            judged=median_ratio(rates["user"], rates["root"]),
            judged_unit="x",
            must=0.8,
            aim=0.95,
            at_most=False,
        ),
    ]


def _cold_p50(here: Ondol) -> float:
    """The median of the first calls of some functions, each with code of its own."""
    names = [f"cold-{n}" for n in range(BATCH)]
    asyncio.run(create_many(here.port, names, ECHO, FULL_MB, own_code=True))
    time.sleep(SETTLED_S)
    took = []
    with Caller(here.port) as caller:
        for name in names:
            time.sleep(EVERY_S)
            took.append(caller.timed_invoke(name))
        for name in names:
            caller.request("DELETE", f"{CREATED}/{name}")
    here.await_environments(0, GONE_WITHIN_S)
    return statistics.median(took)


FIGURE = Figure("ordinary-user", measure)
