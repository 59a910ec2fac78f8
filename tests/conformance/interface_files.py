"""AWS's interface clients and what runs them, as files for packages and images: those of the environments of tests."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ondol.runtimes import catalog

ROOT = Path(__file__).resolve().parents[2]
PEERS_PYTHON = ROOT / ".venvs" / "peers" / "bin" / "python"
NODE_CLIENT = ROOT / ".venvs" / "node" / "node_modules" / "aws-lambda-ric"
NODES = {name: found for name, found in catalog.find().runtimes.items() if name.startswith("nodejs")}

_PYTHON_CLIENT = ("awslambdaric", "simplejson", "snapshot_restore_py", "runtime_client")
_UNUSED = {
    *("__pycache__", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages", "test", "tkinter"),
    "turtledemo",
}
_SYSTEMS_OWN = re.compile(r"(ld-linux.*|lib(c|dl|m|pthread|rt))\.so.*")
"""Libraries that a `provided` root has."""


class Named(NamedTuple):
    name: str
    content: bytes
    executable: bool = False


def python_client() -> Iterator[Named]:
    """What `pip install --target . awslambdaric` leaves there."""
    if not PEERS_PYTHON.exists():
        pytest.fail("the peers are not set up: run .venv/bin/python tests/prepare.py")
    command = [PEERS_PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"]
    packages = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    for found in packages.iterdir():
        if found.name.partition(".")[0] in _PYTHON_CLIENT:
            yield from _tree(found, found.name)


def python() -> Iterator[Named]:
    """The interpreter that runs the tests, with its standard library and the shared library of it, if it has one."""
    binary = Path(sys.executable).resolve()
    yield Named("bin/python", binary.read_bytes(), executable=True)
    needed = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
    for found in re.findall(r"(\S*/libpython\S+) \(0x", needed):
        yield Named(f"lib/{Path(found).name}", Path(found).read_bytes())
    version = f"python3.{sys.version_info.minor}"
    yield from _tree(Path(sys.base_prefix, "lib", version), f"lib/{version}")


def node_client() -> Iterator[Named]:
    """What `npm install aws-lambda-ric` leaves there, of it."""
    if not NODE_CLIENT.exists():
        pytest.fail("AWS's Node client is not set up: run .venv/bin/python tests/prepare.py")
    for name in ("bin/index.mjs", "package.json", *(f"dist/{path.name}" for path in (NODE_CLIENT / "dist").iterdir())):
        yield Named(f"node_modules/aws-lambda-ric/{name}", (NODE_CLIENT / name).read_bytes())


def node() -> Iterator[Named]:
    """The newest Node of this machine, with the libraries that a `provided` root lacks."""
    interpreter = Path(str(NODES[max(NODES)].interpreter)).resolve()
    yield Named("bin/node", interpreter.read_bytes(), executable=True)
    linked = subprocess.run(["ldd", interpreter], check=True, capture_output=True, text=True).stdout
    for library in map(Path, re.findall(r"=> (/\S+)", linked)):
        if not _SYSTEMS_OWN.fullmatch(library.name):
            yield Named(f"lib/{library.name}", library.read_bytes())


def _tree(source: Path, name: str) -> Iterator[Named]:
    for file in _files(source):
        yield Named(name if file == source else f"{name}/{file.relative_to(source)}", file.read_bytes())


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
    elif source.is_dir() and source.name not in _UNUSED and not source.name.startswith("config-"):
        for inner in sorted(source.iterdir()):
            yield from _files(inner)
