"""What happens after an accepted change of a mapping, in the background: its poller is stopped, started, forgotten."""

import asyncio

from msgspec.structs import replace

from ondol.control.event_source_registry import EventSourceRegistry
from ondol.control.event_sources import SETTLED, MappingRecord, MappingState, settled_state
from ondol.model.errors import PlatformError
from ondol.pollers.api import Pollers

_RETRY_S = 1.0
_PATIENCE_S = 5.0


class EventSourceSettler:
    """Takes each mapping to where it is to be, with one task for each."""

    def __init__(self, registry: EventSourceRegistry, pollers: Pollers) -> None:
        self._registry = registry
        self._pollers = pollers
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def resume(self) -> None:
        """After a start: settle what was under way, and poll for what is enabled."""
        for record in self._registry:
            self.start(record.mapping.id)

    def start(self, mapping_id: str) -> None:
        """Have its poller be what the record says; no-one waits."""
        before = self._tasks.get(mapping_id)
        # What waits for its source, perhaps for ever, gives way to what is wanted now.
        if before is not None:
            before.cancel()
        task = asyncio.create_task(self._settle(mapping_id, before), name=f"settle the mapping {mapping_id}")
        self._tasks[mapping_id] = task
        task.add_done_callback(lambda task: self._ended(mapping_id, task))

    async def settled(self, mapping_id: str) -> None:
        """Wait until nothing of it is on its way, or its poller has taken very long."""
        task = self._tasks.get(mapping_id)
        if task is not None:
            await asyncio.wait({task}, timeout=_PATIENCE_S)

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, mapping_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(mapping_id) is task:
            del self._tasks[mapping_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": f"{task.get_name()} failed", "exception": error})

    async def _settle(self, mapping_id: str, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        while (record := self._registry.get(mapping_id)) is not None:
            try:
                await self._pass(record)
            except PlatformError:
                # The store cannot write now. What is settled so far is in it; the rest is done again.
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def _pass(self, record: MappingRecord) -> None:
        await self._pollers.stop(record.mapping.id)
        wanted = settled_state(record)
        if wanted is MappingState.ENABLED:
            await self._pollers.start(record.mapping)
        elif wanted is None:
            await self._pollers.forget(record.mapping)
        if record.state not in SETTLED:
            await self._registry.change(record, lambda now: _settled(now, record))


def _settled(now: MappingRecord | None, record: MappingRecord) -> MappingRecord | None:
    """The record once what it had in mind is done; what was changed meanwhile is not done yet, but for its tags."""
    if now is None or replace(now, tags=record.tags) != record:
        return now
    state = settled_state(now)
    return None if state is None else replace(now, state=state)
