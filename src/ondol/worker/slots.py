"""Slots ahead: sandboxes prepared before anybody needs them, for each runtime and account that is in use."""

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

from ondol.background import Background
from ondol.model.ids import AccountId, CodeDigest, SandboxId
from ondol.model.runtime import Runtime
from ondol.sandbox.driver import Driver, Sandbox, SlotSpec
from ondol.sandbox.errors import SandboxError


class SlotKey(msgspec.Struct, frozen=True):
    """What a slot is prepared for."""

    runtime: Runtime
    account: AccountId


class _Kind:
    __slots__ = ("expecting", "preparing", "ready", "waiting")

    def __init__(self) -> None:
        self.ready: deque[Sandbox] = deque()
        self.preparing = 0
        self.waiting: deque[asyncio.Future[Sandbox]] = deque()
        """Who has something to start."""

        self.expecting: deque[asyncio.Future[Sandbox]] = deque()
        """Who will have."""

    @property
    def wanted(self) -> int:
        """How many are to be handed out as soon as they are ready."""
        return len(self.waiting) + len(self.expecting)

    @property
    def busy(self) -> bool:
        """Somebody waits for one, or one is on its way."""
        return self.preparing > 0 or self.wanted > 0

    def next(self) -> asyncio.Future[Sandbox] | None:
        """Whose turn it is, and no longer."""
        while self.wanted:
            waiter = (self.waiting or self.expecting).popleft()
            if not waiter.done():
                return waiter
        return None


class Slots:
    """Keeps `ahead` slots of each kind ready; a taken one is replaced at once, a few at a time."""

    def __init__(self, driver: Driver, ahead: int, at_once: int, new_id: Callable[[], str]) -> None:
        self._driver = driver
        self._ahead = ahead
        self._at_once = at_once
        self._new_id = new_id
        self._kinds: dict[SlotKey, _Kind] = {}
        self._preparing = Background("preparing a slot")
        self._closed = False

    async def take(self, key: SlotKey) -> Sandbox:
        """A prepared slot, or the next one that gets ready. Raises `SandboxError`."""
        kind = self._kind(key)
        if kind.ready:
            sandbox = kind.ready.popleft()
            self._refill(key, kind)
            return sandbox
        return await self._wait(key, kind, kind.waiting)

    async def expect(self, key: SlotKey) -> None:
        """This kind will be needed: returns when a first slot of it is ready. Raises `SandboxError`."""
        kind = self._kind(key)
        if not kind.ready:
            self._put(kind, await self._wait(key, kind, kind.expecting))
        self._refill(key, kind)

    async def drop(self, image: CodeDigest) -> bool:
        """Nobody needs slots of this image any more. False, if some are on their way all the same."""
        kinds = {
            key: kind for key, kind in self._kinds.items() if key.runtime.image and key.runtime.image.digest == image
        }
        if any(kind.busy for kind in kinds.values()):
            return False
        for key, kind in kinds.items():
            del self._kinds[key]
            await asyncio.gather(*(sandbox.stop(0.0) for sandbox in kind.ready))
        return True

    def counts(self) -> dict[str, int]:
        """Slots ready, by runtime."""
        counts: dict[str, int] = {}
        for key, kind in self._kinds.items():
            counts[key.runtime.name] = counts.get(key.runtime.name, 0) + len(kind.ready)
        return counts

    async def close(self) -> None:
        self._closed = True
        self._preparing.cancel()
        for kind in self._kinds.values():
            for sandbox in kind.ready:
                await sandbox.stop(0.0)
            kind.ready.clear()

    def _kind(self, key: SlotKey) -> _Kind:
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind()
        return kind

    async def _wait(self, key: SlotKey, kind: _Kind, queue: deque[asyncio.Future[Sandbox]]) -> Sandbox:
        waiter: asyncio.Future[Sandbox] = asyncio.get_running_loop().create_future()
        queue.append(waiter)
        self._refill(key, kind)
        return await waiter

    def _refill(self, key: SlotKey, kind: _Kind) -> None:
        while (
            not self._closed
            and kind.preparing < self._at_once
            and len(kind.ready) + kind.preparing < self._ahead + kind.wanted
        ):
            kind.preparing += 1
            awaited = kind.preparing <= len(kind.waiting)
            spec = SlotSpec(SandboxId(self._new_id()), key.runtime, key.account, awaited)
            self._preparing.spawn(self._prepare(spec, key, kind))

    async def _prepare(self, spec: SlotSpec, key: SlotKey, kind: _Kind) -> None:
        try:
            sandbox = await self._driver.create(spec)
        except SandboxError as error:
            kind.preparing -= 1
            while waiter := kind.next():
                waiter.set_exception(error)
            return
        kind.preparing -= 1
        self._put(kind, sandbox)
        self._refill(key, kind)

    def _put(self, kind: _Kind, sandbox: Sandbox) -> None:
        if waiter := kind.next():
            waiter.set_result(sandbox)
        else:
            kind.ready.append(sandbox)
