"""Whatever fails and whenever ondol dies: no message of a queue is lost, and groups keep their order."""

import asyncio
import random
from collections import defaultdict
from typing import Any

import msgspec
import pytest

from ondol.aws.remote import RemoteUnavailable
from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, Region
from ondol.pollers.api import Failed, InvokedFunction, Mapping, NotRun, QueueSettings, Ran
from ondol.pollers.queue import Message
from ondol.pollers.queue_poller import QueuePoller
from ondol.simulator.virtual_time import VirtualClock, VirtualTimeLoop, run

COUNT = 150
GROUPS = 6
VISIBILITY_S = 30.0
WAIT_S = 2.0
DAY_S = 86_400
MOST = 7
"""Batches at once."""


class Function:
    """Takes its time, fails, is throttled; `taken` is what it has taken."""

    def __init__(self, chance: random.Random, fifo: bool) -> None:
        self._chance = chance
        self._fifo = fifo
        self.taken: list[int] = []
        self.at_work: list[int] = []
        self.running = 0

    async def describe(self, function: FunctionKey, qualifier: str | None) -> InvokedFunction | None:
        return InvokedFunction("role") if self._chance.random() > 0.02 else None

    async def invoke(self, function: FunctionKey, qualifier: str | None, payload: bytes) -> Ran | Failed | NotRun:
        records = msgspec.json.decode(payload)["Records"]
        if self._chance.random() < 0.1:
            return NotRun("throttled")
        numbers = [record["number"] for record in records]
        self._begin(numbers)
        try:
            await asyncio.sleep(self._chance.expovariate(2))
        finally:
            self.running -= 1
            self.at_work = [number for number in self.at_work if number not in numbers]
        if self._chance.random() < 0.15:
            return Failed("id", "$LATEST")
        # As AWS advises for FIFO queues: nothing that follows a failure is taken.
        first_bad = self._chance.randrange(len(records)) if self._chance.random() < 0.2 else len(records)
        self.taken += [record["number"] for record in records[:first_bad]]
        failures = [{"itemIdentifier": str(record["number"])} for record in records[first_bad:]]
        return Ran(msgspec.json.encode({"batchItemFailures": failures}))

    def _begin(self, numbers: list[int]) -> None:
        self.running += 1
        assert self.running <= MOST, "more batches at once than the mapping allows"
        if self._fifo:
            assert not set(map(group_of, numbers)) & set(map(group_of, self.at_work)), "a group overtakes itself"
        self.at_work += numbers


class FlakyQueue:
    """A queue whose server fails at times, and hands out messages of a group too early while it is at work."""

    def __init__(self, chance: random.Random, function: Function, fifo: bool) -> None:
        self._chance = chance
        self._function = function
        self._fifo = fifo
        self._left = dict.fromkeys(range(COUNT), 0.0)
        """Number of each message, and when it is visible again."""

    def __len__(self) -> int:
        return len(self._left)

    async def receive(self, most: int) -> list[Message]:
        await self._maybe()
        now = asyncio.get_running_loop().time()
        found: list[int] = []
        closed: set[str] = set()
        for number, visible in self._left.items():
            group = group_of(number)
            if visible > now:
                early = number in self._function.at_work and self._chance.random() < 0.3
                closed |= set() if early or not self._fifo else {group}
            elif group not in closed and len(found) < most:
                found.append(number)
        if not found:
            await asyncio.sleep(WAIT_S)
        for number in found:
            self._left[number] = now + VISIBILITY_S
        self._fail_at_times()
        return [message_of(number) for number in found]

    async def delete(self, messages: list[Message]) -> None:
        if messages:
            await self._maybe()
        for message in messages:
            self._left.pop(int(message.id), None)

    async def put_back(self, messages: list[Message]) -> None:
        for message in messages:
            if int(message.id) in self._left:
                self._left[int(message.id)] = 0.0

    async def _maybe(self) -> None:
        await asyncio.sleep(self._chance.random() / 20)
        self._fail_at_times()

    def _fail_at_times(self) -> None:
        if self._chance.random() < 0.03:
            raise RemoteUnavailable("the network is down")


def group_of(number: int) -> str:
    return f"group-{number % GROUPS}"


def message_of(number: int) -> Message:
    record: dict[str, Any] = {"number": number, "group": group_of(number), "body": "text"}
    return Message(str(number), "receipt", group_of(number), record, msgspec.json.encode(record))


async def poll(seed: int, fifo: bool, deaths: bool) -> Function:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    chance = random.Random(seed)
    key = FunctionKey(AccountId("000000000000"), Region("us-east-1"), "fn")
    window_s = 0 if fifo else chance.choice([0, 3])
    mapping = Mapping(
        id="id",
        account=key.account,
        region=key.region,
        function=key,
        source="arn:aws:sqs:us-east-1:000000000000:q",
        batch_size=chance.choice([1, 10] if not window_s else [25]),
        window_s=window_s,
        partial=True,
        queue=QueueSettings(maximum_concurrency=MOST),
    )
    function = Function(chance, fifo)
    queue: Any = FlakyQueue(chance, function, fifo)
    while queue:
        assert loop.time() < DAY_S, "a message was lost"
        poller = QueuePoller(mapping, queue, fifo, function, VirtualClock(loop))
        await poller.start()
        await asyncio.sleep(chance.uniform(5, 120))
        if deaths and chance.random() < 0.5:
            await die()
        else:
            await poller.stop()
            assert function.running == 0
    return function


async def die() -> None:
    """Nothing that goes on goes any further."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@pytest.mark.parametrize("seed", range(30))
def test_every_message_is_taken(seed: int) -> None:
    function = run(poll(seed, fifo=False, deaths=True))
    assert set(function.taken) == set(range(COUNT))


@pytest.mark.parametrize("seed", range(30))
def test_groups_keep_their_order(seed: int) -> None:
    function = run(poll(seed, fifo=True, deaths=False))
    order: dict[str, list[int]] = defaultdict(list)
    for number in dict.fromkeys(function.taken):
        order[group_of(number)].append(number)
    assert all(numbers == sorted(numbers) for numbers in order.values())
    assert set(function.taken) == set(range(COUNT))
