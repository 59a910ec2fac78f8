"""Fixtures for pytest: `ondol`, one for the whole run, and `ondol_clean`, the same with nothing in it.

`ondol` starts an `ondol up` of its own on a free port with a temporary directory. Where `ONDOL_ENDPOINT` is set it is
the one that runs there instead, and `ondol_clean` then deletes what is in that one.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ondol.testing.server import Ondol

_ENDPOINT = "ONDOL_ENDPOINT"


def pytest_report_header() -> list[str]:
    endpoint = os.environ.get(_ENDPOINT)
    return [f"ondol: {endpoint} (from {_ENDPOINT}; ondol_clean deletes what is in it)"] if endpoint else []


@pytest.fixture(scope="session")
def ondol(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Ondol]":
    """An ondol for the whole run; tests that need one are skipped where functions cannot run."""
    from ondol.cli.failure import CommandFailed  # noqa: PLC0415 - most runs that load the plugin need none of this
    from ondol.testing.server import CannotRunHere, Ondol, StartFailed, running  # noqa: PLC0415

    endpoint = os.environ.get(_ENDPOINT)
    if endpoint:
        try:
            found = Ondol(endpoint)
            found.status()
        except CommandFailed as failed:
            pytest.fail(f"{_ENDPOINT} is set to {endpoint}: {failed}", pytrace=False)
        yield found
        return
    try:
        with running(tmp_path_factory.mktemp("ondol")) as started:
            yield started
    except CannotRunHere as reason:
        pytest.skip(f"ondol cannot run functions here: {reason}")
    except StartFailed as reason:
        pytest.fail(f"ondol did not start: {reason}", pytrace=False)


@pytest.fixture
def ondol_clean(ondol: "Ondol") -> "Ondol":
    """The run's ondol without functions and logs, whatever tests before left in it."""
    ondol.reset()
    return ondol
