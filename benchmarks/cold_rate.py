"""How many cold starts a second go on and on, when prepared slots have long run out and what ended is cleared away.

Environments are kept only a fifth of a second after their call, and the functions, called in a ring, are so many that
each has none left when its turn comes again. A call counts only if its answer says that it was its environment's
first; the time counts until nothing of the last environment is left.
"""

import asyncio
import itertools
import time

from client import answer_of, exchange, in_parallel, invoke_path
from figure import Effort, Figure, Line
from functions import FULL_MB, WHO, create_many
from harness import BenchmarkError
from platform_under_test import ondol

KEEP_S = 0.2
FUNCTIONS = 400
CONNECTIONS = 12
TEARDOWN_S = 30.0


def measure(effort: Effort) -> list[Line]:
    """Twelve callers, each with its next call as soon as the last was answered."""
    seconds = effort.pick(30, 6)
    with ondol(keep_alive_idle_s=KEEP_S) as here:
        names = [f"who-{n}" for n in range(FUNCTIONS)]
        asyncio.run(create_many(here.port, names, WHO, FULL_MB))
        began = time.monotonic()
        colds, calls = asyncio.run(_calls(here.port, names, began + seconds))
        here.await_environments(0, TEARDOWN_S)
        took = time.monotonic() - began
    if colds < 0.9 * calls:
        raise BenchmarkError(f"only {colds} of {calls} calls were cold starts: use more functions")
    return [
        Line(
            name=f"cold starts a second for {seconds} s, with teardown",
            ours=colds / took,
            unit="/s",
            must=100.0,
            aim=300.0,
            at_most=False,
            note=f"{colds} in {took:.1f} s",
        )
    ]


async def _calls(port: int, names: list[str], until: float) -> tuple[int, int]:
    """Call round and round until then: how many calls were cold starts, and how many there were."""
    colds = calls = 0
    ring = itertools.takewhile(lambda _: time.monotonic() < until, itertools.cycle(names))

    async def call(name: str) -> None:
        nonlocal colds, calls
        answer = answer_of(await exchange(port, "POST", invoke_path(name), b"{}"))
        calls += 1
        colds += answer["calls"] == 1

    await in_parallel(call, ring, CONNECTIONS)
    return colds, calls


FIGURE = Figure("cold-rate", measure)
