"""`ondol debug`: a debugger attached to an environment stops its code, its time, and nobody else's."""

import concurrent.futures
import contextlib
import json
import queue
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lambda_calls import invoke

from dap_client import DapClient
from inspector_client import InspectorClient, targets
from ondol.cli.client import Client
from ondol.runtimes import catalog
from ondol_process import ONDOL, OndolProcess, create

PYTHON = """
import os
started = "at init"
def h(event, context):
    if event == "spin":
        while True:
            pass
    answer = [event, os.environ.get("ONDOL_DEBUGGER"), context.memory_limit_in_mb]
    return answer
"""
IN_INIT, IN_HANDLER = 3, 9
NODE = """
const started = 'at init';
exports.h = async (event) => {
  if (event === 'spin') for (;;) ;
  return [event, process.env.ONDOL_DEBUGGER ?? null, process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE];
};
"""
IN_NODE_INIT, IN_NODE_HANDLER = 2, 5
NODES = sorted(name for name in catalog.find().runtimes if name.startswith("nodejs"))
NEXT_S = 60


@pytest.fixture(scope="module")
def debugging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    """Its init may take half a second, so that what a debugger stops for longer is past its time."""
    settings = {"PHASES_INIT_S": "0.5", "KEEP_ALIVE_IDLE_S": "0.2"}
    with OndolProcess(tmp_path_factory.mktemp("debugging") / "data", settings) as process:
        create(process.client(), "pass-time", "import time\ndef h(event, context): time.sleep(event)", Timeout=60)
        yield process


class Session:
    """`POST /_ondol/debug` on a thread of its own: what it tells is taken one by one."""

    def __init__(self, process: OndolProcess, function: str, port: int | None = 0) -> None:
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._stream = Client(process.endpoint).debug(function, port)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.first = self._events.get(timeout=NEXT_S)
        self.port: int = self.first.get("port", 0)

    def _read(self) -> None:
        with contextlib.suppress(Exception):  # it is hung up on while it reads
            for event in self._stream:
                self._events.put(event)

    def next(self) -> str:
        event: str = self._events.get(timeout=NEXT_S)["event"]
        return event

    def ending(self) -> dict[str, Any]:
        """What is told last, whatever comes before."""
        while (event := self._events.get(timeout=NEXT_S))["event"] != "ended":
            continue
        return event


@pytest.fixture
def elsewhere() -> Iterator[concurrent.futures.ThreadPoolExecutor]:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        yield pool


def environments(process: OndolProcess, function: str) -> list[str]:
    found = Client(process.endpoint).status()["environments"]
    return [environment["state"] for environment in found if environment["function"] == function]


def test_python_stops_beyond_its_timeout_and_goes_on(
    debugging: OndolProcess, elsewhere: concurrent.futures.ThreadPoolExecutor, name: str
) -> None:
    client = debugging.client()
    create(client, name, PYTHON, Timeout=1)
    session = Session(debugging, name)
    assert session.first == {"event": "listening", "protocol": "dap", "port": session.port}
    # Nobody has attached, and the function works as ever.
    assert invoke(client, name, "before")[1] == ["before", None, "128"]
    with DapClient(session.port) as debugger:
        debugger.attach({"/var/task/m.py": [IN_INIT, IN_HANDLER]})
        assert session.next() == "attached"
        function, line, thread = debugger.stopped_in()
        assert (function, line) == ("<module>", IN_INIT)
        invoke(client, "pass-time", 2)  # beyond the limits of init and invocation
        debugger.ask("continue", threadId=thread)
        assert session.next() == "ready"

        stopped = elsewhere.submit(invoke, client, name, "stopped")
        function, line, thread = debugger.stopped_in()
        assert (function, line) == ("h", IN_HANDLER)
        assert invoke(client, name, "meanwhile")[1] == ["meanwhile", None, "128"]
        invoke(client, "pass-time", 1.5)
        assert not stopped.done()
        debugger.ask("continue", threadId=thread)
        told, result = stopped.result(NEXT_S)
        assert result == ["stopped", None, "128"]
        assert "FunctionError" not in told


@pytest.mark.skipif(not NODES, reason="this machine has no Node: install it with the system's packages")
def test_node_stops_beyond_its_timeout_and_goes_on(
    debugging: OndolProcess, elsewhere: concurrent.futures.ThreadPoolExecutor, name: str
) -> None:
    client = debugging.client()
    create(client, name, {"m.js": NODE}, Runtime=NODES[-1], Timeout=1, MemorySize=512)
    session = Session(debugging, name)
    assert session.first == {"event": "listening", "protocol": "inspector", "port": session.port}
    assert invoke(client, name, "before")[1] == ["before", None, "512"]
    with InspectorClient(session.port) as debugger:
        debugger.attach({"/var/task/m.js": [IN_NODE_INIT, IN_NODE_HANDLER]})
        assert session.next() == "attached"
        assert debugger.stopped_in() == ("", IN_NODE_INIT)
        invoke(client, "pass-time", 2)
        debugger.ask("Debugger.resume")
        assert session.next() == "ready"

        stopped = elsewhere.submit(invoke, client, name, "stopped")
        assert debugger.stopped_in() == ("exports.h", IN_NODE_HANDLER)
        assert invoke(client, name, "meanwhile")[1] == ["meanwhile", None, "512"]
        invoke(client, "pass-time", 1.5)
        assert not stopped.done()
        debugger.ask("Debugger.resume")
        told, result = stopped.result(NEXT_S)
        assert result == ["stopped", None, "512"]
        assert "FunctionError" not in told
