"""Executions in the store: a head each, and their steps, one after the other.

A step is there once its first part is; what follows from it is done only then. Large values are put together and
taken apart in a thread.
"""

import asyncio
from collections.abc import AsyncIterator

from ondol.background import SLOW_BYTES
from ondol.durable.records import (
    HEADS,
    PART_BYTES,
    Head,
    Step,
    decode_head,
    decode_step,
    encode,
    first_part,
    head_key,
    part_key,
    split,
)
from ondol.store.protocol import Store

_TURN_BYTES = 262_144
"""Read in one turn of the loop."""


class Journal:
    """All methods raise `StoreError`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def heads(self) -> list[Head]:
        return [decode_head(entry.value) for _, entry in await self._store.list(HEADS)]

    async def open(self, head: Head, step: Step) -> None:
        """Keep a new execution: once this returns it is there, with its first step.

        Raises `RevisionConflict` if there is one of this name.
        """
        await self.append(head.id, 0, step)
        await self._store.put(head_key(head), encode(head), expect=0)

    async def write(self, head: Head) -> None:
        """Keep what the head says now."""
        await self._store.put(head_key(head), encode(head))

    async def append(self, execution: str, number: int, step: Step) -> None:
        """Keep a step; `number` is how many there are before it.

        Raises `RevisionConflict` if somebody else has written that one: whoever lost the execution changes nothing.
        """
        large = any(len(operation.result or operation.input or "") > SLOW_BYTES for operation in step.operations)
        value = await asyncio.to_thread(encode, step) if large else encode(step)
        parts = split(value)
        for part in range(len(parts) - 1, -1, -1):
            await self._store.put(part_key(execution, number, part), parts[part], None if part else 0)

    async def steps(self, execution: str) -> AsyncIterator[Step]:
        """All of them, in order."""
        number = read = 0
        while (value := await self._value(execution, number)) is not None:
            yield await asyncio.to_thread(decode_step, value) if len(value) > PART_BYTES else decode_step(value)
            number += 1
            read += len(value)
            if read > _TURN_BYTES:
                read = 0
                await asyncio.sleep(0)

    async def forget(self, head: Head, steps: int) -> None:
        """Remove everything; the head goes last."""
        for number in range(steps - 1, -1, -1):
            await self._remove_step(head.id, number)
        await self._store.delete(head_key(head))

    async def _value(self, execution: str, number: int) -> bytes | None:
        entry = await self._store.get(part_key(execution, number, 0))
        if entry is None:
            return None
        count, value = first_part(entry.value)
        parts = [value]
        for part in range(1, count):
            following = await self._store.get(part_key(execution, number, part))
            if following is None:
                return None
            parts.append(following.value)
        return b"".join(parts)

    async def _remove_step(self, execution: str, number: int) -> None:
        entry = await self._store.get(part_key(execution, number, 0))
        if entry is not None:
            count, _ = first_part(entry.value)
            for part in range(count):
                await self._store.delete(part_key(execution, number, part))
