"""A process that writes to a store until it is killed, and says on its standard output what was acknowledged.

`store_writer.py DIRECTORY FIRST`: each line is a key and its number, counted from FIRST, or a blob's digest, or a
message that was put into the queue `q` (`message NUMBER`), or is about to be acknowledged (`taken NUMBER`).
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from ondol.linux.clock import SystemClock
from ondol.store.blobs import DirectoryBlobs
from ondol.store.sqlite import SqliteStore
from ondol.store.sqlite_queues import SqliteQueues


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


async def write_records(store: SqliteStore, writer: int, first: int) -> None:
    for number in itertools.count(first):
        await store.put(f"w/{writer}/{number % 10}", b"%d:" % number + b"x" * 3000)
        say(f"record w/{writer}/{number % 10} {number}")


async def write_blobs(blobs: DirectoryBlobs, writer: int) -> None:
    for number in itertools.count():
        digest = await blobs.put(f"{writer} {number} ".encode() * 5000)
        say(f"blob {digest}")


async def put_messages(queues: SqliteQueues, writer: int, first: int) -> None:
    for number in itertools.count(first):
        await queues.put("q", b"%d" % (writer * 10_000_000 + number))
        say(f"message {writer * 10_000_000 + number}")


async def take_messages(queues: SqliteQueues) -> None:
    while True:
        for message in await queues.take("q", 2):
            if message.put_back == 0 and message.id % 3 == 0:
                queues.put_back(message, 0)
            else:
                say(f"taken {message.body.decode()}")
                queues.acknowledge(message)


async def main(directory: Path, first: int) -> None:
    store = await SqliteStore.open(directory / "store.db")
    blobs = await DirectoryBlobs.open(directory / "blobs")
    queues = SqliteQueues(store, SystemClock())
    writers = [put_messages(queues, writer, first) for writer in range(3)]
    writers += [write_records(store, writer, first) for writer in range(8)]
    await asyncio.gather(take_messages(queues), *writers, *(write_blobs(blobs, writer) for writer in range(2)))


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
