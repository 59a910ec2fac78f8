"""What a large package and a large layer, both unpacked already, add to a cold start."""

import base64
import json
import os
import statistics

from client import Caller
from figure import Effort, Figure, Line
from first_calls import first_calls
from functions import ECHO, creation, package, zipped
from platform_under_test import ondol

PACKAGE_MB = 200
LAYER_MB = 50
FILE_BYTES = 100_000
FILES_EACH = 50
"""In each of the directories over which the files are spread, as libraries are."""

LAYERS = "/2018-10-31/layers"


def measure(effort: Effort) -> list[Line]:
    """All functions of a kind have the same package."""
    with ondol() as here, Caller(here.port) as caller:
        layers = [_publish(caller, zipped(_bulk("python/layered", LAYER_MB)))]
        plain, bulky = package(ECHO), package(ECHO, files=_bulk("packaged", PACKAGE_MB))
        large, small = first_calls(
            here,
            caller,
            effort.pick(6, 2),
            (lambda name: creation(name, bulky, layers=layers), lambda name: creation(name, plain)),
        )
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


FIGURE = Figure("package-size", measure)
