"""Views of functions, and everybody who decides by them: who is told, and how long is waited for an answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ondol.control.api import ViewHolder
from ondol.control.function_view import view_of
from ondol.control.leases import HolderLeases
from ondol.control.registry import Registry
from ondol.model.function import FunctionKey, FunctionView
from ondol.model.http_api import HttpApi, HttpApiKey
from ondol.model.time import SECOND, Clock

_log = logging.getLogger(__name__)

Tell = Callable[[ViewHolder], Awaitable[None]]
Subject = FunctionKey | HttpApiKey


class Holders:
    """Tells every holder of each change to a function that somebody has looked at, and to an HTTP API."""

    def __init__(self, registry: Registry, clock: Clock, lease: int, nearest_runtime: bool) -> None:
        self._registry = registry
        self._clock = clock
        self._nearest_runtime = nearest_runtime
        self._leases = HolderLeases(lease)
        self._holders: dict[str, ViewHolder] = {}
        self._viewed: set[FunctionKey] = set()
        self._under_way: set[asyncio.Task[None]] = set()
        self._last: dict[tuple[str, Subject], asyncio.Task[None]] = {}
        """The latest thing that a holder is being told of a function or an API."""

    def register(self, holder: ViewHolder) -> None:
        self._holders[holder.name] = holder
        self._leases.joined(holder.name)

    def view(self, key: FunctionKey) -> FunctionView | None:
        """The function as it runs now, for somebody who will keep it."""
        view = self.current(key)
        if view is not None:
            self._viewed.add(key)
        return view

    async def announce(self, key: FunctionKey) -> FunctionView | None:
        """Once this returns, no invocation starts by an older view than the one that is answered."""
        view = self.current(key)
        if view is not None and key in self._viewed:
            await self._tell_all(key, lambda holder: holder.adopt(view))
        return view

    async def forget(self, key: FunctionKey) -> None:
        """The function was deleted."""
        if key in self._viewed:
            self._viewed.discard(key)
            await self._tell_all(key, lambda holder: holder.forget(key))

    async def announce_api(self, api: HttpApi) -> None:
        """Once this returns, no request is answered by an older state of this API."""
        await self._tell_all(api.key, lambda holder: holder.adopt_api(api))

    async def forget_api(self, api: HttpApi) -> None:
        """The API was deleted."""
        await self._tell_all(api.key, lambda holder: holder.forget_api(api.id))

    async def close(self) -> None:
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def current(self, key: FunctionKey) -> FunctionView | None:
        """The function as it runs now, for somebody who will not keep it."""
        stored = self._registry.catalog.get(key)
        return None if stored is None else view_of(key, stored, self._nearest_runtime)

    async def _tell_all(self, key: Subject, tell: Tell) -> None:
        told: dict[str, int] = {}
        pending: set[asyncio.Task[None]] = set()
        for name, holder in self._holders.items():
            told[name] = self._leases.sent(name, self._clock.now())
            pending.add(self._start(holder, key, told[name], tell))
        while pending and (wait := self._leases.owing(told, self._clock.now())) > 0:
            _, pending = await asyncio.wait(pending, timeout=wait / SECOND, return_when=asyncio.FIRST_COMPLETED)
        # A holder that failed has acknowledged nothing: only time makes sure that it stopped.
        if (wait := self._leases.owing(told, self._clock.now())) > 0:
            await asyncio.sleep(wait / SECOND)

    def _start(self, holder: ViewHolder, key: Subject, number: int, tell: Tell) -> asyncio.Task[None]:
        place = (holder.name, key)
        task = asyncio.create_task(
            self._tell(holder, number, tell, self._last.get(place)), name=f"tell {holder.name} of {key.arn}"
        )
        self._under_way.add(task)
        self._last[place] = task

        def ended(task: asyncio.Task[None]) -> None:
            self._under_way.discard(task)
            if self._last.get(place) is task:
                del self._last[place]

        task.add_done_callback(ended)
        return task

    async def _tell(self, holder: ViewHolder, number: int, tell: Tell, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            # In order: a view that arrived after its function's end would be kept for ever.
            await asyncio.wait({before})
        try:
            await tell(holder)
        except Exception:  # noqa: BLE001  a supervisor: whatever is wrong with a holder, its lease decides
            _log.exception("%s did not take a change to its views", holder.name)
        else:
            self._leases.acknowledged(holder.name, number)
