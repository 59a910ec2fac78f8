"""Work that goes on beside whoever began it."""

import asyncio
from collections.abc import Coroutine

from ondol.model.errors import InvariantError


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
