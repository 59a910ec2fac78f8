"""Seeded kills, full disks and crashes while durable functions run, in virtual time.

Each execution ends well, and no step whose checkpoint was answered runs again. A seed is replayed with `-k "SEED"`.
"""

import asyncio
import random

import pytest

from durable_world import (
    CALLER,
    PENDING,
    Answer,
    Crash,
    Invocation,
    World,
    callback,
    chained,
    run,
    step,
    succeeded,
    version,
    wait,
)
from ondol.durable.api import CallbackTimedOut, Ran
from ondol.model.errors import PlatformError

EXECUTIONS = 5
LENGTH = 8
CHILD = "sws"
"""What the execution of a chained invocation does."""


class Campaign:
    """Each function does a chain of things that its execution's name and the seed decide."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.plans = {f"n{n}": [self.chance.choice("sswkcrd") for _ in range(LENGTH)] for n in range(EXECUTIONS)}
        self.done: set[tuple[str, str]] = set()
        self.again: set[tuple[str, str]] = set()
        self.callbacks: set[str] = set()
        self.world = World(self.play)
        self.world.known["fn"] = version(timeout_s=31_000_000)
        self.world.plain = Ran

    async def play(self, it: Invocation) -> Answer:
        name = it.arn.split("/")[-2]
        for number, what in enumerate(self.plans.get(name, CHILD)):
            if not await self.one(it, name, f"{what}{number}", what):
                return PENDING
        return succeeded(f'"{name}"')

    async def one(self, it: Invocation, name: str, id: str, what: str) -> bool:
        """Whether it is over with."""
        await asyncio.sleep(self.chance.random())
        if self.chance.random() < 0.02:
            raise Crash
        if what == "s":
            return await self.step(it, name, id)
        if what == "r":
            return await self.retried(it, id)
        if id not in it.operations:
            updates = {"w": wait(id, self.chance.randrange(1, 60)), "k": callback(id), "c": chained(id, "plain", "7")}
            await it.say(updates.get(what) or chained(id, "fn:1", "8"))
        operation = it.operations[id]
        if what == "k" and operation["Status"] == "STARTED":
            self.callbacks.add(operation["CallbackDetails"]["CallbackId"])
        return operation["Status"] != "STARTED"

    async def step(self, it: Invocation, name: str, id: str) -> bool:
        if it.operations.get(id, {}).get("Status") == "SUCCEEDED":
            return True
        if (name, id) in self.done:
            self.again.add((name, id))
        if id not in it.operations:
            await it.say(step(id, "START"))
        await asyncio.sleep(self.chance.random())
        await it.say(step(id, "SUCCEED", Payload="1"))
        self.done.add((name, id))
        return True

    async def retried(self, it: Invocation, id: str) -> bool:
        stage = it.operations.get(id, {}).get("Status")
        if stage in (None, "STARTED", "READY"):
            attempt = it.operations.get(id, {}).get("StepDetails", {}).get("Attempt", 0)
            if attempt < 2:
                options = {"NextAttemptDelaySeconds": self.chance.randrange(1, 20)}
                await it.say(step(id, "RETRY", Error={"ErrorType": "E"}, StepOptions=options))
                return False
            await it.say(step(id, "SUCCEED"))
            return True
        return stage == "SUCCEEDED"

    async def trouble(self) -> None:
        """Until it is left alone: kills, and disks that are full for a while."""
        for _ in range(12):
            await asyncio.sleep(self.chance.uniform(0, 30))
            if self.chance.random() < 0.3:
                self.world.store.fail_at = self.world.store.writes + 1
                await asyncio.sleep(self.chance.uniform(0, 5))
                self.world.store.fail_at = None
            await self.world.killed_and_started()
            await self.complete_callbacks()

    async def complete_callbacks(self) -> None:
        for id in sorted(self.callbacks):
            try:
                await self.world.service.perform(
                    "SendDurableExecutionCallbackSuccess", CALLER, {"CallbackId": id, "Result": b"1"}
                )
            except CallbackTimedOut:
                self.callbacks.discard(id)
            except PlatformError:
                continue

    async def run(self) -> None:
        await self.world.open()
        executions = [await self.world.start(name=name) for name in self.plans]
        await self.trouble()
        for execution in executions:
            while (shown := await self.world.get(execution))["Status"] == "RUNNING":
                await asyncio.sleep(10)
                await self.complete_callbacks()
            name = execution.split("/")[-2]
            assert (shown["Status"], shown["Result"]) == ("SUCCEEDED", f'"{name}"')
            assert (await self.world.events(execution)).count("ExecutionSucceeded") == 1
            steps = {f"s{number}" for number, what in enumerate(self.plans[name]) if what == "s"}
            assert {(name, id) for id in steps} <= self.done
        assert self.again == set(), "a step runs again whose checkpoint was answered"


@pytest.mark.parametrize("seed", range(40))
def test_campaign(seed: int) -> None:
    async def main() -> None:
        await Campaign(seed).run()

    run(main())
