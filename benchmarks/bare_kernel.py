"""How many whole invocations a second the cores get through on one processor, in the simulator's bare kernel."""

import json
import statistics
import subprocess
import sys

from figure import Effort, Figure, Line
from harness import BenchmarkError

RUNS = 3


def measure(effort: Effort) -> list[Line]:
    """`python -m ondol.simulator --json`, several times."""
    rates = []
    for _ in range(effort.pick(RUNS, 1)):
        command = [sys.executable, "-m", "ondol.simulator", "--json"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if ended.returncode:
            raise BenchmarkError(f"the simulator failed: {ended.stderr[-500:]}")
        rates.append(float(json.loads(ended.stdout)["invocations_per_s"]))
    return [
        Line(
            name="bare kernel, invocations a second",
            ours=statistics.median(rates),
            unit="/s",
            must=5_000,
            aim=15_000,
            at_most=False,
        )
    ]


FIGURE = Figure("kernel", measure)
