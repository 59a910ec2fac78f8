"""Layers as the store has them: read from memory, each version written by compare-and-set.

Knows keys and revisions, and nothing of what the records mean.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar
from weakref import WeakValueDictionary

from ondol.control.layer_catalog import LayerCatalog, StoredLayerVersion
from ondol.control.layers import (
    LAYERS,
    LayerKey,
    LayerVersionRecord,
    decode_layer_version,
    encode_layer_version,
    layer_prefix,
    layer_version_key,
    read_layer_version_key,
)
from ondol.store.compare_and_set import repeated
from ondol.store.protocol import Entry, Store

_Result = TypeVar("_Result")

DecideLayer = Callable[[LayerVersionRecord | None], LayerVersionRecord | None]
"""Given a version as it is, what it is to be; None where there is none, or shall be none. It may be asked twice."""


class LayerRegistry:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._locks: WeakValueDictionary[LayerKey, asyncio.Lock] = WeakValueDictionary()
        self.catalog = LayerCatalog()

    async def open(self) -> None:
        self._take(await self._store.list(LAYERS))

    async def publish(self, key: LayerKey, record: LayerVersionRecord) -> int:
        """Write the next version; the answer is its number, and by then it is durable. Raises `PlatformError`."""

        async def publish() -> int:
            number = self.catalog.next_number(key)
            await self._write(key, number, record, 0)
            return number

        return await self._change(key, publish)

    async def change(self, key: LayerKey, number: int, decide: DecideLayer) -> LayerVersionRecord | None:
        """Write what `decide` wants; the answer is durable. Raises what `decide` raises, and `PlatformError`."""

        async def change() -> LayerVersionRecord | None:
            stored = self.catalog.stored(key, number)
            before = None if stored is None else stored.record
            wanted = decide(before)
            if wanted != before:
                await self._write(key, number, wanted, 0 if stored is None else stored.revision)
            return wanted

        return await self._change(key, change)

    async def clear(self) -> None:
        """Delete every layer of every account; numbers begin at 1 again. Raises `PlatformError`."""
        await asyncio.gather(*(self._change(key, partial(self._remove, key)) for key in list(self.catalog)))

    async def _remove(self, key: LayerKey) -> None:
        for number, stored in self.catalog.taken(key).items():
            await self._store.delete(layer_version_key(key, number), stored.revision)
        self.catalog.remove(key)

    async def _change(self, key: LayerKey, attempt: Callable[[], Awaitable[_Result]]) -> _Result:
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            return await repeated(key.arn, attempt, partial(self._reload, key))

    async def _write(self, key: LayerKey, number: int, record: LayerVersionRecord | None, expect: int) -> None:
        revision = await self._store.put(layer_version_key(key, number), encode_layer_version(record), expect)
        self.catalog.put(key, number, StoredLayerVersion(record, revision))

    async def _reload(self, key: LayerKey) -> None:
        """Somebody else wrote this layer."""
        entries = await self._store.list(layer_prefix(key))
        self.catalog.remove(key)
        self._take(entries)

    def _take(self, entries: list[tuple[str, Entry]]) -> None:
        for text, entry in entries:
            key, number = read_layer_version_key(text)
            self.catalog.put(key, number, StoredLayerVersion(decode_layer_version(entry.value), entry.revision))
