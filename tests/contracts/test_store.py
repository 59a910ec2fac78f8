"""What every store promises, run for each of them: see `ondol.store.protocol`."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ondol.model.errors import InvariantError
from ondol.model.ids import CodeDigest
from ondol.model.time import Instant, WallTime
from ondol.store.blobs import DirectoryBlobs
from ondol.store.files import SystemFiles
from ondol.store.memory import MemoryBlobs, MemoryStore
from ondol.store.protocol import Blobs, Change, Entry, RevisionConflict, Store, StoreError
from ondol.store.sqlite import SqliteStore


async def memory_store(tmp_path) -> Store:
    return MemoryStore()


async def sqlite_store(tmp_path) -> Store:
    return await SqliteStore.open(tmp_path / "store.db")


@pytest.fixture(params=[memory_store, sqlite_store], ids=["memory", "sqlite"])
def run(request, tmp_path):
    """Runs a scenario with a fresh store, and closes it."""

    def runner(scenario):
        async def main():
            async with asyncio.timeout(20):
                store = await request.param(tmp_path)
                try:
                    await scenario(store)
                finally:
                    await store.close()

        asyncio.run(main())

    return runner


class View:
    """What a service keeps of a prefix, fed by a watch."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self._heard = asyncio.Event()

    def on_change(self, change: Change) -> None:
        self.changes.append(change)
        self._heard.set()

    async def hears(self, number: int) -> None:
        while len(self.changes) < number:
            self._heard.clear()
            await self._heard.wait()

    def state(self) -> dict[str, Entry]:
        state = {}
        for change in self.changes:
            if change.entry is None:
                state.pop(change.key, None)
            else:
                state[change.key] = change.entry
        return state


def test_what_was_put_is_got_until_it_is_deleted(run):
    async def scenario(store: Store):
        assert await store.get("a/b") is None
        first = await store.put("a/b", b"one")
        assert first > 0
        assert await store.get("a/b") == Entry(b"one", first)
        second = await store.put("a/b", b"")
        assert second > first
        assert await store.get("a/b") == Entry(b"", second)
        await store.delete("a/b")
        assert await store.get("a/b") is None
        await store.delete("a/b")

    run(scenario)


def test_a_write_that_expects_another_revision_changes_nothing(run):
    async def scenario(store: Store):
        for write in (lambda: store.put("k", b"x", 7), lambda: store.delete("k", 7)):
            with pytest.raises(RevisionConflict):
                await write()
        revision = await store.put("k", b"x", 0)
        for expect in (0, revision - 1, revision + 1):
            with pytest.raises(RevisionConflict):
                await store.put("k", b"y", expect)
            with pytest.raises(RevisionConflict):
                await store.delete("k", expect)
        assert await store.get("k") == Entry(b"x", revision)
        newer = await store.put("k", b"y", revision)
        await store.delete("k", newer)
        assert await store.get("k") is None
        await store.delete("k", 0)

    run(scenario)


def test_revisions_grow_over_all_keys_and_never_come_back(run):
    async def scenario(store: Store):
        seen = [await store.put("a", b""), await store.put("b", b""), await store.put("a", b"")]
        old = seen[-1]
        await store.delete("a")
        seen.append(await store.put("a", b"", 0))
        assert seen == sorted(set(seen))
        with pytest.raises(RevisionConflict):
            await store.put("a", b"", old)

    run(scenario)


def test_a_list_has_exactly_the_prefix_in_order(run):
    async def scenario(store: Store):
        keys = ["a/b/1", "a/b/10", "a/b/2", "a/b2/x", "a/b-c/x", "a/b", "a", "b/1", "a/b/\u00e9", "a/b/c/d", "a/b/%_"]
        revisions = dict(zip(keys, await asyncio.gather(*(store.put(key, key.encode()) for key in keys)), strict=True))
        assert [key for key, _ in await store.list("")] == sorted(keys)
        inside = ["a/b/%_", "a/b/1", "a/b/10", "a/b/2", "a/b/c/d", "a/b/\u00e9"]
        assert await store.list("a/b/") == [(key, Entry(key.encode(), revisions[key])) for key in inside]
        assert await store.list("nothing/") == []

    run(scenario)


def test_keys_and_values_that_no_store_takes(run):
    async def scenario(store: Store):
        for key in ("", "/a", "a/", "a//b", "a b", "a\nb", "a\0", "\ud800", "a" * 513):
            with pytest.raises(InvariantError):
                await store.put(key, b"")
            with pytest.raises(InvariantError):
                await store.get(key)
        for prefix in ("a", "/", "a//"):
            with pytest.raises(InvariantError):
                await store.list(prefix)
            with pytest.raises(InvariantError):
                await store.watch(prefix, lambda change: None)
        largest = b"x" * 1_048_576
        await store.put("large", largest)
        with pytest.raises(StoreError):
            await store.put("large", largest + b"x")
        assert (await store.get("large")).value == largest
        assert [key for key, _ in await store.list("")] == ["large"]

    run(scenario)


def test_of_writers_that_expect_the_same_revision_one_wins(run):
    async def scenario(store: Store):
        async def count() -> None:
            while True:
                entry = await store.get("counter")
                value, revision = (int(entry.value), entry.revision) if entry else (0, 0)
                try:
                    await store.put("counter", b"%d" % (value + 1), revision)
                except RevisionConflict:
                    continue
                return

        await asyncio.gather(*(count() for _ in range(40)))
        assert (await store.get("counter")).value == b"40"
        made = await asyncio.gather(*(store.put("once", b"%d" % n, 0) for n in range(40)), return_exceptions=True)
        assert sum(isinstance(each, RevisionConflict) for each in made) == 39
        assert isinstance(made[0], int), "writes of one caller happen in the order of its calls"

    run(scenario)


def test_a_watch_tells_the_present_and_then_every_change_in_order(run):
    async def scenario(store: Store):
        one = await store.put("w/1", b"one")
        await store.put("other/1", b"")
        view = View()
        await store.watch("w/", view.on_change)
        assert view.changes == [Change("w/1", Entry(b"one", one))]
        two = await store.put("w/2", b"two")
        await store.put("other/2", b"")
        await store.delete("w/1")
        await store.delete("w/1")
        three = await store.put("w/1", b"again")
        await view.hears(4)
        assert view.changes[1:] == [
            Change("w/2", Entry(b"two", two)),
            Change("w/1", None),
            Change("w/1", Entry(b"again", three)),
        ]

    run(scenario)


def test_a_watch_that_begins_among_writes_misses_none_and_hears_none_twice(run):
    async def scenario(store: Store):
        views = []

        async def write(writer: int) -> None:
            for number in range(30):
                await store.put(f"busy/{writer}/{number % 5}", b"%d" % number)

        async def begin_watches() -> None:
            for _ in range(20):
                views.append(View())
                await store.watch("busy/", views[-1].on_change)
                await asyncio.sleep(0.001)

        await asyncio.gather(*(write(writer) for writer in range(8)), begin_watches())
        last = await store.put("busy/last", b"")
        final = dict(await store.list("busy/"))
        for view in views:
            while not any(change.entry and change.entry.revision == last for change in view.changes):
                await view.hears(len(view.changes) + 1)
            revisions = [change.entry.revision for change in view.changes]
            assert len(set(revisions)) == len(revisions)
            for key, entry in final.items():
                of_key = [change.entry.revision for change in view.changes if change.key == key]
                assert of_key == sorted(of_key)
                assert of_key[-1] == entry.revision
            assert view.state() == final
        # The first watch began before most writes, so it heard them one by one.
        assert len(views[0].changes) > 100

    run(scenario)


def test_a_watch_that_is_closed_or_fails_harms_nobody(run):
    async def scenario(store: Store):
        reported = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))

        def fail(change: Change) -> None:
            raise KeyError(change.key)

        closed, view = View(), View()
        await store.watch("", fail)
        subscription = await store.watch("", closed.on_change)
        await store.watch("", view.on_change)
        await store.put("a", b"")
        await closed.hears(1)
        subscription.close()
        subscription.close()
        await store.put("b", b"")
        await view.hears(2)
        assert [change.key for change in view.changes] == ["a", "b"]
        assert [change.key for change in closed.changes] == ["a"]
        assert [str(error) for error in reported] == ["'a'", "'b'"]

    run(scenario)


def test_a_cancelled_writer_leaves_the_store_whole(run):
    async def scenario(store: Store):
        writers = [asyncio.create_task(store.put(f"c/{n}", b"x")) for n in range(20)]
        await asyncio.sleep(0)
        for writer in writers[::2]:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        last = await store.put("c/last", b"")
        kept = dict(await store.list("c/"))
        assert {f"c/{n}" for n in range(1, 20, 2)} <= set(kept)
        assert all(entry.revision <= last for entry in kept.values())

    run(scenario)


def test_a_closed_store_says_so(run):
    async def scenario(store: Store):
        pending = asyncio.create_task(store.put("a", b"x"))
        await asyncio.sleep(0)
        await store.close()
        assert await pending > 0
        for attempt in (store.get("a"), store.list(""), store.put("a", b""), store.delete("a")):
            with pytest.raises(StoreError, match="closed"):
                await attempt
        await store.close()

    run(scenario)


# ---- blobs


class StepClock:
    def __init__(self) -> None:
        self.time_s = 0.0

    def now(self) -> Instant:
        return Instant(int(self.time_s * 1e9))

    def wall(self) -> WallTime:
        return WallTime(int(self.time_s * 1e3))


class MemoryKind:
    """Makes blobs in memory, and lets their time pass."""

    def __init__(self, tmp_path) -> None:
        self.clock = StepClock()

    @asynccontextmanager
    async def blobs(self) -> AsyncIterator[Blobs]:
        yield MemoryBlobs(self.clock)

    def pass_time(self, seconds: float) -> None:
        self.clock.time_s += seconds


class DirectoryKind:
    def __init__(self, tmp_path) -> None:
        self.root = tmp_path / "blobs"

    @asynccontextmanager
    async def blobs(self) -> AsyncIterator[Blobs]:
        blobs = await DirectoryBlobs.open(self.root, SystemFiles())
        yield blobs
        await blobs.close()

    def pass_time(self, seconds: float) -> None:
        for file in self.root.glob("*/*"):
            then = file.stat().st_mtime - seconds
            os.utime(file, (time.time(), then))


@pytest.fixture(params=[MemoryKind, DirectoryKind], ids=["memory", "directory"])
def run_blobs(request, tmp_path):
    def runner(scenario):
        async def main():
            kind = request.param(tmp_path)
            async with asyncio.timeout(20), kind.blobs() as blobs:
                await scenario(blobs, kind)

        asyncio.run(main())

    return runner


def digest_of(content: bytes) -> CodeDigest:
    return CodeDigest(hashlib.sha256(content).hexdigest())


async def in_pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        await asyncio.sleep(0)
        yield content[at : at + size]


def test_a_blob_is_found_by_its_digest(run_blobs):
    async def scenario(blobs: Blobs, kind):
        large = os.urandom(3_000_000)
        assert await blobs.put(b"") == digest_of(b"")
        assert await blobs.put(large) == digest_of(large)
        assert await blobs.put(in_pieces(large, 70_001)) == digest_of(large)
        assert await blobs.path(digest_of(large)) is not None
        assert await blobs.verify(digest_of(large))
        for unknown in (digest_of(b"unknown"), CodeDigest("../../etc/passwd"), CodeDigest("")):
            assert await blobs.path(unknown) is None
            assert not await blobs.verify(unknown)

    run_blobs(scenario)


def test_what_is_not_in_use_is_collected_after_its_grace(run_blobs):
    async def scenario(blobs: Blobs, kind):
        used, unused, again = [await blobs.put(name) for name in (b"used", b"unused", b"again")]
        assert await blobs.collect(frozenset, 60) == 0
        kind.pass_time(100)
        young = await blobs.put(b"young")
        assert await blobs.put(b"again") == again
        assert await blobs.collect(lambda: frozenset({used}), 60) == 1
        assert [await blobs.path(each) is not None for each in (used, unused, again, young)] == [
            True,
            False,
            True,
            True,
        ]
        kind.pass_time(100)
        assert await blobs.collect(frozenset, 60) == 3

    run_blobs(scenario)


def test_a_put_whose_source_fails_leaves_nothing(run_blobs):
    async def scenario(blobs: Blobs, kind):
        async def broken() -> AsyncIterator[bytes]:
            yield b"x" * 2_000_000
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            await blobs.put(broken())
        kind.pass_time(100)
        assert await blobs.collect(frozenset, 0) == 0

    run_blobs(scenario)
