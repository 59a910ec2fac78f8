"""What it adds to a cold start that a function's code is an image, and a large one, rather than a zip."""

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from client import Caller
from cold_start import EVERY_S, SETTLED_S
from figure import Effort, Figure, Line
from functions import CREATED, FULL_MB, await_active, creation
from harness import ROOT, BenchmarkError
from package_size import end_batch
from platform_under_test import ondol

IMAGE_MB = 200
FILES = 20
BATCH = 10
SOURCE = ROOT / "tests" / "conformance" / "bootstrap.c"
BUILD = ROOT / "examples" / "container-image" / "build.py"
UNPACKED_WITHIN_S = 120.0


def measure(effort: Effort) -> list[Line]:
    """The same program, in C, is what starts; first calls of both kinds take turns, one every 50 ms."""
    image: list[float] = []
    package: list[float] = []
    with tempfile.TemporaryDirectory() as directory:
        layout, program = _build(Path(directory))
        with ondol(code_folders=directory) as here, Caller(here.port) as caller:
            content = _zipped(program)
            for batch in range(effort.pick(6, 2)):
                pairs = [(f"image-{batch}-{n}", f"zip-{batch}-{n}") for n in range(BATCH)]
                for imaged, packaged in pairs:
                    caller.request("POST", CREATED, _creation(imaged, layout))
                    caller.request("POST", CREATED, creation(packaged, content, runtime="provided.al2023"))
                for name in (name for pair in pairs for name in pair):
                    await_active(caller, name, UNPACKED_WITHIN_S)
                time.sleep(SETTLED_S)
                due = time.monotonic()
                for number, name in enumerate(name for pair in pairs for name in pair):
                    time.sleep(max(0.0, due - time.monotonic()))
                    due += EVERY_S
                    (package if number % 2 else image).append(caller.timed_invoke(name))
                end_batch(here, caller, pairs)
    return [
        Line(
            name=f"cold start p50, image of {IMAGE_MB} MB",
            ours=statistics.median(image),
            unit="ms",
            peer="the same program as a zip",
            theirs=statistics.median(package),
            judged=statistics.median(a - b for a, b in zip(image, package, strict=True)),
            judged_unit="ms more",
            must=5,
            aim=1,
        )
    ]


def _build(directory: Path) -> tuple[Path, Path]:
    """An image layout, and the program that is its entry point."""
    task, layout = directory / "task", directory / "layout"
    task.mkdir()
    program = task / "bootstrap"
    built = subprocess.run(["cc", "-O2", "-static", "-o", program, SOURCE], check=False, capture_output=True, text=True)
    if built.returncode != 0:
        raise BenchmarkError(f"the program that is to start cannot be compiled: {built.stderr.strip()}")
    for number in range(FILES):
        (task / f"bulk-{number}").write_bytes(os.urandom(IMAGE_MB * 1_000_000 // FILES))
    subprocess.run([sys.executable, BUILD, task, layout], check=True)
    return layout, program


def _zipped(program: Path) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(program, program.name)
    return held.getvalue()


def _creation(name: str, layout: Path) -> bytes:
    parameters = {
        "FunctionName": name,
        "PackageType": "Image",
        "Role": "arn:aws:iam::000000000000:role/benchmark",
        "Code": {"ImageUri": f"oci:{layout}"},
        "MemorySize": FULL_MB,
    }
    return json.dumps(parameters).encode()


FIGURE = Figure("image", measure)
