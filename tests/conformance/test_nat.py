"""Functions reach the internet, by name, and nothing else that is not theirs; on a host that the tests play."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lambda_calls import invoke

import networks
from networks import HOST, LONG_NAME, METADATA, NAME, PORT, PRIVATE, SERVICE, Internet
from ondol_process import ONDOL, OndolProcess, create

pytestmark = pytest.mark.root

CODE = """
import socket

def h(event, context):
    return globals()[event["do"]](event)

def reach(event):
    try:
        connection = socket.create_connection((event["host"], event["port"]), 1)
    except OSError as error:
        return type(error).__name__
    with connection:
        return connection.recv(100).decode()

def resolve(event):
    try:
        found = socket.getaddrinfo(event["name"], 80, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return error.args[0]
    return [address[0] for *_, address in found]

def listen(event):
    global listener
    listener = socket.create_server(("0.0.0.0", 7777))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("8.8.8.8", 9))
        return probe.getsockname()[0]
"""


@pytest.fixture(scope="module")
def internet() -> Iterator[Internet]:
    with networks.played() as internet:
        yield internet


@pytest.fixture(scope="module")
def process(internet: Internet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    with OndolProcess(tmp_path_factory.mktemp("nat") / "data", {"NETWORK_MODE": "nat"}) as process:
        yield process


@pytest.fixture(scope="module")
def call(process: OndolProcess) -> Callable[..., Any]:
    client = process.client()
    create(client, "f", CODE, MemorySize=1769, Timeout=15)
    return lambda do, **event: invoke(client, "f", {"do": do, **event})[1]


def test_the_internet_is_reached_by_name_and_sees_the_host(call: Callable[..., Any]) -> None:
    assert call("reach", host=NAME, port=PORT) == f"hello {HOST}"
    assert call("reach", host=SERVICE, port=PORT) == f"hello {HOST}"


def test_names_are_answered_also_at_length_and_unknown_ones_at_once(
    call: Callable[..., Any], process: OndolProcess
) -> None:
    assert call("resolve", name=NAME) == [SERVICE]
    assert set(call("resolve", name=LONG_NAME)) == {SERVICE}
    assert call("resolve", name="unknown.played.test") == socket.EAI_NONAME
    assert call("resolve", name="localhost") != socket.EAI_NONAME
    logged = process.client("logs").filter_log_events(logGroupName="/aws/lambda/f")["events"]
    assert not [event["message"] for event in logged if event["message"].startswith("ondol: ")]


@pytest.mark.parametrize("address", [METADATA, *PRIVATE])
def test_closed_networks_answer_the_host_and_not_functions(call: Callable[..., Any], address: str) -> None:
    with socket.create_connection((address, PORT), 5) as connection:
        assert connection.recv(100).startswith(b"hello")
    assert call("reach", host=address, port=PORT) in {"OSError", "TimeoutError"}


def test_the_hosts_own_addresses_are_closed(call: Callable[..., Any]) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        socket.create_connection((HOST, port), 5).close()
        assert call("reach", host=HOST, port=port) == "TimeoutError"


def test_nobody_reaches_into_a_sandbox(process: OndolProcess, internet: Internet, call: Callable[..., Any]) -> None:
    client = process.client()
    create(client, "listens", CODE, MemorySize=1769, Timeout=15)
    address = invoke(client, "listens", {"do": "listen"})[1]
    assert call("reach", host=address, port=7777) in {"OSError", "TimeoutError"}
    assert internet.connect(address, 7777) == "TimeoutError"


def remains() -> list[str]:
    """What of the mode nat is there on the played host."""
    found = [name for _, name in socket.if_nameindex() if name.startswith("ondol-")]
    found += [f"route {line.split()[0]}" for line in routes() if line.startswith("ondol-")]
    found += ["table"] if b"ondol-" in networks.tables() else []
    return found


def routes() -> list[str]:
    return Path("/proc/thread-self/net/route").read_text().splitlines()


def forwarding() -> str:
    return Path("/proc/sys/net/ipv4/ip_forward").read_text().strip()


def wait_until_nothing_remains() -> list[str]:
    deadline = time.monotonic() + 20
    while (left := remains()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def test_the_host_is_left_as_it_was(tmp_path: Path) -> None:
    with networks.played():
        assert (remains(), forwarding()) == ([], "0")
        first = OndolProcess(tmp_path / "first", {"NETWORK_MODE": "nat"}).start()
        assert "table" in remains()
        assert forwarding() == "1"
        with OndolProcess(tmp_path / "second", {"NETWORK_MODE": "nat"}):
            first.stop()
            assert forwarding() == "1", "the other one needs it still"
        assert wait_until_nothing_remains() == []
        assert forwarding() == "0"


def test_a_killed_one_leaves_nothing_and_the_next_one_knows_what_forwarding_was(tmp_path: Path) -> None:
    with networks.played():
        ondol = OndolProcess(tmp_path / "data", {"NETWORK_MODE": "nat"}).start()
        ondol.kill()
        assert wait_until_nothing_remains() == []
        ondol.start()
        assert ondol.process is not None
        spawner = spawner_of(ondol.process.pid)
        os.kill(spawner, signal.SIGKILL)
        ondol.kill()
        assert wait_until_nothing_remains() == []
        with ondol:
            assert forwarding() == "1"
        assert forwarding() == "0"


def test_a_machine_that_cannot_have_it_is_told_why_in_one_sentence(tmp_path: Path) -> None:
    # As in a container that is not privileged.
    script = 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"'
    command = ["unshare", "--net", "--mount", "sh", "-c", script, "-", ONDOL]

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *arguments], check=False, capture_output=True, text=True, timeout=60)

    ended = run("up", "--network", "nat", "--port", "0", "--data-dir", tmp_path / "data")
    assert ended.returncode == 1
    assert "the network mode nat needs power over the network and a writable /proc/sys/net" in " ".join(
        ended.stderr.split()
    )
    assert "Traceback" not in ended.stderr
    report = json.loads(run("doctor", "--json").stdout)
    assert report["internet"]["possible"] is False and "/proc/sys/net" in report["internet"]["needs"]


def test_a_firewall_that_may_be_in_the_way_is_named(tmp_path: Path) -> None:
    with networks.played():
        firewall = networks.drop_forwarded("guard")
        with OndolProcess(tmp_path / "data", {"NETWORK_MODE": "nat"}) as process:
            said = process.said()
        firewall.close()
        assert "drops what it forwards (guard forward)" in said and "the interface ondol-" in said
        with OndolProcess(tmp_path / "data", {"NETWORK_MODE": "nat"}) as process:
            assert process.said().count("drops what it forwards") == 1, "the first one's"


def spawner_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    [spawner] = [int(child) for child in children if "ondol-spawner" in Path(f"/proc/{child}/comm").read_text()]
    return spawner
