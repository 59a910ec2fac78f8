"""How long a warm and a cold call of a function on Node take, beside the same on Python in the same ondol."""

import contextlib
import statistics

from client import Caller
from figure import Effort, Figure, Line
from functions import NODE_ECHO, create
from harness import BenchmarkError, interleaved, median_ratio
from ondol.runtimes import catalog
from platform_under_test import ondol

CALLS = 300


def measure(effort: Effort) -> list[Line]:
    """Python's http.client, kept alive, one call after the other; turns of 300 calls. Before them, first calls."""
    nodes = sorted(name for name in catalog.find().runtimes if name.startswith("nodejs"))
    if not nodes:
        raise BenchmarkError("this machine has no Node: install it with the system's packages")
    with contextlib.ExitStack() as stack:
        here = stack.enter_context(ondol())
        caller = stack.enter_context(Caller(here.port))
        create(here.port, "python")
        first = []
        for number in range(effort.pick(20, 6)):
            create(here.port, f"node-{number}", f"{NODE_ECHO}// {number}", runtime=nodes[-1])
            first.append(caller.timed_invoke(f"node-{number}"))
        p50s = interleaved(
            {"python": lambda: caller.p50("python", CALLS), "node": lambda: caller.p50("node-0", CALLS)},
            effort.pick(15, 5),
        )
    return [
        Line(
            name="node warm p50, 1 connection, 1,769 MB",
            ours=statistics.median(p50s["node"]),
            unit="ms",
            peer="Python in ondol",
            theirs=statistics.median(p50s["python"]),
            judged=median_ratio(p50s["node"], p50s["python"]),
            judged_unit="x",
            must=1.5,
            aim=1.1,
        ),
        Line(name="node cold start p50", ours=statistics.median(first), unit="ms"),
    ]


FIGURE = Figure("node", measure)
