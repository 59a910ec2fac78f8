"""The store: keys with revisions, watches and blobs. What SQLite, memory and a cluster engine can all do, and no more.

There is no transaction over keys and no range scan beyond a prefix; what must change together lives under one key.
`tests/contracts/test_store.py` holds every implementation to this.
"""

from collections.abc import AsyncIterable, Callable
from pathlib import Path
from typing import Protocol

import msgspec

from ondol.model.ids import CodeDigest


class StoreError(Exception):
    """The store could not do it (disk full, I/O error, closed). Nothing half-made remains; a write did not happen."""


class RevisionConflict(Exception):
    """The key's revision is not the expected one: somebody else wrote it in between."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    value: bytes
    revision: int
    """Of the store as a whole when this value was written: grows with every write to any key."""


class Change(msgspec.Struct, frozen=True, gc=False):
    key: str
    entry: Entry | None
    """None: the key was deleted."""


class Subscription(Protocol):
    def close(self) -> None: ...


class Store(Protocol):
    async def get(self, key: str) -> Entry | None: ...

    async def put(self, key: str, value: bytes, expect: int | None = None) -> int:
        """Write; the answer is the new revision, and by then the value is durable.

        `expect` is the revision that the key must have (0: it must not exist; None: whatever it has).
        Raises `RevisionConflict`, `StoreError`.
        """
        ...

    async def delete(self, key: str, expect: int | None = None) -> None:
        """Remove a key; one that is not there is no error unless `expect` says so."""
        ...

    async def list(self, prefix: str) -> list[tuple[str, Entry]]:
        """All keys with this prefix, sorted."""
        ...

    async def watch(self, prefix: str, on_change: Callable[[Change], None]) -> Subscription:
        """Call `on_change` on the loop: first for each key that is there, then for each durable change, in order."""
        ...

    async def close(self) -> None: ...


class Blobs(Protocol):
    """Immutable bytes by their SHA-256."""

    async def put(self, content: bytes | AsyncIterable[bytes]) -> CodeDigest:
        """Durable (file and directory synced) once this returns. Raises `StoreError`."""
        ...

    async def path(self, digest: CodeDigest) -> Path | None:
        """Where a reader finds the bytes."""
        ...

    async def verify(self, digest: CodeDigest) -> bool:
        """Whether the bytes are there and are what the digest says."""
        ...

    async def collect(self, in_use: Callable[[], frozenset[CodeDigest]], grace_s: float) -> int:
        """Remove blobs that are not in use and older than the grace period; the answer is how many."""
        ...
