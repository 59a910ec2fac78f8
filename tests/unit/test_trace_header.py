"""Which tracing header reaches a function."""

import pytest

from ondol.aws.tracing import trace_header
from ondol.model.ids import RequestId

REQUEST = RequestId("8476a536-e9f4-41e8-9739-2dfe598c3fcd")
SECOND = 0x5BEF4DE7
OWN = "Root=1-5bef4de7-8476a536e9f441e897392dfe"
GIVEN = "Root=1-58406520-a006649127e371903a2de979"


@pytest.mark.parametrize(
    ("given", "traced", "header"),
    [
        (None, False, OWN),
        (None, True, f"{OWN};Parent=97392dfe598c3fcd;Sampled=1"),
        (GIVEN, False, GIVEN),
        (GIVEN, True, f"{GIVEN};Parent=97392dfe598c3fcd;Sampled=1"),
        (f"{GIVEN};Parent=4c721bf33e3caf8f;Sampled=1", False, f"{GIVEN};Parent=4c721bf33e3caf8f;Sampled=1"),
        (f"{GIVEN};Parent=4c721bf33e3caf8f;Sampled=0", True, f"{GIVEN};Parent=4c721bf33e3caf8f;Sampled=0"),
    ],
)
def test_the_header(given: str | None, traced: bool, header: str) -> None:
    assert trace_header(given, traced, REQUEST, SECOND) == header
