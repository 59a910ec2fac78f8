"""Whatever goes wrong on a site, what was promised holds: limits, one answer each, one version each, and no leaks."""

import pytest
from faulty_site import check

from ondol.model.errors import OndolError

SEEDS = range(60)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_promised_holds(seed: int) -> None:
    try:
        check(seed)
    except (AssertionError, OndolError, LookupError) as error:
        command = f".venv/bin/python tests/simulation/faulty_site.py {seed}"
        raise AssertionError(f"{error}\nreplay with: {command}") from error
