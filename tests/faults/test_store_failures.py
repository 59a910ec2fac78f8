"""Broken disks and foreign files: a clear error for everybody who waits, nothing half made, and on again afterwards."""

import asyncio
import errno
import os
import stat

import apsw
import pytest

from ondol.linux.clock import SystemClock
from ondol.model.time import MILLISECOND
from ondol.store.blobs import DirectoryBlobs
from ondol.store.files import NewFile, SystemFiles
from ondol.store.protocol import StoreError
from ondol.store.sqlite import SqliteStore
from ondol.store.sqlite_queues import SqliteQueues


class BreakableFile(apsw.VFSFile):
    def __init__(self, vfs: "BreakableVfs", name, flags) -> None:
        super().__init__("", name, flags)
        self._vfs = vfs

    def xWrite(self, data, offset) -> None:
        if self._vfs.failure is not None:
            raise self._vfs.failure
        super().xWrite(data, offset)

    def xSync(self, flags) -> None:
        self._vfs.syncs += 1
        if self._vfs.sync_failure is not None:
            raise self._vfs.sync_failure
        super().xSync(flags)


class BreakableVfs(apsw.VFS):
    """SQLite's file layer, whose disk can be full or broken."""

    def __init__(self) -> None:
        self.failure: apsw.Error | None = None
        self.sync_failure: apsw.Error | None = None
        self.syncs = 0
        super().__init__("breakable", "")

    def xOpen(self, name, flags):
        return BreakableFile(self, name, flags)


@pytest.fixture
def vfs():
    vfs = BreakableVfs()
    yield vfs
    vfs.unregister()


def run(scenario) -> None:
    async def main():
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["full", "write", "sync"])
def test_a_disk_that_fails_is_told_to_every_writer_and_nothing_is_kept(tmp_path, vfs, kind):
    async def scenario():
        store = await SqliteStore.open(tmp_path / "store.db", vfs="breakable")
        before = await store.put("kept", b"before")
        if kind == "sync":
            vfs.sync_failure = apsw.IOError("fsync failed")
        else:
            vfs.failure = apsw.FullError("no room") if kind == "full" else apsw.IOError("write failed")
        outcomes = await asyncio.gather(
            *(store.put(f"lost/{n}", b"x" * 5000) for n in range(20)), store.delete("kept"), return_exceptions=True
        )
        assert all(isinstance(each, StoreError) for each in outcomes), outcomes
        if kind == "full":
            assert "full" in str(outcomes[0])
        assert [key for key, _ in await store.list("")] == ["kept"]
        vfs.failure = vfs.sync_failure = None
        after = await store.put("kept", b"after", before)
        assert after > before
        await store.close()
        again = await SqliteStore.open(tmp_path / "store.db")
        assert [(key, entry.value) for key, entry in await again.list("")] == [("kept", b"after")]
        await again.close()

    run(scenario)


def test_writes_that_queue_during_a_commit_share_the_next_one(tmp_path, vfs):
    async def scenario():
        store = await SqliteStore.open(tmp_path / "store.db", vfs="breakable")
        await store.put("first", b"")
        vfs.syncs = 0
        await asyncio.gather(*(store.put(f"k/{n}", b"x" * 100) for n in range(500)))
        # Each commit syncs the log once: a few commits, not five hundred.
        assert vfs.syncs < 50
        await store.close()

    run(scenario)


def test_the_log_is_copied_back_so_that_it_does_not_grow_for_ever(tmp_path):
    async def scenario():
        store = await SqliteStore.open(tmp_path / "store.db")
        for _ in range(30):
            await asyncio.gather(*(store.put(f"k/{n}", os.urandom(20_000)) for n in range(50)))
        # Thirty megabytes were written over and over to one.
        assert (tmp_path / "store.db-wal").stat().st_size < 20_000_000
        await store.close()

    run(scenario)


def test_a_reopened_store_goes_on_where_it_was(tmp_path):
    async def scenario():
        path = tmp_path / "store.db"
        store = await SqliteStore.open(path)
        last = await store.put("a", b"1")
        await store.delete("a")
        await store.close()
        store = await SqliteStore.open(path)
        assert await store.put("a", b"2") > last + 1
        await store.close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    run(scenario)


def test_on_a_full_disk_messages_are_refused_and_those_in_hand_come_again(tmp_path, vfs):
    async def scenario():
        store = await SqliteStore.open(tmp_path / "store.db", vfs="breakable")
        queues = SqliteQueues(store, SystemClock())
        await queues.put("q", b"first")
        [message] = await queues.take("q", 1)
        vfs.failure = apsw.FullError("full")
        with pytest.raises(StoreError, match="full"):
            await queues.put("q", b"second")
        queues.put_back(message, 20 * MILLISECOND)
        [again] = await queues.take("q", 1)
        assert again.body == b"first"
        vfs.failure = None
        await queues.put("q", b"third")
        queues.acknowledge(again)
        assert [message.body for message in await queues.take("q", 5)] == [b"third"]
        await store.close()

    run(scenario)


def test_a_file_that_is_no_store_is_refused_with_its_name_and_left_alone(tmp_path):
    def foreign(path) -> None:
        other = apsw.Connection(str(path))
        other.execute("CREATE TABLE theirs (a)")
        other.close()

    def newer(path) -> None:
        asyncio.run(_make_store(path))
        changed = apsw.Connection(str(path))
        changed.execute("PRAGMA user_version = 3")
        changed.close()

    def damaged(path) -> None:
        asyncio.run(_make_store(path))
        content = bytearray(path.read_bytes())
        content[4096:8192] = b"\xff" * 4096
        path.write_bytes(content)

    cases = {
        "not a store": foreign,
        "version 3": newer,
        "damaged": damaged,
        "damaged, or no store": lambda path: path.write_bytes(b"not a database at all, but long enough" * 100),
        "cannot be opened": lambda path: path.mkdir(),
    }
    for number, (text, make) in enumerate(cases.items()):
        path = tmp_path / f"{number}.db"
        make(path)
        before = path.read_bytes() if path.is_file() else None

        async def scenario(path=path, text=text):
            with pytest.raises(StoreError, match=text) as raised:
                await SqliteStore.open(path)
            assert str(path) in str(raised.value)

        run(scenario)
        assert before is None or path.read_bytes() == before


async def _make_store(path) -> None:
    store = await SqliteStore.open(path)
    await asyncio.gather(*(store.put(f"k/{n}", b"x" * 1000) for n in range(50)))
    await store.close()


def test_a_directory_that_is_not_there(tmp_path):
    async def scenario():
        with pytest.raises(StoreError, match="missing"):
            await SqliteStore.open(tmp_path / "missing" / "store.db")
        with pytest.raises(StoreError, match="missing"):
            await DirectoryBlobs.open(tmp_path / "missing" / "blobs")

    run(scenario)


class FullDisk(SystemFiles):
    def __init__(self, room: int) -> None:
        self.room = room

    def create(self, path) -> NewFile:
        return _FileOnFullDisk(self, super().create(path))


class _FileOnFullDisk:
    def __init__(self, disk: FullDisk, file: NewFile) -> None:
        self._disk = disk
        self._file = file

    def write(self, data: bytes) -> None:
        if len(data) > self._disk.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._file.write(data)

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()


def test_a_blob_that_finds_no_room_leaves_nothing_behind(tmp_path):
    async def scenario():
        disk = FullDisk(room=100)
        blobs = await DirectoryBlobs.open(tmp_path / "blobs", disk)
        with pytest.raises(StoreError, match="No space left"):
            await blobs.put(b"x" * 1000)
        assert list((tmp_path / "blobs").glob("*/*")) == []
        disk.room = 10_000
        digest = await blobs.put(b"x" * 1000)
        assert await blobs.verify(digest)
        await blobs.close()

    run(scenario)


def test_a_blob_whose_bytes_have_changed_does_not_verify_and_can_be_put_again(tmp_path):
    async def scenario():
        blobs = await DirectoryBlobs.open(tmp_path / "blobs")
        digest = await blobs.put(b"content")
        path = await blobs.path(digest)
        path.write_bytes(b"c0ntent")
        assert not await blobs.verify(digest)
        await blobs.put(b"content")
        assert await blobs.verify(digest)
        await blobs.close()
        with pytest.raises(StoreError, match="closed"):
            await blobs.put(b"more")

    run(scenario)


def test_what_was_half_written_when_the_process_died_is_swept(tmp_path):
    async def scenario():
        blobs = await DirectoryBlobs.open(tmp_path / "blobs")
        await blobs.close()
        (tmp_path / "blobs" / "partial" / "1").write_bytes(b"half")
        blobs = await DirectoryBlobs.open(tmp_path / "blobs")
        assert list((tmp_path / "blobs" / "partial").iterdir()) == []
        assert await blobs.verify(await blobs.put(b"whole"))
        await blobs.close()

    run(scenario)
