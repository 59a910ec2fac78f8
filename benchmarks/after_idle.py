"""What a call pays that finds its environment frozen, above calls back to back."""

import asyncio
import statistics
import time

from client import Caller
from figure import Effort, Figure, Line
from functions import ECHO, FULL_MB, create_many
from platform_under_test import ondol

IDLE_S = 2.0
FUNCTIONS = 10
"""Called in turn, so that ten samples come of the time of one."""

BACK_TO_BACK = 5


def measure(effort: Effort) -> list[Line]:
    """Each function is called after 2 s of idleness, and then a few times more at once."""
    thawed: list[float] = []
    warm: list[float] = []
    with ondol() as here, Caller(here.port) as caller:
        names = [f"echo-{n}" for n in range(FUNCTIONS)]
        asyncio.run(create_many(here.port, names, ECHO, FULL_MB))
        for name in names:
            caller.invoke(name)
        # Nothing else is called meanwhile, or the machine would be warmer than after an idle time.
        due = time.monotonic() + IDLE_S
        for n in range(FUNCTIONS * effort.pick(8, 4)):
            name = names[n % FUNCTIONS]
            time.sleep(max(0.0, due - time.monotonic()))
            due += IDLE_S / FUNCTIONS
            thawed.append(caller.timed_invoke(name))
            warm.append(statistics.median(caller.timed_invoke(name) for _ in range(BACK_TO_BACK)))
    return [
        Line(
            name="warm p50 after 2 s idle",
            ours=statistics.median(thawed),
            unit="ms",
            peer="back to back",
            theirs=statistics.median(warm),
            judged=statistics.median(a - b for a, b in zip(thawed, warm, strict=True)),
            judged_unit="ms more",
            must=1.5,
            aim=0.5,
        )
    ]


FIGURE = Figure("idle-call", measure)
