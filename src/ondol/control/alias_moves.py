"""Aliases that are led to another version, with provisioned concurrency: their traffic follows once that is ready."""

import asyncio

from msgspec.structs import replace

from ondol.control.catalog import Stored
from ondol.control.claims import Claims
from ondol.control.provisioned import arrived, moving
from ondol.control.records import Edit
from ondol.control.registry import Registry
from ondol.model.errors import PlatformError
from ondol.model.function import FunctionKey
from ondol.worker_manager.api import ProvisionStatus

_LOOK_AGAIN_S = 1.0
"""After a failure, which may be made good: by room on a worker, or by somebody who leads the alias elsewhere."""


class AliasMoves:
    """One task for each alias that is on its way."""

    def __init__(self, registry: Registry, claims: Claims) -> None:
        self._registry = registry
        self._claims = claims
        self._tasks: dict[tuple[FunctionKey, str], asyncio.Task[None]] = {}

    def start(self, key: FunctionKey) -> None:
        """See every alias of this function to where it is led; no-one waits."""
        stored = self._registry.catalog.get(key)
        for name in moving(stored.record) if stored is not None else ():
            if (key, name) not in self._tasks:
                task = asyncio.create_task(self._see_to(key, name), name=f"lead {key.arn}:{name}")
                self._tasks[key, name] = task
                task.add_done_callback(lambda task, place=(key, name): self._ended(place, task))  # type: ignore[misc]

    async def close(self) -> None:
        """What is on its way goes on at the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, place: tuple[FunctionKey, str], task: asyncio.Task[None]) -> None:
        del self._tasks[place]
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": f"{task.get_name()} failed", "exception": error})

    async def _see_to(self, key: FunctionKey, name: str) -> None:
        while (version := self._destination(key, name)) is not None:
            state = await self._claims.provisioned(key, version)
            if state is None or state.status is not ProvisionStatus.READY:
                await asyncio.sleep(_LOOK_AGAIN_S)
                continue
            try:
                await self._arrive(key, name, version)
            except PlatformError:
                await asyncio.sleep(_LOOK_AGAIN_S)  # the store cannot write now

    def _destination(self, key: FunctionKey, name: str) -> str | None:
        stored = self._registry.catalog.get(key)
        alias = None if stored is None else stored.record.aliases.get(name)
        return alias.version if alias is not None and alias.moving else None

    async def _arrive(self, key: FunctionKey, name: str, version: str) -> None:
        def decide(stored: Stored | None) -> Edit | None:
            if stored is None:
                return None
            alias = stored.record.aliases.get(name)
            if alias is None or not alias.moving or alias.version != version:
                return None
            return Edit(replace(stored.record, aliases={**stored.record.aliases, name: arrived(alias)}))

        async with self._claims.changing:
            await self._registry.change(key, decide)
            await self._claims.grown(key)
