"""What a large package and a large layer, both unpacked already, add to a cold start."""

import base64
import json
import os
import statistics
import time

from client import Caller
from cold_start import EVERY_S, GONE_WITHIN_S, SETTLED_S
from figure import Effort, Figure, Line
from functions import CREATED, ECHO, await_active, creation, package, zipped
from harness import BenchmarkError
from platform_under_test import Ondol, ondol

PACKAGE_MB = 200
LAYER_MB = 50
FILE_BYTES = 100_000
FILES_EACH = 50
"""In each of the directories over which the files are spread, as libraries are."""

BATCH = 10
LAYERS = "/2018-10-31/layers"


def measure(effort: Effort) -> list[Line]:
    """First calls of functions of both kinds take turns, one every 50 ms; all of a kind have the same package."""
    large: list[float] = []
    small: list[float] = []
    with ondol() as here, Caller(here.port) as caller:
        layers = [_publish(caller, zipped(_bulk("python/layered", LAYER_MB)))]
        plain, bulky = package(ECHO), package(ECHO, files=_bulk("packaged", PACKAGE_MB))
        for batch in range(effort.pick(6, 2)):
            pairs = [(f"large-{batch}-{n}", f"small-{batch}-{n}") for n in range(BATCH)]
            for loaded, bare in pairs:
                caller.request("POST", CREATED, creation(loaded, bulky, layers=layers))
                caller.request("POST", CREATED, creation(bare, plain))
            for name in (name for pair in pairs for name in pair):
                await_active(caller, name)
            time.sleep(SETTLED_S)
            due = time.monotonic()
            for number, name in enumerate(name for pair in pairs for name in pair):
                time.sleep(max(0.0, due - time.monotonic()))
                due += EVERY_S
                (small if number % 2 else large).append(caller.timed_invoke(name))
            end_batch(here, caller, pairs)
    return [
        Line(
            name=f"cold start p50, package of {PACKAGE_MB} MB, layer of {LAYER_MB} MB",
            ours=statistics.median(large),
            unit="ms",
            peer="package of 1 kB",
            theirs=statistics.median(small),
            judged=statistics.median(a - b for a, b in zip(large, small, strict=True)),
            judged_unit="ms more",
            must=10,
            aim=2,
        )
    ]


def _bulk(directory: str, megabytes: int) -> dict[str, bytes]:
    """So many megabytes of files no two of which are the same, and whose zip may be sent in a request."""
    count = megabytes * 1_000_000 // FILE_BYTES
    return {
        f"{directory}_{n // FILES_EACH}/data_{n}.bin": os.urandom(1000) * (FILE_BYTES // 1000) for n in range(count)
    }


def _publish(caller: Caller, content: bytes) -> str:
    body = json.dumps({"Content": {"ZipFile": base64.b64encode(content).decode()}}).encode()
    published: str = json.loads(caller.request("POST", f"{LAYERS}/bulk/versions", body))["LayerVersionArn"]
    return published


def end_batch(here: Ondol, caller: Caller, pairs: list[tuple[str, str]]) -> None:
    """Check that every call was a cold start, and make room for the next batch's."""
    if (there := len(here.environments())) != 2 * len(pairs):
        raise BenchmarkError(f"{2 * len(pairs)} first calls left {there} environments: not all were cold starts")
    for name in (name for pair in pairs for name in pair):
        caller.request("DELETE", f"{CREATED}/{name}")
    here.await_environments(0, GONE_WITHIN_S)


FIGURE = Figure("package-size", measure)
