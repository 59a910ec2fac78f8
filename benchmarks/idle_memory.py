"""What an idle environment of 128 MB costs in memory that nobody else uses."""

import asyncio
import time

from figure import Effort, Figure, Line
from functions import WHO, create
from held import hold
from memory import descendants, private_kb, sandboxed
from platform_under_test import Ondol, ondol

FREEZE_S = 2.0
HOLD_S = 4.0


def measure(effort: Effort) -> list[Line]:
    """Private memory of all processes with many idle environments, less that with none; slots ahead are in both."""
    count = effort.pick(200, 60)
    with ondol() as here:
        create(here.port, "who", WHO, 128)
        # The first environment brings what the others share.
        asyncio.run(hold(here.port, "who", 1, 0.0))
        time.sleep(FREEZE_S)
        first = len(here.environments())
        before = _shown_kb(here)
        asyncio.run(hold(here.port, "who", count, HOLD_S))
        time.sleep(FREEZE_S)
        more = len(here.environments()) - first
        sandboxes, own, others = (now - then for now, then in zip(_shown_kb(here), before, strict=True))
    total = (sandboxes + own + others) / more / 1024
    return [
        Line(
            name=f"idle environment, memory of all processes ({more} of them)",
            ours=total,
            unit="MB",
            must=5.0,
            aim=3.0,
        ),
        Line(name="  of which its own processes", ours=sandboxes / more / 1024, unit="MB"),
        Line(name="  of which ondol's growth", ours=own / more / 1024, unit="MB"),
        Line(name="  of which the spawner's and zygotes' growth", ours=others / more / 1024, unit="MB"),
    ]


def _shown_kb(here: Ondol) -> tuple[int, int, int]:
    """Of the sandboxes, of ondol itself, of everything else that it has started."""
    pids = descendants(here.pid)
    inside = set(sandboxed(pids))
    sandboxes = sum(private_kb(pid) for pid in inside)
    others = sum(private_kb(pid) for pid in pids if pid not in inside)
    return sandboxes, private_kb(here.pid), others


FIGURE = Figure("idle-memory", measure)
