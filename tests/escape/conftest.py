"""The jail in which the code of these tests is held."""

import sys
from collections.abc import Iterator

import pytest
from prison import Prison

from ondol.model.runtime import Runtime
from ondol.runtimes import catalog


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    return catalog.find().resolve(f"python3.{sys.version_info[1]}", nearest=True)


@pytest.fixture(scope="session")
def prison(runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prison]:
    prison = Prison(tmp_path_factory.mktemp("prison"), runtime)
    yield prison
    prison.close()
