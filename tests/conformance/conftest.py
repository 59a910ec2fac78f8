"""One ondol for all conformance tests; each test makes functions of its own."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ondol_process import OndolProcess


@pytest.fixture(scope="session")
def ondol(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    directory: Path = tmp_path_factory.mktemp("ondol")
    with OndolProcess(directory / "data") as process:
        yield process


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    """An ondol with a moto server beside it, for tests that need other services of AWS."""
    with OndolProcess(tmp_path_factory.mktemp("door") / "data", {"WITH": "moto"}) as process:
        yield process


@pytest.fixture(scope="session")
def client(ondol: OndolProcess) -> Any:
    return ondol.client()


@pytest.fixture(scope="session")
def moto_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    """One that has a moto server beside it, for tests that leave each other's things alone."""
    with OndolProcess(tmp_path_factory.mktemp("moto-door") / "data", {"WITH": "moto"}) as process:
        yield process


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A function name of the test's own."""
    text: str = request.node.name
    readable = "".join(c if c.isascii() and c.isalnum() else "-" for c in text.removeprefix("test_"))
    return f"{readable[:50]}-{zlib.crc32(request.node.nodeid.encode()):08x}"
