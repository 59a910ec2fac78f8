"""How many warm calls a second 32 connections get, beside the floor and AWS's emulator, which runs one at a time."""

import contextlib
import statistics

import peers
from client import Caller, wrk
from figure import Effort, Figure, Line
from floor_server import floor
from functions import create
from harness import interleaved, median_ratio
from platform_under_test import ondol

CONNECTIONS = 32


def measure(effort: Effort) -> list[Line]:
    """`wrk -t1 -c32`, in turns of a few seconds."""
    seconds = effort.pick(4, 1)
    with contextlib.ExitStack() as stack:
        # The account's request rate is ten times its concurrency: at the default, 10,000/s would be the answer.
        here = stack.enter_context(ondol(limits_concurrency=100_000))
        create(here.port, "echo")
        emulator_port = stack.enter_context(peers.emulator())
        with Caller(emulator_port) as caller:
            caller.invoke(peers.EMULATED)
        # When wrk stops, the calls of one turn may still be under way as the next begins.
        floor_port = stack.enter_context(floor(2 * CONNECTIONS))
        rates = interleaved(
            {
                "ondol": lambda: wrk(here.port, "echo", CONNECTIONS, seconds),
                "emulator": lambda: wrk(emulator_port, peers.EMULATED, 1, seconds),
                "floor": lambda: wrk(floor_port, "echo", CONNECTIONS, seconds),
            }
        )

    def beside(peer: str, must: float | None, aim: float) -> Line:
        return Line(
            name=f"warm throughput, {CONNECTIONS} connections",
            ours=statistics.median(rates["ondol"]),
            unit="/s",
            peer=f"{peer}, 1 connection" if peer == "emulator" else peer,
            theirs=statistics.median(rates[peer]),
            judged=median_ratio(rates["ondol"], rates[peer]),
            judged_unit="x",
            must=must,
            aim=aim,
            at_most=False,
        )

    return [beside("emulator", 5.0, 8.0), beside("floor", None, 0.5)]


FIGURE = Figure("throughput", measure)
