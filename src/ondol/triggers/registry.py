"""Records of one kind as the store has them: read from memory, each written by compare-and-set.

A record's place is its parent, a few names, and its own name among those of the same parent. Knows nothing of what the
records mean.
"""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

import msgspec

from ondol.store.compare_and_set import repeated
from ondol.store.protocol import Store

R = TypeVar("R")
Parent = tuple[str, ...]

_ROOT = "trigger"


class Registry(Generic[R]):
    """Names are printable, without spaces and slashes."""

    def __init__(self, store: Store, kind: str, record: type[R]) -> None:
        self._store = store
        self._prefix = f"{_ROOT}/{kind}/"
        self._decode = msgspec.json.Decoder(record).decode
        self._held: dict[Parent, dict[str, tuple[R, int]]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def open(self) -> None:
        for key, entry in await self._store.list(self._prefix):
            *parent, name = key.removeprefix(self._prefix).split("/")
            self._held.setdefault(tuple(parent), {})[name] = self._decode(entry.value), entry.revision

    def get(self, parent: Parent, name: str) -> R | None:
        held = self._held.get(parent, {}).get(name)
        return None if held is None else held[0]

    @property
    def empty(self) -> bool:
        return not self._held

    def of(self, parent: Parent) -> list[R]:
        """By name."""
        return [record for _, (record, _) in sorted(self._held.get(parent, {}).items())]

    def __iter__(self) -> Iterator[tuple[Parent, str, R]]:
        return iter(
            [(parent, name, record) for parent, held in self._held.items() for name, (record, _) in held.items()]
        )

    async def change(self, parent: Parent, name: str, decide: Callable[[R | None], R | None]) -> R | None:
        """Write what `decide` wants of the record as it is; None is for one that is not there, or shall not be.

        The answer is durable. `decide` may be asked twice. Raises what it raises, and `PlatformError`.
        """
        key = self._prefix + "/".join((*parent, name))
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            return await repeated(
                key, partial(self._change, key, parent, name, decide), partial(self._reload, key, parent, name)
            )

    async def clear(self) -> None:
        """Delete all. Raises `PlatformError`."""
        await asyncio.gather(*(self.change(parent, name, lambda _: None) for parent, name, _ in self))

    async def _change(self, key: str, parent: Parent, name: str, decide: Callable[[R | None], R | None]) -> R | None:
        before, revision = self._held.get(parent, {}).get(name, (None, 0))
        wanted = decide(before)
        if wanted is before:
            return wanted
        if wanted is None:
            await self._store.delete(key, revision)
            self._drop(parent, name)
        else:
            revision = await self._store.put(key, msgspec.json.encode(wanted), revision)
            self._held.setdefault(parent, {})[name] = wanted, revision
        return wanted

    async def _reload(self, key: str, parent: Parent, name: str) -> None:
        """Somebody else wrote this record."""
        entry = await self._store.get(key)
        if entry is None:
            self._drop(parent, name)
        else:
            self._held.setdefault(parent, {})[name] = self._decode(entry.value), entry.revision

    def _drop(self, parent: Parent, name: str) -> None:
        held = self._held.get(parent, {})
        held.pop(name, None)
        if not held:
            self._held.pop(parent, None)
