"""kill -9 at seeded moments while events are accepted, run and retried: the effect of every accepted one is seen.

An effect is a line that the function sends to the test itself. A single round is replayed with `-k "round and SEED"`.
"""

import random
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError

from ondol_process import OndolProcess, create

ROUNDS = 12
PATIENCE_S = 60.0

CODE = """
import os, socket

def h(event, context):
    with socket.create_connection(("host.ondol.internal", int(os.environ["PORT"])), 10) as connection:
        connection.sendall(f"{event}\\n".encode())
        if connection.recv(16) != b"well done\\n":
            raise RuntimeError("to be tried again")
"""


class Effects:
    """What functions have told: each number as often as it came. Of some, the first attempt is made to fail."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        effects = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                line = self.rfile.readline()
                if line.strip():
                    number = int(line)
                    times = effects.seen[number] = effects.seen.get(number, 0) + 1
                    self.wfile.write(b"again\n" if number % 5 == 0 and times == 1 else b"well done\n")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._serving = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._serving.start()

    def close(self) -> None:
        self._server.shutdown()
        self._serving.join()
        self._server.server_close()

    def lacking(self, accepted: list[int]) -> list[int]:
        """Accepted events whose effect is not there; twice where the first attempt failed."""
        return [number for number in accepted if self.seen.get(number, 0) < (2 if number % 5 == 0 else 1)]


class Survivor:
    def __init__(self, directory: Path) -> None:
        self.effects = Effects()
        settings = {
            "NETWORK_ALLOW_HOSTS": f"127.0.0.1:{self.effects.port}",
            "EVENTS_RETRY_S": "0.05",
            "EVENTS_BACKOFF_S": "0.05",
            "WORKER_SLOTS_AHEAD": "2",
        }
        self.ondol = OndolProcess(directory / "data", settings)
        self.accepted: list[int] = []
        self._numbers = iter(range(1, 10**9))
        self._drawing = threading.Lock()

    def send(self, until: threading.Event) -> None:
        """Send events until the connection breaks; one without an answer may be there or not."""
        client = self.ondol.client()
        while not until.is_set():
            with self._drawing:
                number = next(self._numbers)
            try:
                client.invoke(FunctionName="told", InvocationType="Event", Payload=b"%d" % number)
            except (BotoCoreError, ConnectionError):
                return
            self.accepted.append(number)


@pytest.fixture(scope="module")
def survivor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Survivor]:
    survivor = Survivor(tmp_path_factory.mktemp("events"))
    with survivor.ondol as ondol:
        port = str(survivor.effects.port)
        create(ondol.client(), "told", CODE, MemorySize=1769, Timeout=30, Environment={"Variables": {"PORT": port}})
    yield survivor
    if survivor.ondol.process is not None:
        survivor.ondol.stop()
    survivor.effects.close()


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_round(survivor: Survivor, seed: int) -> None:
    chance = random.Random(seed)
    survivor.ondol.start()
    until = threading.Event()
    senders = [threading.Thread(target=survivor.send, args=(until,)) for _ in range(4)]
    for sender in senders:
        sender.start()
    time.sleep(chance.uniform(0.02, 0.6))  # the seeded moment
    survivor.ondol.kill()
    until.set()
    for sender in senders:
        sender.join()


def test_every_accepted_event_has_had_its_effect(survivor: Survivor) -> None:
    assert len(survivor.accepted) > 10 * ROUNDS, "hardly anything was accepted: the test tests too little"
    survivor.ondol.start()
    deadline = time.monotonic() + PATIENCE_S
    while survivor.effects.lacking(survivor.accepted) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert survivor.effects.lacking(survivor.accepted) == []
    assert survivor.ondol.stop() == 0
