"""The power fails right after an acknowledgement: what was acknowledged by then is on the disk, and nothing is torn."""

import asyncio
import random
from pathlib import Path

import apsw
import pytest
from recorded_disk import RecordingFiles, RecordingVfs

from ondol.store import database
from ondol.store.blobs import DirectoryBlobs
from ondol.store.sqlite import SqliteStore


@pytest.fixture
def vfs():
    vfs = RecordingVfs()
    yield vfs
    vfs.unregister()


@pytest.mark.parametrize("seed", range(4))
def test_every_acknowledged_write_is_found_after_a_power_loss(tmp_path, vfs, seed, monkeypatch):
    chance = random.Random(seed)
    # So that copying back the log is interrupted as well.
    monkeypatch.setattr("ondol.store.committer._CHECKPOINT_PAGES", 20)
    losses: list[tuple[Path, dict[str, bytes | None]]] = []
    acknowledged: dict[str, bytes | None] = {}

    async def write(store: SqliteStore, writer: int) -> None:
        for number in range(25):
            key = f"w/{writer}/{number % 4}"
            # Between its call and its acknowledgement a write may have happened or not.
            value = None if chance.random() < 0.2 else b"%d:" % number + chance.randbytes(chance.randrange(3000))
            if value is None:
                await store.delete(key)
            else:
                await store.put(key, value)
            acknowledged[key] = value
            if chance.random() < 0.25:
                directory = tmp_path / f"loss{len(losses)}"
                directory.mkdir()
                # The other writers are between call and acknowledgement; only this one's keys are certain.
                losses.append((directory, {k: v for k, v in acknowledged.items() if k.startswith(f"w/{writer}/")}))
                vfs.leave_after_power_loss(directory, chance)

    async def main() -> None:
        store = await SqliteStore.open(tmp_path / "store.db", vfs=vfs.NAME)
        await asyncio.gather(*(write(store, writer) for writer in range(4)))
        await store.close()
        assert len(losses) > 10
        for directory, certain in losses:
            found = await SqliteStore.open(directory / "store.db")
            for key, value in certain.items():
                entry = await found.get(key)
                assert (entry.value if entry else None) == value, (directory.name, key)
            for _, entry in await found.list("w/"):
                assert entry.value.split(b":")[0].isdigit()
            await found.put("w/again", b"")
            await found.close()

    asyncio.run(main())


def test_the_record_notices_a_store_that_does_not_sync(tmp_path, vfs, monkeypatch):
    """The test above would fail if commits were not synced: here they are not."""

    def connect_without_sync(path: Path, vfs_name: str | None) -> apsw.Connection:
        connection = real(path, vfs_name)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    real = database.connect
    monkeypatch.setattr(database, "connect", connect_without_sync)

    async def main() -> None:
        store = await SqliteStore.open(tmp_path / "store.db", vfs=vfs.NAME)
        for number in range(20):
            await store.put(f"k/{number}", b"x" * 2000)
        directory = tmp_path / "loss"
        directory.mkdir()
        vfs.leave_after_power_loss(directory, random.Random(1))
        await store.close()
        monkeypatch.setattr(database, "connect", real)
        found = await SqliteStore.open(directory / "store.db")
        assert len(await found.list("k/")) < 20
        await found.close()

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(3))
def test_every_acknowledged_blob_is_whole_after_a_power_loss(tmp_path, seed):
    chance = random.Random(seed)
    files = RecordingFiles()
    losses: list[tuple[Path, set[str]]] = []
    acknowledged: set[str] = set()

    async def put_some(blobs: DirectoryBlobs) -> None:
        for number in range(6):
            acknowledged.add(await blobs.put(chance.randbytes(chance.randrange(20_000))))
            if number % 3:
                continue
            directory = tmp_path / f"loss{len(losses)}"
            directory.mkdir()
            losses.append((directory, set(acknowledged)))
            files.leave_after_power_loss(tmp_path, directory, chance)

    async def main() -> None:
        blobs = await DirectoryBlobs.open(tmp_path / "blobs", files)
        await asyncio.gather(*(put_some(blobs) for _ in range(4)))
        await blobs.close()
        for directory, certain in losses:
            found = await DirectoryBlobs.open(directory / "blobs")
            for digest in certain:
                assert await found.verify(digest), (directory.name, digest)
            # And what nobody was told of is there whole, or not at all.
            for file in (directory / "blobs").glob("*/*"):
                assert await found.verify(file.name)
            await found.close()

    asyncio.run(main())


@pytest.mark.parametrize("forgotten", ["file", "directory"])
def test_the_record_notices_blobs_that_are_not_synced(tmp_path, forgotten):
    class Forgetful(RecordingFiles):
        def create(self, path):
            file = super().create(path)
            if forgotten == "file":
                file.sync = lambda: None
            return file

        def sync_directory(self, path):
            if forgotten != "directory" or path == root:
                super().sync_directory(path)

    root = tmp_path / "blobs"

    async def main() -> None:
        files = Forgetful()
        blobs = await DirectoryBlobs.open(root, files)
        digests = [await blobs.put(b"%d" % number * 1000) for number in range(20)]
        directory = tmp_path / "loss"
        directory.mkdir()
        files.leave_after_power_loss(tmp_path, directory, random.Random(1))
        await blobs.close()
        found = await DirectoryBlobs.open(directory / "blobs")
        assert not all([await found.verify(digest) for digest in digests])
        await found.close()

    asyncio.run(main())
