"""Who runs the tests, what is left out for that, and how hypothesis runs."""

import os

import pytest
from hypothesis import settings

# How long an example takes is the machine's doing, and says nothing of whether it holds.
settings.register_profile("ondol", deadline=None)
settings.load_profile("ondol")

_left_out: list[pytest.Item] = []


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """An ordinary user runs all but what only root can do."""
    if os.geteuid() != 0:
        _left_out.extend(item for item in items if item.get_closest_marker("root"))
        config.hook.pytest_deselected(items=_left_out)
        items[:] = [item for item in items if item not in _left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _left_out:
        terminalreporter.write_line(f"{len(_left_out)} tests need root and were left out: sudo make test")
