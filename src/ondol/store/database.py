"""The SQLite file of a store: how it is opened, checked and laid out.

It decides which files are a store of ours. It must not know threads or the loop.
"""

from pathlib import Path

import apsw

from ondol.store.protocol import StoreError

APPLICATION_ID = 0x6F6E646F
"""`ondo`, in the file's header: told from other people's databases."""

SCHEMA_VERSION = 2

_MESSAGES = """
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    due INTEGER NOT NULL,
    put_back INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX messages_by_due ON messages (queue, due, id);
"""

_SCHEMA = f"""
CREATE TABLE entries (
    key TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL,
    revision INTEGER NOT NULL
);
CREATE TABLE last_write (revision INTEGER NOT NULL);
INSERT INTO last_write VALUES (0);
{_MESSAGES}
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""

_FROM_VERSION_1 = f"{_MESSAGES} PRAGMA user_version = 2;"
"""Version 1 had no queues."""


def connect(path: Path, vfs: str | None) -> apsw.Connection:
    """A connection to a store that exists. Raises apsw.Error."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    connection.set_busy_timeout(5_000)
    # FULL: a commit has synced the log when it returns (sqlite.org/pragma.html#pragma_synchronous).
    connection.execute("PRAGMA synchronous = FULL")
    connection.wal_autocheckpoint(0)
    return connection


def prepare(path: Path, vfs: str | None) -> None:
    """Make the store if there is none; otherwise see that it is one, whole and of a version that is known.

    Raises `StoreError`, which says what is wrong and with which file.
    """
    try:
        # Made here for its mode: there are secrets in it.
        path.touch(mode=0o600)
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
        try:
            connection.set_busy_timeout(5_000)
            _check_or_create(path, connection)
        finally:
            connection.close()
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise StoreError(f"{path} is damaged, or no store: {error}") from error
    except (apsw.Error, OSError) as error:
        raise StoreError(f"{path} cannot be opened: {error}") from error


def _check_or_create(path: Path, connection: apsw.Connection) -> None:
    application = connection.pragma("application_id")
    version = connection.pragma("user_version")
    if application == 0 and version == 0 and connection.pragma("schema_version") == 0:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        return
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is a database, but not a store of ondol")
    if version not in (1, SCHEMA_VERSION):
        raise StoreError(f"{path} has version {version} of the layout; this ondol knows version {SCHEMA_VERSION}")
    fault = connection.execute("PRAGMA quick_check(1)").get
    if fault != "ok":
        raise StoreError(f"{path} is damaged: {fault}")
    if version == 1:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"BEGIN IMMEDIATE; {_FROM_VERSION_1} COMMIT;")
