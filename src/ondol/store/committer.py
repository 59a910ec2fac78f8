"""The one thread that writes to the SQLite file: it commits together whatever queued while it did the last commit.

It decides what goes into one commit and when the log is copied back into the file. A commit that fails fails all that
was in it, and leaves nothing of it. It must not know the loop.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

import apsw
import msgspec

from ondol.store.protocol import RevisionConflict, StoreError

_BATCH = 512
_BATCH_BYTES = 8_388_608

_CHECKPOINT_PAGES = 1_000
"""4 MiB of log: copied back when nobody waits."""

_LARGE_LOG_PAGES = 16_000
"""64 MiB: copied back although somebody waits."""


class Write(msgspec.Struct):
    """One put or delete, and later what became of it."""

    key: str
    value: bytes | None
    """None: delete."""

    expect: int | None
    done: "asyncio.Future[int]"
    """Of the loop's; never touched in the thread."""

    revision: int = 0
    """What it was committed as; 0 if it changed nothing."""

    error: Exception | None = None


Batch = list[Write]


class Committer:
    """Runs until `stop`; hands each finished batch to `finished`, in the thread, in the order of commits."""

    def __init__(self, connection: apsw.Connection, finished: Callable[[Batch], None]) -> None:
        self._connection = connection
        self._finished = finished
        self._queue: SimpleQueue[Write | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._log_pages = 0

    def start(self) -> None:
        self._thread.start()

    def submit(self, write: Write) -> None:
        self._queue.put(write)

    def stop(self) -> None:
        """Commit what is queued, and end. Blocks."""
        self._queue.put(None)
        self._thread.join()

    # ---- in the thread

    def _run(self) -> None:
        connection = self._connection
        connection.set_wal_hook(self._note_log)
        try:
            stopping = False
            while not stopping:
                batch, stopping = self._gather()
                if batch:
                    self._commit(connection, batch)
                    self._finished(batch)
                    self._checkpoint(connection)
        finally:
            connection.close()

    def _gather(self) -> tuple[Batch, bool]:
        """Wait for a write, and take all that queued behind it; and whether it is time to stop."""
        batch: Batch = []
        size = 0
        write = self._queue.get()
        while write is not None:
            batch.append(write)
            size += len(write.value or b"")
            if len(batch) >= _BATCH or size >= _BATCH_BYTES:
                return batch, False
            try:
                write = self._queue.get_nowait()
            except Empty:
                return batch, False
        return batch, True

    def _commit(self, connection: apsw.Connection, batch: Batch) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
            last = revision = connection.execute("SELECT revision FROM last_write").get
            for write in batch:
                if _perform(connection, write, revision + 1):
                    revision += 1
            if revision != last:
                connection.execute("UPDATE last_write SET revision = ?", (revision,))
            connection.execute("COMMIT")
        except apsw.Error as error:
            # Some errors have rolled back already; a rollback that fails as well changes nothing.
            with suppress(apsw.Error):
                connection.execute("ROLLBACK")
            for write in batch:
                write.error = _as_store_error(error)

    def _note_log(self, connection: apsw.Connection, name: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self, connection: apsw.Connection) -> None:
        """The acknowledged writes are safe in the log; to copy them back may take a quarter of a second."""
        if self._log_pages > (_CHECKPOINT_PAGES if self._queue.empty() else _LARGE_LOG_PAGES):
            # What could not be copied stays in the log; the next commit that does not fit reports the disk's error.
            with suppress(apsw.Error):
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._log_pages = 0


def _perform(connection: apsw.Connection, write: Write, revision: int) -> bool:
    """Apply one write if the record is at the expected revision; whether anything changed."""
    key, value, expect = write.key, write.value, write.expect
    if value is None:
        if expect is None:
            connection.execute("DELETE FROM entries WHERE key = ?", (key,))
        else:
            connection.execute("DELETE FROM entries WHERE key = ? AND revision = ?", (key, expect))
    elif expect is None:
        connection.execute(
            "INSERT INTO entries VALUES (?1, ?2, ?3)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision",
            (key, value, revision),
        )
    elif expect == 0:
        connection.execute("INSERT INTO entries VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (key, value, revision))
    else:
        connection.execute(
            "UPDATE entries SET value = ?, revision = ? WHERE key = ? AND revision = ?", (value, revision, key, expect)
        )
    if connection.changes():
        write.revision = revision
        return True
    if expect is not None:
        actual = connection.execute("SELECT revision FROM entries WHERE key = ?", (key,)).get or 0
        if actual != expect:
            write.error = RevisionConflict(f"{key!r} is at revision {actual}, not {expect}")
    return False


def _as_store_error(error: apsw.Error) -> StoreError:
    if isinstance(error, apsw.FullError):
        failure = StoreError("the disk of the store is full; nothing was written")
    else:
        failure = StoreError(f"the store could not be written: {error}")
    failure.__cause__ = error
    return failure
