"""Functions reach what the operator allows of the host, and nothing else of it."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from lambda_calls import invoke

from ondol_process import OndolProcess, create

pytestmark = pytest.mark.sandbox

CODE = """
import socket

def h(event, context):
    try:
        with socket.create_connection((event["host"], event["port"]), 3) as connection:
            connection.sendall(event.get("say", "").encode())
            connection.shutdown(socket.SHUT_WR)
            heard = b""
            while piece := connection.recv(65536):
                heard += piece
            return len(heard) if event.get("count") else heard.decode()
    except OSError as error:
        return type(error).__name__
"""


class Service:
    """Answers each connection with its name and what it was sent, when that is whole."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            heard = b""
            while piece := connection.recv(65536):
                heard += piece
            connection.sendall(b"service says " + heard)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture(scope="module")
def allowed() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.fixture(scope="module")
def secret() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.fixture(scope="module")
def relaying(allowed: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    settings = {"NETWORK_ALLOW_HOSTS": f"127.0.0.1:{allowed.port}"}
    with OndolProcess(tmp_path_factory.mktemp("relaying") / "data", settings) as process:
        yield process


@pytest.fixture(scope="module")
def functions(relaying: OndolProcess) -> Any:
    client = relaying.client()
    create(client, "one", CODE, MemorySize=1769, Timeout=15)
    create(client, "two", CODE, MemorySize=1769, Timeout=15)
    return client


@pytest.mark.parametrize("host", ["host.ondol.internal", "localhost", "127.0.0.1"])
def test_an_allowed_service_is_there_by_each_name(functions: Any, allowed: Service, host: str) -> None:
    event = {"host": host, "port": allowed.port, "say": "hello"}
    assert invoke(functions, "one", event)[1] == "service says hello"
    assert invoke(functions, "two", event)[1] == "service says hello"


def test_much_passes_both_ways(functions: Any, allowed: Service) -> None:
    event = {"host": "host.ondol.internal", "port": allowed.port, "say": "x" * 3_000_000, "count": True}
    assert invoke(functions, "one", event)[1] == len("service says ") + 3_000_000


def test_what_is_not_allowed_is_not_there(functions: Any, secret: Service, relaying: OndolProcess) -> None:
    api = int(relaying.endpoint.rpartition(":")[2])
    for port in (secret.port, api):
        assert invoke(functions, "one", {"host": "127.0.0.1", "port": port})[1] == "ConnectionRefusedError"


def test_one_sandbox_does_not_reach_what_another_has_bound(functions: Any, relaying: OndolProcess) -> None:
    listening = """
import socket, time
listener = socket.create_server(("127.0.0.1", 7777))
def h(event, context):
    return listener.getsockname()[1]
"""
    create(functions, "listens", listening, MemorySize=1769)
    assert invoke(functions, "listens")[1] == 7777
    assert invoke(functions, "one", {"host": "127.0.0.1", "port": 7777})[1] == "ConnectionRefusedError"


def test_a_service_that_is_down_closes_the_connection(tmp_path_factory: pytest.TempPathFactory) -> None:
    probe = socket.create_server(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    with OndolProcess(
        tmp_path_factory.mktemp("down") / "data", {"NETWORK_ALLOW_HOSTS": f"127.0.0.1:{port}"}
    ) as process:
        client = process.client()
        create(client, "f", CODE, MemorySize=1769, Timeout=15)
        assert invoke(client, "f", {"host": "127.0.0.1", "port": port})[1] in {"", "ConnectionResetError"}
        assert json.dumps(process.complaints()) == '""'
