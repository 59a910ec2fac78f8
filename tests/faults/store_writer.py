"""A process that writes to a store until it is killed, and says on its standard output what was acknowledged.

`store_writer.py DIRECTORY FIRST`: each line is a key and its number, counted from FIRST, or a blob's digest.
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from ondol.store.blobs import DirectoryBlobs
from ondol.store.sqlite import SqliteStore


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


async def main(directory: Path, first: int) -> None:
    store = await SqliteStore.open(directory / "store.db")
    blobs = await DirectoryBlobs.open(directory / "blobs")
    writers = [write_records(store, writer, first) for writer in range(8)]
    await asyncio.gather(*writers, *(write_blobs(blobs, writer) for writer in range(2)))


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
