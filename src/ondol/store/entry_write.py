"""A put or a delete of one key, in the SQLite file."""

import asyncio

import apsw

from ondol.store.committer import Write
from ondol.store.protocol import Change, Entry, RevisionConflict
from ondol.store.watches import Watches


class EntryWrite(Write, kw_only=True):
    key: str
    value: bytes | None
    """None: delete."""

    expect: int | None
    watches: Watches
    done: "asyncio.Future[int]"
    """Of the loop's; never touched in the thread."""

    revision: int = 0
    """What it was committed as; 0 if it changed nothing."""

    @property
    def size(self) -> int:
        return len(self.value or b"")

    def perform(self, connection: apsw.Connection, revision: int) -> int:
        """Write if the record is at the expected revision."""
        self._execute(connection, revision + 1)
        if connection.changes():
            self.revision = revision + 1
            return self.revision
        if self.expect is not None:
            actual = connection.execute("SELECT revision FROM entries WHERE key = ?", (self.key,)).get or 0
            if actual != self.expect:
                self.error = RevisionConflict(f"{self.key!r} is at revision {actual}, not {self.expect}")
        return revision

    def announce(self) -> None:
        if self.error is None and self.revision:
            entry = None if self.value is None else Entry(self.value, self.revision)
            self.watches.publish(Change(self.key, entry), self.revision)

    def settle(self) -> None:
        if self.done.done():
            # Whoever asked was cancelled meanwhile.
            return
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.revision)

    def _execute(self, connection: apsw.Connection, revision: int) -> None:
        key, value, expect = self.key, self.value, self.expect
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
                "UPDATE entries SET value = ?, revision = ? WHERE key = ? AND revision = ?",
                (value, revision, key, expect),
            )
