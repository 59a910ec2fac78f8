"""What the queues of every store promise: see `ondol.store.protocol.Queues`."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ondol.linux.clock import SystemClock
from ondol.model.errors import InvariantError
from ondol.model.time import MILLISECOND, MINUTE, SECOND
from ondol.store.memory_queues import MemoryQueues
from ondol.store.protocol import Message, Queues, StoreError
from ondol.store.sqlite import SqliteStore
from ondol.store.sqlite_queues import SqliteQueues

Scenario = Callable[[Queues], Awaitable[None]]
Run = Callable[[Scenario], None]


@pytest.fixture(params=["memory", "sqlite"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Runs a scenario with fresh queues."""

    async def main(scenario: Scenario) -> None:
        async with asyncio.timeout(20):
            if request.param == "memory":
                await scenario(MemoryQueues(SystemClock()))
                return
            store = await SqliteStore.open(tmp_path / "store.db")
            try:
                await scenario(SqliteQueues(store, SystemClock()))
            finally:
                await store.close()

    return lambda scenario: asyncio.run(main(scenario))


async def take_all(queues: Queues, queue: str, number: int) -> list[Message]:
    taken: list[Message] = []
    while len(taken) < number:
        taken += await queues.take(queue, number - len(taken))
    return taken


async def nothing_to_take(queues: Queues, queue: str) -> bool:
    """Whether a taker would have to wait."""
    taking = asyncio.create_task(queues.take(queue, 1))
    for _ in range(20):
        await asyncio.sleep(0)
    waits = not taking.done()
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    return waits


def test_what_was_put_is_taken_once_and_gone_when_it_is_acknowledged(run: Run) -> None:
    async def scenario(queues: Queues) -> None:
        await asyncio.gather(*(queues.put("q", b"%d" % number) for number in range(10)))
        assert queues.length("q") == 10
        first = await queues.take("q", 4)
        assert len(first) == 4 and queues.length("q") == 6
        rest = await take_all(queues, "q", 6)
        assert sorted(message.body for message in first + rest) == [b"%d" % number for number in range(10)]
        assert {message.put_back for message in first + rest} == {0}
        for message in first + rest:
            queues.acknowledge(message)
        assert queues.length("q") == 0
        assert await nothing_to_take(queues, "q")

    run(scenario)


def test_queues_know_nothing_of_each_other(run: Run) -> None:
    async def scenario(queues: Queues) -> None:
        await queues.put("a/1", b"one")
        await queues.put("a/2", b"two")
        assert queues.length("a/3") == 0
        assert [message.body for message in await queues.take("a/2", 10)] == [b"two"]
        await queues.purge("a/2")
        assert [message.body for message in await queues.take("a/1", 10)] == [b"one"]

    run(scenario)


def test_a_taker_waits_for_a_message_and_one_that_gave_up_has_taken_none(run: Run) -> None:
    async def scenario(queues: Queues) -> None:
        leaving = asyncio.create_task(queues.take("q", 1))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        staying = asyncio.create_task(queues.take("q", 1))
        await asyncio.sleep(0)
        await queues.put("q", b"late")
        [message] = await staying
        assert message.body == b"late"

    run(scenario)


def test_a_delayed_message_comes_when_it_is_due_and_not_before(run: Run) -> None:
    async def scenario(queues: Queues) -> None:
        clock = SystemClock()
        began = clock.now()
        await queues.put("q", b"later", 60 * MILLISECOND)
        await queues.put("q", b"much later", 10 * MINUTE)
        assert await nothing_to_take(queues, "q")
        assert queues.length("q") == 2
        await queues.put("q", b"now")
        assert [message.body for message in await take_all(queues, "q", 2)] == [b"now", b"later"]
        assert clock.now() - began >= 58 * MILLISECOND
        assert await nothing_to_take(queues, "q")

    run(scenario)


def test_what_is_put_back_comes_again_and_counts_how_often(run: Run) -> None:
    async def scenario(queues: Queues) -> None:
        await queues.put("q", b"again")
        for times in range(3):
            [message] = await queues.take("q", 5)
            assert (message.body, message.put_back) == (b"again", times)
            queues.put_back(message, 5 * MILLISECOND)
        [message] = await queues.take("q", 5)
        queues.put_back(message, 10 * MINUTE)
        await queues.put("q", b"other")
        [message] = await queues.take("q", 5)
        assert message.body == b"other"
        assert queues.length("q") == 1

    run(scenario)


def test_nothing_is_lost_among_delays_of_all_lengths(run: Run) -> None:
    """Messages become due behind the place up to which takers have read already."""

    async def scenario(queues: Queues) -> None:
        seen: dict[bytes, int] = {}

        async def put(number: int) -> None:
            await queues.put("q", b"%d" % number, (number * 7 % 30) * MILLISECOND)

        async def take() -> None:
            while len(seen) < 200 or min(seen.values()) < 2:
                for message in await queues.take("q", 3):
                    seen[message.body] = seen.get(message.body, 0) + 1
                    if message.put_back == 0:
                        queues.put_back(message, (message.id * 5 % 20) * MILLISECOND)
                    else:
                        queues.acknowledge(message)

        taking = asyncio.create_task(take())
        for number in range(0, 200, 20):
            await asyncio.gather(*map(put, range(number, number + 20)))
        await taking
        assert seen == {b"%d" % number: 2 for number in range(200)}

    run(scenario)


def test_purged_messages_are_gone_even_those_in_somebodys_hands(run: Run) -> None:
    async def scenario(queues: Queues) -> None:
        for body in (b"held", b"waiting", b"waiting"):
            await queues.put("q", body)
        [held] = await queues.take("q", 1)
        await queues.purge("q")
        assert queues.length("q") == 0
        queues.put_back(held, 0)
        assert await nothing_to_take(queues, "q")
        await queues.put("q", b"new")
        assert [message.body for message in await queues.take("q", 5)] == [b"new"]

    run(scenario)


def test_large_messages_arrive_whole_and_larger_ones_are_refused(run: Run) -> None:
    async def scenario(queues: Queues) -> None:
        large = bytes(range(256)) * 4096
        await asyncio.gather(*(queues.put("q", large) for _ in range(3)))
        assert [message.body for message in await take_all(queues, "q", 3)] == [large] * 3
        with pytest.raises(StoreError):
            await queues.put("q", b"x" * 8_388_609)
        with pytest.raises(InvariantError):
            await queues.put("no such name", b"")

    run(scenario)


def test_unacknowledged_messages_are_taken_again_by_the_next_process(tmp_path: Path) -> None:
    async def first() -> None:
        store = await SqliteStore.open(tmp_path / "store.db")
        queues = SqliteQueues(store, SystemClock())
        for body in (b"done", b"taken", b"untouched"):
            await queues.put("q", body)
        await queues.put("q", b"delayed", 10 * MINUTE)
        done, _ = await queues.take("q", 2)
        queues.acknowledge(done)
        await store.close()

    async def second() -> None:
        store = await SqliteStore.open(tmp_path / "store.db")
        queues = SqliteQueues(store, SystemClock())
        assert queues.length("q") == 3
        await queues.put("q", b"new")
        assert [message.body for message in await take_all(queues, "q", 3)] == [b"taken", b"untouched", b"new"]
        assert queues.length("q") == 1
        await store.close()

    asyncio.run(first())
    asyncio.run(second())


def test_a_store_from_before_there_were_queues_is_opened_with_all_that_it_has(tmp_path: Path) -> None:
    file = tmp_path / "store.db"

    async def make() -> None:
        store = await SqliteStore.open(file)
        await store.put("a/key", b"value")
        await store.close()

    asyncio.run(make())
    with sqlite3.connect(file) as old:
        old.executescript("DROP TABLE messages; PRAGMA user_version = 1;")
    old.close()

    async def use() -> None:
        store = await SqliteStore.open(file)
        entry = await store.get("a/key")
        assert entry is not None and entry.value == b"value"
        queues = SqliteQueues(store, SystemClock())
        await queues.put("q", b"message", -SECOND)
        assert [message.body for message in await queues.take("q", 1)] == [b"message"]
        await store.close()

    asyncio.run(use())
