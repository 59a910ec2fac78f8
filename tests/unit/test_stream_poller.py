"""The poller of a stream with a stream, a function and a store of memory's, in time that stands still."""

import asyncio
from typing import Any

import pytest
from control_world import LoopClock
from virtual_loop import run

from ondol.aws.remote import RemoteError
from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, Region
from ondol.model.time import WallTime
from ondol.pollers.api import Failed, InvokedFunction, Mapping, NotRun, Ran, StreamSettings
from ondol.pollers.checkpoints import Checkpoints
from ondol.pollers.destinations import Destinations
from ondol.pollers.lane import StreamRecord
from ondol.pollers.shard_reader import StreamParts
from ondol.pollers.shards import Position, PositionKind, Shard
from ondol.pollers.stream_poller import StreamPoller
from ondol.pollers.streams import Page
from ondol.store.memory import MemoryStore

ACCOUNT, REGION = AccountId("000000000000"), Region("us-east-1")


class Stream:
    """One shard, whose records are numbered from 1, as servers for development have it."""

    def __init__(self) -> None:
        self.made = 0
        self.hangs: str | None = None
        self._records: list[str] | None = None

    def make(self, *records: str) -> None:
        self.made += 1
        self._records = list(records)

    def put(self, *records: str) -> None:
        self._there().extend(records)

    def delete(self) -> None:
        self._records = None

    async def created(self) -> WallTime | None:
        await self._answers("created")
        return WallTime(self.made)

    async def shards(self) -> list[Shard]:
        self._there()
        return [Shard("shard")]

    async def iterator(self, shard: str, position: Position) -> str:
        return str(len(self._there())) if position.kind is PositionKind.LATEST else position.sequence or "0"

    async def read(self, shard: str, iterator: str, role: str) -> Page:
        await self._answers("read")
        after = int(iterator)
        new = list(enumerate(self._there(), 1))[after:]
        records = [StreamRecord(str(number), "key", WallTime(0), data.encode()) for number, data in new]
        return Page(records, str(after + len(new)))

    async def _answers(self, asked: str) -> None:
        if self.hangs == asked:
            await asyncio.Event().wait()

    def _there(self) -> list[str]:
        if self._records is None:
            raise RemoteError("ResourceNotFoundException", "", 400)
        return self._records


class Function:
    def __init__(self) -> None:
        self.seen: list[str] = []
        self.changed = asyncio.Event()

    async def describe(self, function: FunctionKey, qualifier: str | None) -> InvokedFunction | None:
        return InvokedFunction("role")

    async def invoke(self, function: FunctionKey, qualifier: str | None, payload: bytes) -> Ran | Failed | NotRun:
        self.seen += payload.decode().removeprefix('{"Records":[').removesuffix("]}").split(",")
        self.changed.set()
        return Ran(b"null")

    async def sees(self, count: int) -> list[str]:
        async with asyncio.timeout(60):
            while len(self.seen) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.seen


def poller_of(stream: Stream, function: Function, store: MemoryStore) -> StreamPoller:
    settings = StreamSettings(starting_position="LATEST")
    key = FunctionKey(ACCOUNT, REGION, "fn")
    source = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
    mapping = Mapping("id", ACCOUNT, REGION, key, source, 100, stream=settings)
    clock = LoopClock()

    async def nobody(*_: Any) -> None:
        """Has no subscribers."""

    remote: Any = None
    parts = StreamParts(
        mapping=mapping,
        settings=settings,
        stream=stream,
        checkpoints=Checkpoints(store, mapping),
        invoker=function,
        destinations=Destinations(remote, clock, lambda: "id", nobody),
        clock=clock,
    )
    return StreamPoller(parts)


@pytest.mark.parametrize("asked", ["created", "read"])
def test_a_mapping_stops_though_its_stream_does_not_answer(asked: str) -> None:
    async def body() -> None:
        stream = Stream()
        stream.make()
        poller = poller_of(stream, Function(), MemoryStore())
        await poller.start()
        stream.hangs = asked
        await asyncio.sleep(10)
        async with asyncio.timeout(1):
            await poller.stop()

    run(body())


def test_a_stream_that_was_made_again_while_ondol_was_down_is_read_whole() -> None:
    async def body() -> None:
        stream, function, store = Stream(), Function(), MemoryStore()
        stream.make()
        first = poller_of(stream, function, store)
        await first.start()
        stream.put("a1", "a2")
        await function.sees(2)
        await first.stop()
        stream.delete()
        stream.make("b1", "b2", "b3")
        second = poller_of(stream, function, store)
        await second.start()
        assert await function.sees(5) == ["a1", "a2", "b1", "b2", "b3"]
        await second.stop()
        third = poller_of(stream, function, store)
        await third.start()
        stream.put("b4")
        assert (await function.sees(6))[5:] == ["b4"]
        await third.stop()

    run(body())


def test_a_stream_that_is_made_again_while_it_is_read_is_read_whole() -> None:
    async def body() -> None:
        stream, function, store = Stream(), Function(), MemoryStore()
        stream.make("before")
        poller = poller_of(stream, function, store)
        await poller.start()
        stream.put("a1")
        await function.sees(1)
        stream.delete()
        # Long enough for its absence to be seen.
        await asyncio.sleep(10)
        assert poller.last_result == "PROBLEM: ResourceNotFoundException"
        stream.make("b1", "b2")
        assert await function.sees(3) == ["a1", "b1", "b2"]
        await asyncio.sleep(10)
        assert poller.last_result == "OK"
        await poller.stop()

    run(body())
