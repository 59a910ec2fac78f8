"""How long ondol itself takes to start, where it has been started before."""

import statistics

from figure import Effort, Figure, Line
from functions import create
from platform_under_test import data_directory, started

STARTS = 5


def measure(effort: Effort) -> list[Line]:
    """From the start of the process to its `ondol ready on` line, on a data directory with one function in it."""
    with data_directory() as data:
        with started(data) as first:
            create(first.port, "echo")
        times = []
        for _ in range(STARTS):
            with started(data) as here:
                times.append(here.start_s)
    return [
        Line(name="ondol's own start to ready", ours=statistics.median(times), unit="s", must=1.5, aim=0.5),
    ]


FIGURE = Figure("start", measure)
