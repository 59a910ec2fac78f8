"""Whether a warm call notices how many functions there are, and how many environments lie idle."""

import asyncio
import contextlib
import statistics

from client import Caller
from figure import Effort, Figure, Line
from functions import ECHO, FULL_MB, WHO, create, create_many
from harness import BenchmarkError, interleaved, median_ratio
from held import hold
from platform_under_test import ondol

CALLS = 300
HOLD_S = 10.0


def measure(effort: Effort) -> list[Line]:
    """Two ondols take turns: one with one function and one environment, one with very many."""
    functions, idle = effort.pick(10_000, 1_000), effort.pick(500, 200)
    with contextlib.ExitStack() as stack:
        few = stack.enter_context(ondol())
        many = stack.enter_context(ondol())
        create(few.port, "echo")
        create(many.port, "echo")
        create(many.port, "who", WHO, 128)
        asyncio.run(create_many(many.port, [f"more-{n}" for n in range(functions - 2)], ECHO, FULL_MB))
        asyncio.run(hold(many.port, "who", idle - 1, HOLD_S))
        few_caller = stack.enter_context(Caller(few.port))
        many_caller = stack.enter_context(Caller(many.port))
        p50s = interleaved(
            {"few": lambda: few_caller.p50("echo", CALLS), "many": lambda: many_caller.p50("echo", CALLS)},
            effort.pick(15, 7),
        )
        if (there := len(many.environments())) < idle:
            raise BenchmarkError(f"only {there} environments were there, not {idle}")
    return [
        Line(
            name=f"warm p50, {functions:,} functions, {idle} environments",
            ours=statistics.median(p50s["many"]),
            unit="ms",
            peer="1 and 1",
            theirs=statistics.median(p50s["few"]),
            judged=median_ratio(p50s["many"], p50s["few"]),
            judged_unit="x",
            must=1.25,
            aim=1.05,
        )
    ]


FIGURE = Figure("many", measure)
