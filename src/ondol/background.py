"""Work that goes on beside whoever began it, and what is too slow to be done on the event loop."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from ondol.model.errors import InvariantError

SLOW_BYTES = 65_536
"""JSON of more bytes than this is read and written away from the event loop: it takes 2 ms a megabyte."""

T = TypeVar("T")


class Background:
    """Tasks that nobody awaits. One that fails is a bug, told to the loop's exception handler: nothing is swallowed."""

    def __init__(self, work: str) -> None:
        self._work = work
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    async def finished(self) -> None:
        """Wait until nothing is under way any more, what is begun meanwhile included."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise InvariantError(f"{self._work} failed in a way that nobody foresaw") from error


class WholeWork:
    """Work that is awaited, and done to its end all the same if whoever awaits it goes away: none is left half done."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any]] = set()

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def finished(self) -> None:
        """Wait for the end of what is under way, however it ends: whoever asked for it is told."""
        await asyncio.gather(*self._under_way, return_exceptions=True)
