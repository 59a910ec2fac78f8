"""Event source mappings as the store has them: read from memory, each written by compare-and-set.

Knows keys and revisions, and nothing of what the records mean.
"""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from weakref import WeakValueDictionary

from ondol.control.event_sources import MAPPINGS, MappingRecord, decode_mapping, encode_mapping, mapping_key
from ondol.model.ids import AccountId, Region
from ondol.store.compare_and_set import repeated
from ondol.store.protocol import Store

DecideMapping = Callable[[MappingRecord | None], MappingRecord | None]
"""Given a mapping as it is, what it is to be; None where there is none, or shall be none. It may be asked twice."""


class EventSourceRegistry:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._stored: dict[str, tuple[MappingRecord, int]] = {}

    async def open(self) -> None:
        for _, entry in await self._store.list(MAPPINGS):
            record = decode_mapping(entry.value)
            self._stored[record.mapping.id] = record, entry.revision

    def get(self, mapping_id: str) -> MappingRecord | None:
        stored = self._stored.get(mapping_id)
        return None if stored is None else stored[0]

    def listed(self, account: AccountId, region: Region) -> Iterator[MappingRecord]:
        """Those of one account in one region, by id."""
        for mapping_id in sorted(self._stored):
            mapping = self._stored[mapping_id][0].mapping
            if (mapping.account, mapping.region) == (account, region):
                yield self._stored[mapping_id][0]

    def __iter__(self) -> Iterator[MappingRecord]:
        return iter([record for record, _ in self._stored.values()])

    async def create(self, record: MappingRecord) -> None:
        """Durable once this returns. Raises `PlatformError`."""
        await self.change(record, lambda _: record)

    async def change(self, record: MappingRecord, decide: DecideMapping) -> MappingRecord | None:
        """Write what `decide` wants; the answer is durable. Raises what `decide` raises, and `PlatformError`."""
        mapping_id, key = record.mapping.id, mapping_key(record.mapping)
        lock = self._locks.setdefault(mapping_id, asyncio.Lock())
        async with lock:
            return await repeated(
                f"the mapping {mapping_id}",
                partial(self._change, mapping_id, key, decide),
                partial(self._reload, mapping_id, key),
            )

    async def _change(self, mapping_id: str, key: str, decide: DecideMapping) -> MappingRecord | None:
        before, revision = self._stored.get(mapping_id, (None, 0))
        wanted = decide(before)
        if wanted == before:
            return wanted
        if wanted is None:
            await self._store.delete(key, revision)
            del self._stored[mapping_id]
        else:
            self._stored[mapping_id] = wanted, await self._store.put(key, encode_mapping(wanted), revision)
        return wanted

    async def _reload(self, mapping_id: str, key: str) -> None:
        """Somebody else wrote this mapping."""
        entry = await self._store.get(key)
        if entry is None:
            self._stored.pop(mapping_id, None)
        else:
            self._stored[mapping_id] = decode_mapping(entry.value), entry.revision
