"""A process that writes is killed (SIGKILL) wherever it happens to be: what it was told is kept is there."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest

from ondol.linux.clock import SystemClock
from ondol.store.blobs import DirectoryBlobs
from ondol.store.sqlite import SqliteStore
from ondol.store.sqlite_queues import SqliteQueues


@pytest.mark.parametrize("seed", range(3))
def test_what_was_acknowledged_before_a_kill_is_found(tmp_path, seed):
    chance = random.Random(seed)
    records: dict[str, int] = {}
    blobs: set[str] = set()
    messages: dict[str, set[str]] = {"message": set(), "taken": set()}
    # Killed twice over the same files: the second process recovers from the first one's end.
    for first in (0, 1_000_000):
        for line in acknowledged_until_killed(tmp_path, first, after=chance.randrange(50, 800)):
            kind, *words = line.split()
            if kind == "record":
                records[words[0]] = int(words[1])
            elif kind == "blob":
                blobs.add(words[0])
            else:
                messages[kind].add(words[0])
        asyncio.run(check(tmp_path, records, blobs))
        waiting = asyncio.run(messages_that_wait(tmp_path))
        assert messages["message"] <= waiting | messages["taken"], "an acknowledged message is lost"
    assert messages["taken"], "the writer took nothing: the test tests too little"


def acknowledged_until_killed(directory: Path, first: int, after: int) -> list[str]:
    """Let a writer run for `after` acknowledgements; those, and what it still said before it was dead."""
    script = Path(__file__).parent / "store_writer.py"
    with subprocess.Popen(
        [sys.executable, script, directory, str(first)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(after)]
        process.kill()
        lines += process.stdout.readlines()
    assert all(line.endswith("\n") for line in lines), "the writer ended by itself"
    return lines


async def check(directory: Path, records: dict[str, int], blobs: set[str]) -> None:
    store = await SqliteStore.open(directory / "store.db")
    found = dict(await store.list("w/"))
    for key, number in records.items():
        value = found[key].value
        at, _, rest = value.partition(b":")
        # More than was acknowledged is possible: the write that was under way. Less is a loss.
        assert int(at) >= number, key
        assert rest == b"x" * 3000
    revisions = [entry.revision for entry in found.values()]
    assert len(set(revisions)) == len(revisions)
    assert await store.put("after/kill", b"") > max(revisions, default=0)
    await store.close()
    kept = await DirectoryBlobs.open(directory / "blobs")
    for digest in blobs:
        assert await kept.verify(digest)
    assert list((directory / "blobs" / "partial").iterdir()) == []
    await kept.close()


async def messages_that_wait(directory: Path) -> set[str]:
    """Everything in the queue, which it stays in."""
    store = await SqliteStore.open(directory / "store.db")
    queues = SqliteQueues(store, SystemClock())
    waiting: set[str] = set()
    while queues.length("q"):
        waiting |= {message.body.decode() for message in await queues.take("q", 1000)}
    await store.close()
    return waiting
