"""The store in memory, for tests and the simulator: the same semantics, no thread, no file, nothing kept.

A write takes effect at once and returns a turn of the loop later, so that what races over the real stores races here.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterable, Callable
from pathlib import Path

from ondol.model.ids import CodeDigest
from ondol.model.time import SECOND, Clock, Instant
from ondol.store.keys import check_key, check_prefix, check_value
from ondol.store.protocol import Change, Entry, RevisionConflict, StoreError, Subscription
from ondol.store.watches import Watches


class MemoryStore:
    """A `Store`."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._revision = 0
        self._watches = Watches()
        self._closed = False

    async def get(self, key: str) -> Entry | None:
        check_key(key)
        self._check_open()
        return self._entries.get(key)

    async def list(self, prefix: str) -> list[tuple[str, Entry]]:
        check_prefix(prefix)
        self._check_open()
        return [(key, self._entries[key]) for key in sorted(self._entries) if key.startswith(prefix)]

    async def put(self, key: str, value: bytes, expect: int | None = None) -> int:
        check_key(key)
        check_value(key, value)
        self._check_open()
        self._check_revision(key, expect)
        self._revision += 1
        revision = self._revision
        self._entries[key] = entry = Entry(value, revision)
        self._watches.publish(Change(key, entry), revision)
        await asyncio.sleep(0)
        return revision

    async def delete(self, key: str, expect: int | None = None) -> None:
        check_key(key)
        self._check_open()
        self._check_revision(key, expect)
        if self._entries.pop(key, None) is not None:
            self._revision += 1
            self._watches.publish(Change(key, None), self._revision)
        await asyncio.sleep(0)

    async def watch(self, prefix: str, on_change: Callable[[Change], None]) -> Subscription:
        state = [Change(key, entry) for key, entry in await self.list(prefix)]
        return self._watches.add(prefix, on_change, state, self._revision)

    async def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")

    def _check_revision(self, key: str, expect: int | None) -> None:
        entry = self._entries.get(key)
        actual = entry.revision if entry is not None else 0
        if expect is not None and expect != actual:
            raise RevisionConflict(f"{key!r} is at revision {actual}, not {expect}")


class MemoryBlobs:
    """`Blobs`. What `path` returns is a name only: whoever reads the file must be simulated as well."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._put_at: dict[CodeDigest, Instant] = {}

    async def put(self, content: bytes | AsyncIterable[bytes]) -> CodeDigest:
        sha = hashlib.sha256()
        if isinstance(content, bytes):
            sha.update(content)
        else:
            async for piece in content:
                sha.update(piece)
        digest = CodeDigest(sha.hexdigest())
        self._put_at[digest] = self._clock.now()
        await asyncio.sleep(0)
        return digest

    async def path(self, digest: CodeDigest) -> Path | None:
        return Path("/memory", digest) if digest in self._put_at else None

    async def verify(self, digest: CodeDigest) -> bool:
        return digest in self._put_at

    async def collect(self, in_use: Callable[[], frozenset[CodeDigest]], grace_s: float) -> int:
        before = self._clock.now() - int(grace_s * SECOND)
        needed = in_use()
        stale = [digest for digest, at in self._put_at.items() if at < before and digest not in needed]
        for digest in stale:
            del self._put_at[digest]
        return len(stale)
