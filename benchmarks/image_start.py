"""What it adds to a cold start that a function's code is an image, and a large one, rather than a zip."""

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from client import Caller
from figure import Effort, Figure, Line
from first_calls import first_calls
from functions import FULL_MB, creation
from harness import ROOT, BenchmarkError
from platform_under_test import ondol

IMAGE_MB = 200
FILES = 20
SOURCE = ROOT / "tests" / "conformance" / "bootstrap.c"
BUILD = ROOT / "examples" / "container-image" / "build.py"


def measure(effort: Effort) -> list[Line]:
    """The same program, in C, is what starts."""
    with tempfile.TemporaryDirectory() as directory:
        layout, program = _build(Path(directory))
        with ondol(code_folders=directory) as here, Caller(here.port) as caller:
            content = _zipped(program)
            image, package = first_calls(
                here,
                caller,
                effort.pick(6, 2),
                (
                    lambda name: _creation(name, layout),
                    lambda name: creation(name, content, runtime="provided.al2023"),
                ),
            )
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
