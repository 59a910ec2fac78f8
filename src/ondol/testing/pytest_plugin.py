"""Fixtures for pytest: `ondol`, one for the whole run, and `ondol_clean`, the same with nothing in it.

`ondol` starts an `ondol up` of its own on a free port, and leaves nothing of it: the runtimes' file systems alone are a
hundred megabytes and more. Where `ONDOL_ENDPOINT` is set it is the one that runs there instead, and `ondol_clean` then
deletes what is in that one.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ondol.testing.server import Ondol

_ENDPOINT = "ONDOL_ENDPOINT"


def pytest_report_header() -> list[str]:
    endpoint = os.environ.get(_ENDPOINT)
    return [f"ondol: {endpoint} (from {_ENDPOINT}; ondol_clean deletes what is in it)"] if endpoint else []


@pytest.fixture(scope="session")
def ondol() -> "Iterator[Ondol]":
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
        with tempfile.TemporaryDirectory(prefix="ondol-") as directory, running(Path(directory)) as started:
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
