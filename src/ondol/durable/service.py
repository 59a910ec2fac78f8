"""Durable executions' shell: what is under way at start, a table of operations, and who waits for an end."""

from collections.abc import Callable, Mapping
from typing import Any

from ondol.background import WholeWork
from ondol.control.api import Caller
from ondol.durable.api import Ended, Runner, Start
from ondol.durable.executions import Executions
from ondol.durable.journal import Journal
from ondol.durable.operations import DurableOperations
from ondol.events.api import Events
from ondol.model.errors import InvariantError, Outcome, PlatformError
from ondol.model.limits import DurableSchedule
from ondol.model.time import Clock
from ondol.store.protocol import Store, StoreError


class DurableService:
    """`Durable`. `new_id` makes UUIDs; `chance` is from 0 to 1."""

    def __init__(
        self,
        *,
        store: Store,
        runner: Runner,
        clock: Clock,
        schedule: DurableSchedule,
        chance: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._executions = Executions(
            journal=Journal(store), runner=runner, clock=clock, schedule=schedule, chance=chance, new_id=new_id
        )
        self._operations = DurableOperations(self._executions).table()
        self._whole = WholeWork()

    async def open(self, events: Events) -> None:
        """Load what is stored, and go on with it; `events` takes what failed for good. Raises `StoreError`."""
        await self._executions.open(events)

    async def pause(self) -> None:
        """Begin nothing more, and answer whoever waits; what has not ended goes on at the next start."""
        await self._executions.pause()

    async def close(self) -> None:
        """Write nothing more."""
        self._executions.close()
        await self._whole.finished()

    async def start(self, start: Start) -> str:
        head = await self._whole.do(self._executions.start(start))
        return head.arn

    async def ended(self, arn: str) -> Ended:
        head = self._executions.find(arn)
        life = self._executions.life(head)
        if life is not None and not life.execution.closed:
            return await life.end()
        try:
            outcome = (await self._executions.load(head)).progress.outcome
        except StoreError as error:
            raise PlatformError(f"{arn} cannot be read: {error}", Outcome.FINISHED) from error
        if outcome is None:
            raise InvariantError(f"{arn} has ended, and nobody knows how")
        return Ended(outcome.result, outcome.error)

    async def perform(self, operation: str, caller: Caller, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return await self._whole.do(self._perform(operation, caller, parameters))

    def operations(self) -> frozenset[str]:
        return frozenset(self._operations)

    async def forget_all(self) -> None:
        try:
            await self._whole.do(self._executions.forget_all())
        except StoreError as error:
            raise PlatformError(f"Durable executions could not be forgotten: {error}", Outcome.UNKNOWN) from error

    def status(self) -> dict[str, int]:
        """How many there are that have not ended, and in all."""
        return {"running": self._executions.alive, "kept": len(self._executions.heads)}

    async def _perform(self, operation: str, caller: Caller, parameters: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return await self._operations[operation](caller, parameters)
        except StoreError as error:
            raise PlatformError(f"{operation}: {error}", Outcome.NOT_STARTED) from error
