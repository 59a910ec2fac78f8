"""How long the first call of a function takes of which nothing has run."""

import asyncio
import contextlib
import statistics
import time

import peers
from client import Caller
from figure import Effort, Figure, Line
from functions import CREATED, ECHO, FULL_MB, create, create_many
from harness import BenchmarkError
from platform_under_test import ondol

SETTLED_S = 2.0
EVERY_S = 0.05
BATCH = 20
GONE_WITHIN_S = 30.0


def measure(effort: Effort) -> list[Line]:
    """Batches of functions, each with code of its own; one first call every 50 ms. The peers' turns lie between."""
    cold: list[float] = []
    emulated: list[float] = []
    mini: list[float] = []
    with contextlib.ExitStack() as stack:
        here = stack.enter_context(ondol())
        caller = stack.enter_context(Caller(here.port))
        mini_port = stack.enter_context(peers.ministack())
        mini_caller = stack.enter_context(Caller(mini_port))
        for batch in range(effort.pick(8, 2)):
            names = [f"echo-{batch}-{n}" for n in range(BATCH)]
            asyncio.run(create_many(here.port, names, ECHO, FULL_MB, own_code=True))
            create(mini_port, f"echo-{batch}")
            time.sleep(SETTLED_S)
            cold += _first_calls(caller, names)
            if (there := len(here.environments())) != BATCH:
                raise BenchmarkError(f"{BATCH} first calls left {there} environments: not every one was a cold start")
            _delete(caller, names)
            mini.append(mini_caller.timed_invoke(f"echo-{batch}"))
            with peers.emulator() as port, Caller(port) as emulator_caller:
                emulated.append(emulator_caller.timed_invoke(peers.EMULATED))
            here.await_environments(0, GONE_WITHIN_S)
    p50 = statistics.median(cold)
    return [
        Line(
            name="cold start p50, one per 50 ms",
            ours=p50,
            unit="ms",
            peer="emulator's first call",
            theirs=statistics.median(emulated),
            must=6.0,
            aim=3.0,
        ),
        Line(
            name="cold start p50, one per 50 ms",
            ours=p50,
            unit="ms",
            peer="ministack",
            theirs=statistics.median(mini),
            judged=p50 / statistics.median(mini),
            judged_unit="x",
        ),
        Line(name="cold start p90, one per 50 ms", ours=statistics.quantiles(cold, n=10)[-1], unit="ms"),
    ]


def _first_calls(caller: Caller, names: list[str]) -> list[float]:
    took = []
    due = time.monotonic()
    for name in names:
        time.sleep(max(0.0, due - time.monotonic()))
        due += EVERY_S
        took.append(caller.timed_invoke(name))
    return took


def _delete(caller: Caller, names: list[str]) -> None:
    """A small machine has no room for the environments of all batches at once."""
    for name in names:
        caller.request("DELETE", f"{CREATED}/{name}")


FIGURE = Figure("cold", measure)
