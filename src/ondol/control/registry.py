"""Functions as the store has them: read from memory, changed one at a time by compare-and-set.

Knows keys and revisions and in which order they are written, and nothing of what the records mean. One control acts
on a store at a time; the revisions are what stops one that does not know yet that it was replaced.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from weakref import WeakValueDictionary

from ondol.control.catalog import Catalog, Stored
from ondol.control.records import (
    FUNCTIONS,
    VERSIONS,
    Edit,
    VersionKey,
    decode_function,
    encode,
    function_key,
    read_function_key,
    read_version_key,
    version_key,
    version_prefix,
)
from ondol.model.function import FunctionKey
from ondol.store.compare_and_set import repeated
from ondol.store.protocol import Entry, Store, StoreError

Decide = Callable[[Stored | None], Edit | None]
"""Given a function as it is, what is to be written; None if nothing is. It may be asked more than once."""


class Registry:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._locks: WeakValueDictionary[FunctionKey, asyncio.Lock] = WeakValueDictionary()
        self.catalog = Catalog()

    async def open(self) -> None:
        """Load everything, and delete the versions that no function names."""
        packed: dict[FunctionKey, dict[VersionKey, bytes]] = {}
        for text, entry in await self._store.list(VERSIONS):
            version = read_version_key(text)
            packed.setdefault(version.function, {})[version] = entry.value
        for text, entry in await self._store.list(FUNCTIONS):
            key = read_function_key(text)
            stored, orphans = _assemble(entry, packed.pop(key, {}))
            self.catalog.put(key, stored)
            await self._delete(orphans)
        for versions in packed.values():
            await self._delete(versions)

    async def change(self, key: FunctionKey, decide: Decide) -> Stored | None:
        """Write what `decide` wants; the answer is the function then, durable, or None if there is none.

        Raises what `decide` raises, and `PlatformError` when nothing was changed because the store could not.
        """
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            return await repeated(key.arn, partial(self._change, key, decide), partial(self._reload, key))

    async def _change(self, key: FunctionKey, decide: Decide) -> Stored | None:
        before = self.catalog.get(key)
        edit = decide(before)
        return before if edit is None else await self._write(key, before, edit)

    async def _write(self, key: FunctionKey, before: Stored | None, edit: Edit) -> Stored | None:
        expect = before.revision if before is not None else 0
        if edit.record is None:
            await self._store.delete(function_key(key), expect)
            self.catalog.remove(key)
            await self._delete(_version_keys(key, before))
            return None
        packed = dict(before.packed) if before is not None else {}
        if edit.version is not None:
            number, version = edit.version
            packed[number] = encode(version)
            name = VersionKey(key, edit.record.incarnation, number, edit.record.versions[number].publication)
            await self._store.put(version_key(name), packed[number])
        revision = await self._store.put(function_key(key), encode(edit.record), expect)
        stored = Stored(edit.record, revision, {number: packed[number] for number in edit.record.versions})
        self.catalog.put(key, stored)
        kept = set(_version_keys(key, stored))
        await self._delete(name for name in _version_keys(key, before) if name not in kept)
        return stored

    async def _reload(self, key: FunctionKey) -> None:
        """Somebody else wrote this function."""
        entry = await self._store.get(function_key(key))
        if entry is None:
            self.catalog.remove(key)
            return
        versions = await self._store.list(version_prefix(key))
        stored, _ = _assemble(entry, {read_version_key(text): entry.value for text, entry in versions})
        self.catalog.put(key, stored)

    async def _delete(self, orphans: Iterable[VersionKey]) -> None:
        # What stays behind is named by nobody, and the next start deletes it.
        with suppress(StoreError):
            await asyncio.gather(*(self._store.delete(version_key(name)) for name in orphans))


def _assemble(entry: Entry, versions: dict[VersionKey, bytes]) -> tuple[Stored, list[VersionKey]]:
    """A function with the versions that its record names, and the others."""
    record = decode_function(entry.value)
    packed, orphans = {}, []
    for name, value in versions.items():
        published = record.versions.get(name.number)
        if published is None or (record.incarnation, published.publication) != (name.incarnation, name.publication):
            orphans.append(name)
        else:
            packed[name.number] = value
    return Stored(record, entry.revision, packed), orphans


def _version_keys(key: FunctionKey, stored: Stored | None) -> list[VersionKey]:
    if stored is None:
        return []
    record = stored.record
    return [
        VersionKey(key, record.incarnation, number, version.publication) for number, version in record.versions.items()
    ]
