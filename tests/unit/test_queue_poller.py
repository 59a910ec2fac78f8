"""The poller of a queue with a queue and a function of memory's, in time that stands still."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from control_world import LoopClock
from virtual_loop import run

from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, Region
from ondol.pollers.api import Failed, InvokedFunction, Mapping, NotRun, QueueSettings, Ran
from ondol.pollers.queue import Message
from ondol.pollers.queue_poller import QueuePoller

ACCOUNT, REGION = AccountId("000000000000"), Region("us-east-1")


class Queue:
    """With one message, which is received once, unless it is put back."""

    def __init__(self, visibility_s: int) -> None:
        self._visibility_s = visibility_s
        self._there = [Message("1", "receipt", "", {"body": ""}, b"{}")]
        self.put_back_at: list[float] = []
        self.deleted = asyncio.Event()

    async def visibility_s(self) -> int:
        return self._visibility_s

    async def receive(self, most: int) -> list[Message]:
        received, self._there = self._there, []
        if not received:
            await asyncio.sleep(2)
        return received

    async def delete(self, messages: Sequence[Message]) -> None:
        if messages:
            self.deleted.set()

    async def put_back(self, messages: Sequence[Message]) -> None:
        if messages:
            self.put_back_at.append(asyncio.get_running_loop().time())
            self._there += messages


class Function:
    """Throttled for so long."""

    def __init__(self, throttled_s: float) -> None:
        self._throttled_s = throttled_s

    async def describe(self, function: FunctionKey, qualifier: str | None) -> InvokedFunction | None:
        return InvokedFunction("role")

    async def invoke(self, function: FunctionKey, qualifier: str | None, payload: bytes) -> Ran | Failed | NotRun:
        return NotRun("Rate Exceeded.") if asyncio.get_running_loop().time() < self._throttled_s else Ran(b"null")


class HangingQueue(Queue):
    async def receive(self, most: int) -> list[Message]:
        await asyncio.Event().wait()
        return []


def poller_of(queue: Any, function: Function) -> QueuePoller:
    key = FunctionKey(ACCOUNT, REGION, "fn")
    mapping = Mapping("id", ACCOUNT, REGION, key, "arn:aws:sqs:us-east-1:0:q", 10, queue=QueueSettings())
    return QueuePoller(mapping, queue, False, function, LoopClock())


@pytest.mark.parametrize(("visibility_s", "throttled_s", "times"), [(100, 40, 0), (100, 70, 1), (10, 8, 1)])
def test_a_throttled_batch_waits_while_its_messages_are_hidden(
    visibility_s: int, throttled_s: float, times: int
) -> None:
    async def body() -> None:
        queue = Queue(visibility_s)
        poller = poller_of(queue, Function(throttled_s))
        await poller.start()
        async with asyncio.timeout(1_000):
            await queue.deleted.wait()
        assert asyncio.get_running_loop().time() < throttled_s + 6
        assert len(queue.put_back_at) == times
        assert all(at >= visibility_s / 2 for at in queue.put_back_at)
        await poller.stop()

    run(body())


def test_a_mapping_stops_though_its_queue_does_not_answer() -> None:
    async def body() -> None:
        poller = poller_of(HangingQueue(30), Function(0))
        await poller.start()
        await asyncio.sleep(1)
        async with asyncio.timeout(5):
            await poller.stop()

    run(body())
