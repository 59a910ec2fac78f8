"""The sandbox contract's drivers."""

import sys
from pathlib import Path

import pytest
from driver_bench import Bench

from ondol.model.runtime import Runtime
from ondol.runtimes import catalog


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data directory for all tests: base roots are made once."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    return catalog.find().resolve(f"python3.{sys.version_info[1]}", nearest=True)


@pytest.fixture(params=["simulated", pytest.param("jail", marks=pytest.mark.sandbox)])
def bench(request: pytest.FixtureRequest, runtime: Runtime, shared: Path, tmp_path: Path) -> Bench:
    return Bench(request.param, runtime, shared, tmp_path)
