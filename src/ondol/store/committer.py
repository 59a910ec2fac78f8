"""The one thread that writes to the SQLite file: it commits together whatever queued while it did the last commit.

It decides what goes into one commit and when the log is copied back into the file. A commit that fails fails all that
was in it, and leaves nothing of it. It must not know the loop.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

import apsw
import msgspec

from ondol.store.protocol import StoreError

_BATCH = 512
_BATCH_BYTES = 8_388_608

_CHECKPOINT_PAGES = 1_000
"""4 MiB of log: copied back when nobody waits."""

_LARGE_LOG_PAGES = 16_000
"""64 MiB: copied back although somebody waits."""


class Write(msgspec.Struct):
    """Something to be written, and later what became of it. Made on the loop, performed in the thread."""

    error: Exception | None = None

    @property
    def size(self) -> int:
        """About how many bytes it writes."""
        return 0

    def perform(self, connection: apsw.Connection, revision: int) -> int:
        """In the thread: write it. The answer is the store's revision then. Raises apsw.Error."""
        raise NotImplementedError

    def announce(self) -> None:
        """On the loop, once it is durable or has failed: tell who did not ask for it."""

    def settle(self) -> None:
        """On the loop, when all of its commit have announced: tell who asked."""


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
            size += write.size
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
                revision = write.perform(connection, revision)
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


def _as_store_error(error: apsw.Error) -> StoreError:
    if isinstance(error, apsw.FullError):
        failure = StoreError("the disk of the store is full; nothing was written")
    else:
        failure = StoreError(f"the store could not be written: {error}")
    failure.__cause__ = error
    return failure
