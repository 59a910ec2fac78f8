"""kill -9 at seeded moments: what was acknowledged is there afterwards, nothing is half made, and nothing is left over.

The seeds are fixed; a failure names its round, and a single round is replayed with `-k "round and SEED"`.
"""

import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from remains import everybody, in_use, namespaces, now_ticks, wait_until_gone

from ondol_process import ROLE, RUNTIME, OndolProcess, package
from processes import descendants

ROUNDS = 50
NAMES = ("a", "b", "c")
PATIENT = {"Delay": 0.02, "MaxAttempts": 1_000}


def code(number: int) -> bytes:
    return package({"m.py": f"def h(event, context): return {number}"})


class Client:
    """Creates, updates, publishes, invokes, and remembers what was acknowledged and what was only asked for."""

    def __init__(self) -> None:
        self.number = 0
        self.current: dict[str, set[int]] = {}
        """What a function may run: what was acknowledged last, and whatever was asked for since."""

        self.published: dict[str, dict[str, int]] = {}
        self.wrong: list[str] = []

    def work(self, ondol: OndolProcess, random: random.Random, until: threading.Event) -> None:
        client = ondol.client()
        while not until.is_set():
            try:
                self.step(client, random)
            except (BotoCoreError, ConnectionError):
                return
            except ClientError as error:
                if error.response["Error"]["Code"] not in {"ResourceConflictException", "ResourceNotFoundException"}:
                    raise

    def step(self, client: Any, random: random.Random) -> None:
        name = random.choice(NAMES)
        if name not in self.current or random.random() < 0.1:
            self.create(client, name)
        elif random.random() < 0.4:
            self.update(client, name)
        elif random.random() < 0.5:
            self.publish(client, name)
        else:
            answer = json.loads(client.invoke(FunctionName=name)["Payload"].read())
            if answer not in self.current[name]:
                self.wrong.append(f"{name} ran {answer}, which is none of {self.current[name]}")

    def create(self, client: Any, name: str) -> None:
        fresh = name not in self.current
        self.number += 1
        if fresh:
            self.current[name] = {self.number}
        try:
            client.create_function(
                FunctionName=name, Runtime=RUNTIME, Role=ROLE, Handler="m.h", Code={"ZipFile": code(self.number)}
            )
        except (BotoCoreError, ConnectionError):
            if fresh:
                self.current[name].add(0)  # 0: it may not be there at all
            raise
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=PATIENT)

    def update(self, client: Any, name: str) -> None:
        self.number += 1
        self.current[name].add(self.number)
        client.update_function_code(FunctionName=name, ZipFile=code(self.number))
        waiter = client.get_waiter("function_updated_v2")
        waiter.wait(FunctionName=name, WaiterConfig=PATIENT)
        self.current[name] = {self.number}

    def publish(self, client: Any, name: str) -> None:
        if len(self.current[name]) == 1:
            [number] = self.current[name]
            version = client.publish_version(FunctionName=name)["Version"]
            self.published.setdefault(name, {})[version] = number

    def check(self, ondol: OndolProcess) -> None:
        """After a restart: everything acknowledged is there and runs."""
        assert not self.wrong, self.wrong
        client = ondol.client()
        there = {function["FunctionName"] for function in client.list_functions()["Functions"]}
        for name, numbers in list(self.current.items()):
            if name not in there:
                assert 0 in numbers, f"{name} was acknowledged and is gone"
                del self.current[name]
                continue
            client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=PATIENT)
            client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=PATIENT)
            runs = json.loads(client.invoke(FunctionName=name)["Payload"].read())
            assert runs in numbers - {0}
            self.current[name] = {runs}
            for version, number in self.published.get(name, {}).items():
                answer = client.invoke(FunctionName=name, Qualifier=version)
                assert json.loads(answer["Payload"].read()) == number


@pytest.fixture(scope="module")
def survivor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OndolProcess, Client]]:
    data_dir: Path = tmp_path_factory.mktemp("kill") / "data"
    ondol = OndolProcess(data_dir, {"WORKER_SLOTS_AHEAD": "2"})
    yield ondol, Client()
    if ondol.process is not None:
        ondol.stop()


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_round(survivor: tuple[OndolProcess, Client], seed: int) -> None:
    ondol, client = survivor
    chance = random.Random(seed)
    ondol.start()
    client.check(ondol)
    until = threading.Event()
    working = threading.Thread(target=client.work, args=(ondol, chance, until))
    working.start()
    time.sleep(chance.uniform(0.0, 0.5))  # the seeded moment
    assert ondol.process is not None
    # Whoever started before this is known, as ondol's or as a stranger's: neighbours start processes all the while.
    looked_at = now_ticks()
    present = everybody()
    processes = descendants(ondol.process.pid)
    strangers = present - processes - {ondol.process.pid}
    spaces = namespaces(processes)
    ondol.kill()
    until.set()
    working.join()
    assert wait_until_gone(ondol.data_dir, processes) == []
    assert in_use(spaces, looked_at, strangers) == set()


def test_everything_is_there_at_the_end(survivor: tuple[OndolProcess, Client]) -> None:
    ondol, client = survivor
    ondol.start()
    client.check(ondol)
    assert client.published, "the rounds published nothing: the test tests too little"
    assert ondol.stop() == 0
