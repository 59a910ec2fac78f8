"""Who looks for a service of the host on the sandbox's own loopback is told the flag that is missing."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from lambda_calls import invoke

from ondol_process import OndolProcess, create

pytestmark = pytest.mark.sandbox

CODE = """
import socket

def h(event, context):
    reached = []
    for host, port, patience in event:
        try:
            socket.create_connection((host, port), patience).close()
            reached.append("connected")
        except OSError as error:
            reached.append(type(error).__name__)
    return reached
"""


@pytest.fixture
def service() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def said(client: Any, function: str, awaited: int) -> list[str]:
    """The lines of ondol's own in the function's log, once there are so many."""
    deadline = time.monotonic() + 10
    while True:
        events = client.filter_log_events(logGroupName=f"/aws/lambda/{function}")["events"]
        found = [event["message"].strip() for event in events if event["message"].startswith("ondol: ")]
        if len(found) >= awaited or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


@pytest.mark.parametrize("patience", [None, 2], ids=["blocking", "not blocking"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_the_line_names_flag_and_port_once(
    ondol: OndolProcess, name: str, service: int, host: str, patience: float | None
) -> None:
    create(ondol.client(), name, CODE, MemorySize=1769)
    refused = [(host, service, patience)] * 3
    assert invoke(ondol.client(), name, refused)[1] == ["ConnectionRefusedError"] * 3
    expected = (
        f"ondol: nothing listens at 127.0.0.1:{service} in the sandbox, but the host does: start ondol with "
        f"--allow-host 127.0.0.1:{service} and connect to host.ondol.internal:{service}"
    )
    assert said(ondol.client("logs"), name, 1) == [expected]
    with socket.create_server(("127.0.0.1", 0)) as second:
        invoke(ondol.client(), name, [*refused, (host, second.getsockname()[1], patience)])
        found = said(ondol.client("logs"), name, 2)
    assert len(found) == 2 and found[0] == expected


def test_nothing_is_said_of_closed_ports_of_ondols_own_and_of_what_is_served_inside(
    ondol: OndolProcess, name: str, service: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        closed = probe.getsockname()[1]
    create(ondol.client(), name, CODE, MemorySize=1769)
    own = int(ondol.endpoint.rpartition(":")[2])
    event = [("127.0.0.1", port, 2) for port in (closed, own, 9001, service)]
    assert invoke(ondol.client(), name, event)[1][2] == "connected"
    [line] = said(ondol.client("logs"), name, 1)
    assert f":{service} " in line


def test_who_asks_for_a_name_is_told_once_how_functions_reach_the_internet(ondol: OndolProcess, name: str) -> None:
    code = """
import socket

def h(event, context):
    failed = []
    for host in event:
        try:
            socket.getaddrinfo(host, 443)
        except socket.gaierror:
            failed.append(host)
    return failed
"""
    create(ondol.client(), name, code, MemorySize=1769)
    event = ["localhost", "example.com", "example.org"]
    assert invoke(ondol.client(), name, event)[1] == event[1:]
    expected = (
        "ondol: no name is known in the sandbox: for functions to reach the internet start ondol with --network nat"
    )
    assert said(ondol.client("logs"), name, 1) == [expected]
    invoke(ondol.client(), name, event)
    assert said(ondol.client("logs"), name, 1) == [expected]
