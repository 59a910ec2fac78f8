"""How long it takes from a save until what was saved is what runs, under `ondol dev`."""

import json
import statistics
import tempfile
import time
from pathlib import Path

from client import Caller
from figure import Effort, Figure, Line
from harness import BenchmarkError, await_line, process
from platform_under_test import ONDOL, ondol

DEPLOYED = '{"event": "deployed"'
DEPLOYED_S = 30.0
PAUSE_S = 0.5
"""Between saves: a person does other things meanwhile."""

SAVED = """
def handler(event, context):
    return {{"save": {number}}}
"""


def measure(effort: Effort) -> list[Line]:
    """A file of a small function is written anew; the clock stops when `ondol dev` says that it runs."""
    taken = []
    with ondol() as here, Caller(here.port) as caller, tempfile.TemporaryDirectory() as held:
        file = Path(held, "function.py")
        file.write_text(SAVED.format(number=0))
        command: list[str | Path] = [ONDOL, "dev", held, "--name", "saved", "--json"]
        command += ["--endpoint", f"http://127.0.0.1:{here.port}"]
        with process(command) as dev:
            await_line(dev, DEPLOYED, DEPLOYED_S)
            for number in range(1, effort.pick(30, 8) + 1):
                time.sleep(PAUSE_S)
                began = time.perf_counter()
                file.write_text(SAVED.format(number=number))
                await_line(dev, DEPLOYED, DEPLOYED_S)
                taken.append((time.perf_counter() - began) * 1e3)
                if (ran := json.loads(caller.invoke("saved"))) != {"save": number}:
                    raise BenchmarkError(f"save {number} was said to run, and {ran} ran")
    return [Line(name="save to redeployed, p50", ours=statistics.median(taken), unit="ms", must=500, aim=150)]


FIGURE = Figure("dev", measure)
