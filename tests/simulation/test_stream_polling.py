"""Whatever fails and whenever ondol dies: no record of a stream is skipped, and none overtakes another of its key."""

import asyncio
import random
from collections import defaultdict
from typing import Any

import msgspec
import pytest

from ondol.aws.remote import Remote, RemoteUnavailable
from ondol.model.endpoint import Endpoints
from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, Region
from ondol.model.sns import Message
from ondol.model.time import WallTime
from ondol.pollers.api import Failed, InvokedFunction, Mapping, NotRun, Ran, StreamSettings
from ondol.pollers.checkpoints import Checkpoints
from ondol.pollers.destinations import Destinations
from ondol.pollers.lane import Discard, StreamRecord
from ondol.pollers.shard_reader import StreamParts
from ondol.pollers.shards import Position, PositionKind, Shard
from ondol.pollers.stream_poller import StreamPoller
from ondol.pollers.streams import Page
from ondol.simulator.virtual_time import NEW_YEAR_2026, VirtualClock, VirtualTimeLoop, run
from ondol.store.memory import MemoryStore

FAMILY = (Shard("a", (), "60"), Shard("b", ("a",), "40"), Shard("c", ("a",)))
DAY_S = 86_400
LENGTHS = {"a": 60, "b": 40, "c": 50}


def record_of(shard: str, number: int) -> StreamRecord:
    key = f"{shard}-{number % 7}"
    body = msgspec.json.encode({"shard": shard, "number": number, "key": key})
    return StreamRecord(str(number), key, NEW_YEAR_2026, body, passes=number % 11 != 0)


class FlakyStream:
    """Three shards of a family, each read of which may fail; an iterator is a place in a shard."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    async def created(self) -> WallTime | None:
        await self._maybe()
        return WallTime(1)

    async def shards(self) -> list[Shard]:
        await self._maybe()
        return list(FAMILY)

    async def iterator(self, shard: str, position: Position) -> str:
        await self._maybe()
        return position.sequence or "0"

    async def read(self, shard: str, iterator: str, role: str) -> Page:
        await self._maybe()
        first = int(iterator)
        last = min(first + self._chance.randrange(30), LENGTHS[shard])
        records = [record_of(shard, number) for number in range(first + 1, last + 1)]
        ended = last == LENGTHS[shard] and shard == "a"
        return Page(records, None if ended else str(last))

    async def _maybe(self) -> None:
        await asyncio.sleep(self._chance.random() / 10)
        if self._chance.random() < 0.05:
            raise RemoteUnavailable("the network is down")


class FlakyFunction:
    """Takes its time, fails, is throttled; `taken` is what it has taken, in the order in which it began."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.taken: list[dict[str, Any]] = []
        self.at_work: defaultdict[str, int] = defaultdict(int)

    async def describe(self, function: FunctionKey, qualifier: str | None) -> InvokedFunction | None:
        return InvokedFunction("role") if self._chance.random() > 0.02 else None

    async def invoke(self, function: FunctionKey, qualifier: str | None, payload: bytes) -> Ran | Failed | NotRun:
        records = msgspec.json.decode(payload)["Records"]
        keys = {record["key"] for record in records}
        for key in keys:
            self.at_work[key] += 1
            assert self.at_work[key] == 1, "two batches of one key at once"
        try:
            await asyncio.sleep(self._chance.expovariate(2))
        finally:
            for key in keys:
                self.at_work[key] -= 1
        fate = self._chance.random()
        if fate < 0.1:
            return NotRun("throttled")
        if fate < 0.3:
            return Failed("id", "$LATEST")
        if fate < 0.4:
            first = self._chance.randrange(len(records))
            self.taken += records[:first]
            report = {"batchItemFailures": [{"itemIdentifier": str(records[first]["number"])}]}
            return Ran(msgspec.json.encode(report))
        self.taken += records
        return Ran(b"null")


class Told(Destinations):
    """Remembers what it was told, as if the function had taken it."""

    def __init__(self, clock: VirtualClock, function: FlakyFunction) -> None:
        async def nobody(topic: str, message: Message) -> None:
            raise AssertionError(f"{topic} was told {message}")

        super().__init__(Remote(Endpoints(), None, clock), clock, lambda: "id", nobody)
        self._function = function

    async def tell(self, mapping: Mapping, shard: str, discard: Discard, failed: Failed | None) -> None:
        await asyncio.sleep(0.05)
        self._function.taken += [msgspec.json.decode(record.body) for record in discard.records]


async def poll_through_deaths(seed: int) -> FlakyFunction:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    chance, store, clock = random.Random(seed), MemoryStore(), VirtualClock(loop)
    settings = StreamSettings(
        starting_position=PositionKind.TRIM_HORIZON.value,
        parallelization=chance.choice([1, 3]),
        bisect=chance.random() < 0.5,
        maximum_retries=chance.choice([-1, 1]),
    )
    key = FunctionKey(AccountId("000000000000"), Region("us-east-1"), "fn")
    source = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
    mapping = Mapping(
        "id", key.account, key.region, key, source, chance.choice([1, 7, 100]), partial=True, stream=settings
    )
    function = FlakyFunction(chance)
    while not done(function):
        assert loop.time() < DAY_S, "a record was skipped"
        parts = StreamParts(
            mapping=mapping,
            settings=settings,
            stream=FlakyStream(chance),
            checkpoints=Checkpoints(store, mapping),
            invoker=function,
            destinations=Told(clock, function),
            clock=clock,
        )
        poller = StreamPoller(parts)
        starting = asyncio.create_task(poller.start())
        await asyncio.sleep(chance.uniform(1, 60))
        if chance.random() < 0.5 and starting.done():
            await poller.stop()
            assert not any(function.at_work.values())
        else:
            await die()
    return function


async def die() -> None:
    """Nothing that goes on goes any further."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def done(function: FlakyFunction) -> bool:
    taken = {(record["shard"], record["number"]) for record in function.taken}
    return taken == {
        (shard, number) for shard, count in LENGTHS.items() for number in range(1, count + 1) if number % 11
    }


@pytest.mark.parametrize("seed", range(40))
def test_every_record_is_taken_and_in_order(seed: int) -> None:
    function = run(poll_through_deaths(seed))
    order: dict[str, list[int]] = defaultdict(list)
    shards: list[str] = []
    for record in function.taken:
        if record["number"] not in order[record["key"]]:
            order[record["key"]].append(record["number"])
            shards.append(record["shard"])
    assert all(numbers == sorted(numbers) for numbers in order.values())
    assert shards[: shards.count("a")] == ["a"] * shards.count("a")
