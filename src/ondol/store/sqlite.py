"""The store in one SQLite file: reads on the loop (3 us each), writes by the committer's thread.

It decides when a caller and the watchers hear of a write: after the commit that has it is synced, the watchers first.
A checkpoint never runs on the loop.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw

from ondol.store import database
from ondol.store.committer import Batch, Committer, Write
from ondol.store.entry_write import EntryWrite
from ondol.store.files import SystemFiles
from ondol.store.keys import check_key, check_prefix, check_value
from ondol.store.protocol import Change, Entry, StoreError, Subscription
from ondol.store.watches import Watches

Entries = list[tuple[str, Entry]]
Rows = list[tuple[Any, ...]]


class SqliteStore:
    """A `Store`. One process uses a file at a time: others' writes would not be heard of."""

    def __init__(self, path: Path, vfs: str | None) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._reader = database.connect(path, vfs)
        self._reader.execute("PRAGMA query_only = ON")
        self._committer = Committer(database.connect(path, vfs), self._committed)
        self._watches = Watches()
        self._closed = False

    @classmethod
    async def open(cls, path: Path, vfs: str | None = None) -> "SqliteStore":
        """Make or check the file, and be ready. `vfs` names SQLite's file layer: None for the system's.

        Raises `StoreError` for a file that is damaged, not a store, or of a version that is not known.
        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, database.prepare, path, vfs)
        try:
            await loop.run_in_executor(None, SystemFiles().sync_directory, path.parent)
            store = cls(path, vfs)
        except (OSError, apsw.Error) as error:
            raise StoreError(f"{path} cannot be opened: {error}") from error
        store._committer.start()
        return store

    async def get(self, key: str) -> Entry | None:
        check_key(key)
        row = self.read("SELECT value, revision FROM entries WHERE key = ?", (key,))
        return Entry(*row[0]) if row else None

    async def list(self, prefix: str) -> Entries:
        check_prefix(prefix)
        return self._list(prefix)

    async def put(self, key: str, value: bytes, expect: int | None = None) -> int:
        check_key(key)
        check_value(key, value)
        return await self._write(key, value, expect)

    async def delete(self, key: str, expect: int | None = None) -> None:
        check_key(key)
        await self._write(key, None, expect)

    async def watch(self, prefix: str, on_change: Callable[[Change], None]) -> Subscription:
        check_prefix(prefix)
        # One transaction: what is listed is the state at exactly that revision.
        self.read("BEGIN")
        try:
            [(seen,)] = self.read("SELECT revision FROM last_write")
            state = [Change(key, entry) for key, entry in self._list(prefix)]
        finally:
            self.read("COMMIT")
        return self._watches.add(prefix, on_change, state, seen)

    def read(self, query: str, values: tuple[int | str, ...] = (), most_bytes: int | None = None) -> Rows:
        """The rows of a query; those in which the last value of each row makes `most_bytes` together, at least one.

        Raises `StoreError`.
        """
        if self._closed:
            raise StoreError("the store is closed")
        try:
            cursor = self._reader.execute(query, values)
            return cursor.fetchall() if most_bytes is None else _within(cursor, most_bytes)
        except apsw.Error as error:
            raise StoreError(f"{self._path} cannot be read: {error}") from error

    def submit(self, write: Write) -> None:
        """Have it committed, with whatever else is being written. Raises `StoreError`."""
        if self._closed:
            raise StoreError("the store is closed")
        self._committer.submit(write)

    async def close(self) -> None:
        """Commit what was asked for, and end. A second time is no error."""
        if not self._closed:
            self._closed = True
            await self._loop.run_in_executor(None, self._committer.stop)
            self._reader.close()

    def _list(self, prefix: str) -> Entries:
        query = "SELECT key, value, revision FROM entries"
        if not prefix:
            rows = self.read(f"{query} ORDER BY key")
        else:
            # A prefix ends with a slash, and a zero is what comes after a slash.
            rows = self.read(f"{query} WHERE key > ? AND key < ? ORDER BY key", (prefix, f"{prefix[:-1]}0"))
        return [(key, Entry(value, revision)) for key, value, revision in rows]

    async def _write(self, key: str, value: bytes | None, expect: int | None) -> int:
        done: asyncio.Future[int] = self._loop.create_future()
        self.submit(EntryWrite(key=key, value=value, expect=expect, watches=self._watches, done=done))
        return await done

    def _committed(self, batch: Batch) -> None:
        """In the committer's thread."""
        # A loop that was closed before its store has nobody left to tell.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._tell, batch)

    def _tell(self, batch: Batch) -> None:
        for write in batch:
            write.announce()
        for write in batch:
            write.settle()


def _within(cursor: apsw.Cursor, most_bytes: int) -> Rows:
    rows = []
    for row in cursor:
        rows.append(row)
        most_bytes -= len(row[-1])
        if most_bytes <= 0:
            break
    cursor.close(True)
    return rows
