"""The store: keys with revisions, watches, queues and blobs. What SQLite, memory and a cluster engine can all do.

There is no transaction over keys and no range scan beyond a prefix; what must change together lives under one key. Nor
is there one over a queue and anything else: who must do two things writes the second before it acknowledges the first.
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


class Message(msgspec.Struct, frozen=True, gc=False):
    """Something out of a queue, in the hands of whoever took it."""

    id: int
    queue: str
    body: bytes
    put_back: int
    """How often it was put back before."""


class Queues(Protocol):
    """Queues by name, each there as soon as it is used. A message is delivered at least once.

    What was taken and neither acknowledged nor put back when its taker ends is taken again by the next one. Messages
    come by the time that they are due, nearly: no order is promised.
    """

    async def put(self, queue: str, body: bytes, delay: int = 0) -> None:
        """Durable when it returns. `delay`: not before so many nanoseconds. Raises `StoreError`."""
        ...

    async def take(self, queue: str, most: int) -> list[Message]:
        """Wait until a message is due, and take those that are, up to `most`. Cancelled, it has taken none."""
        ...

    def acknowledge(self, message: Message) -> None:
        """It is done with. Soon durable; whoever is killed before may be given it again."""
        ...

    def put_back(self, message: Message, delay: int) -> None:
        """Somebody is to take it again, in so many nanoseconds. Durable as `acknowledge` is."""
        ...

    def length(self, queue: str) -> int:
        """About how many messages there are that nobody has taken, due or not."""
        ...

    async def purge(self, queue: str) -> None:
        """Forget all its messages; what somebody has taken is not given to anybody again."""
        ...


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
