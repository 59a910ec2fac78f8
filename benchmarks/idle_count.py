"""How many idle environments of 128 MB fit at once into a plain `ondol up`, all of which still answer."""

import asyncio
import time
from collections import Counter

from client import Caller
from figure import Effort, Figure, Line
from functions import WHO, create
from harness import BenchmarkError
from held import hold
from platform_under_test import ondol

BATCH = 270
"""Calls at once. An account runs 1,000 at a time, and what is idle does not count: several functions add up."""

HOLD_S = 5.0
HOLD_AGAIN_S = 4.0
ROUNDS = 4


def measure(effort: Effort) -> list[Line]:
    """Batch by batch until the wanted number is there, or ondol stops idle ones for new ones; then all are called."""
    made = 0
    with ondol() as here:
        began = time.monotonic()
        for n in range(effort.pick(12, 4)):
            name = f"who-{n}"
            create(here.port, name, WHO, 128)
            made += len(asyncio.run(hold(here.port, name, BATCH, HOLD_S)))
            there = here.environments()
            if len(there) < made:
                break
        made_s = time.monotonic() - began
        counts = Counter(each["function"] for each in there)
        answered = sum(_answering(here.port, name, count) for name, count in counts.items())
        lost = {each["id"] for each in there} - {each["id"] for each in here.environments()}
        with Caller(here.port) as caller:
            warm = caller.p50("who-0", 100)
    if lost or answered < len(there):
        raise BenchmarkError(f"of {len(there)} environments {answered} answered, and {len(lost)} ended meanwhile")
    return [
        Line(
            name="idle environments of 128 MB at once",
            ours=answered,
            unit="",
            must=1_000,
            aim=3_000,
            at_most=False,
            note=f"{made} made in {made_s:.0f} s; {answered} were there and answered again",
        ),
        Line(name="  warm p50 beside them", ours=warm, unit="ms"),
    ]


def _answering(port: int, function: str, count: int) -> int:
    """How many of the `count` environments of this function run a call.

    One may run two calls while another has none: hence several rounds.
    """
    seen: frozenset[str] = frozenset()
    for _ in range(ROUNDS):
        seen |= asyncio.run(hold(port, function, count, HOLD_AGAIN_S))
        if len(seen) == count:
            break
    return len(seen)


FIGURE = Figure("idle-count", measure)
