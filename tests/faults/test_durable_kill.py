"""kill -9 between the steps of durable executions and while they wait: each ends well, and nothing answered runs again.

Each step tells the test its number before it is over. The functions are written with AWS's own SDK.
"""

import json
import random
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError

from durable_functions import sdk_layer
from ondol_process import OndolProcess, create

pytestmark = pytest.mark.sandbox

KILLS = 4
EXECUTIONS = 3
STEPS = 10
PATIENCE_S = 90.0

CODE = """
import os, socket
from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import Duration

def tell(line):
    with socket.create_connection(("host.ondol.internal", int(os.environ["PORT"])), 10) as connection:
        connection.sendall(f"{line}\\n".encode())
        return connection.recv(16).decode()

@durable_execution
def h(event, context: DurableContext):
    said = []
    for number in range(event["steps"]):
        said.append(context.step(lambda _: tell(f"{event['name']} {number}"), name=f"step {number}"))
        if number % 2:
            context.wait(Duration.from_seconds(1), name=f"wait {number}")
    return said
"""


class Witness:
    """What steps have told, and how often."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        witness = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                line = self.rfile.readline().decode().strip()
                if line:
                    witness.seen[line] += 1
                    self.wfile.write(b"heard")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._serving = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._serving.start()

    def close(self) -> None:
        self._server.shutdown()
        self._serving.join()
        self._server.server_close()


@pytest.fixture
def witness() -> Iterator[Witness]:
    witness = Witness()
    yield witness
    witness.close()


def test_kills(witness: Witness, tmp_path: Path) -> None:
    chance = random.Random(5)
    settings = {"NETWORK_ALLOW_HOSTS": f"127.0.0.1:{witness.port}", "DURABLE_RETRY_S": "0.05"}
    ondol = OndolProcess(tmp_path / "data", settings)
    names = [f"n{number}" for number in range(EXECUTIONS)]
    with ondol:
        client = ondol.client()
        create(
            client,
            "told",
            CODE,
            Layers=[sdk_layer(client)],
            MemorySize=1769,
            Timeout=30,
            DurableConfig={"ExecutionTimeout": 900},
            Environment={"Variables": {"PORT": str(witness.port)}},
        )
        for name in names:
            begin(client, name)
        waiter = threading.Thread(target=wait_for, args=(ondol, names[0]))
        waiter.start()
        for _ in range(KILLS):
            # Killed in the middle of things: when something is over that was not at the last kill, and a moment later.
            before = sum(witness.seen.values())
            until(lambda before=before: sum(witness.seen.values()) > before)
            time.sleep(chance.uniform(0, 0.4))
            answered = succeeded_steps(ondol.client())
            ondol.kill()
            told = Counter(witness.seen)
            ondol.start()
            until(lambda: all_alive(ondol.client(), names))
            for line in answered:
                assert witness.seen[line] == told[line], f"step {line} was answered for, and runs again"
        waiter.join()
        for name in names:
            execution = begin(ondol.client(), name)
            until(lambda it=execution: get(ondol.client(), it)["Status"] != "RUNNING")
            shown = get(ondol.client(), execution)
            assert (shown["Status"], json.loads(shown["Result"])) == ("SUCCEEDED", ["heard"] * STEPS), shown
        for name in names:
            told_of = [witness.seen[f"{name} {number}"] for number in range(STEPS)]
            assert all(told_of), told_of
            # A step that a kill interrupted runs once more; all the others ran once.
            assert sum(told_of) <= STEPS + KILLS, told_of


def begin(client: Any, name: str) -> str:
    """The one execution of this name."""
    payload = json.dumps({"name": name, "steps": STEPS})
    told = client.invoke(
        FunctionName="told:$LATEST", InvocationType="Event", DurableExecutionName=name, Payload=payload
    )
    told["Payload"].read()
    execution: str = told["DurableExecutionArn"]
    return execution


def wait_for(ondol: OndolProcess, name: str) -> None:
    """As a client that waits, and is cut off."""
    payload = json.dumps({"name": name, "steps": STEPS})
    try:
        told = ondol.client().invoke(FunctionName="told:$LATEST", DurableExecutionName=name, Payload=payload)
        told["Payload"].read()
    except (BotoCoreError, ConnectionError):
        return


def get(client: Any, execution: str) -> dict[str, Any]:
    shown: dict[str, Any] = client.get_durable_execution(DurableExecutionArn=execution)
    return shown


def all_alive(client: Any, names: list[str]) -> bool:
    listed = client.list_durable_executions_by_function(FunctionName="told")["DurableExecutions"]
    assert sorted(each["DurableExecutionName"] for each in listed) == sorted(names)
    return all(each["Status"] in ("RUNNING", "SUCCEEDED") for each in listed)


def succeeded_steps(client: Any) -> list[str]:
    """Steps that are in a history as succeeded, as they were told of."""
    lines = []
    for each in client.list_durable_executions_by_function(FunctionName="told")["DurableExecutions"]:
        history = client.get_durable_execution_history(DurableExecutionArn=each["DurableExecutionArn"])["Events"]
        for event in history:
            if event["EventType"] == "StepSucceeded":
                lines.append(f"{each['DurableExecutionName']} {event['Name'].partition(' ')[2]}")
    return lines


def until(found: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not found():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
