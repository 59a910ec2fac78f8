"""The door of triggers: AWS's operations on them, and where others bring events."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from ondol.model.ids import AccountId, Region
from ondol.model.time import WallTime


class Owner(msgspec.Struct, frozen=True, gc=False):
    """On whose behalf an operation is done."""

    account: AccountId
    region: Region


class BusEntry(msgspec.Struct, frozen=True):
    """Something that happened, for an event bus."""

    source: str
    detail_type: str
    detail: Mapping[str, Any]

    resources: tuple[str, ...] = ()
    time: WallTime | None = None
    """None: now."""

    trace: str | None = None


class EventBuses(Protocol):
    """Who has event buses."""

    async def put(self, bus_arn: str, entry: BusEntry) -> None:
        """Every invocation that follows is durable when it returns. Raises `ResourceNotFound`, `PlatformError`."""
        ...


class Triggers(Protocol):
    async def perform(
        self, service: str, operation: str, owner: Owner, parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Do one operation of EventBridge (`events`) or its Scheduler (`scheduler`).

        `operation` and the members of `parameters` and of the result are named as in the service model; parameters have
        passed its constraints. What is answered is durable. Raises `CallerError` as AWS does, `NotServed` for what
        ondol does not have, `PlatformError`.
        """
        ...

    async def forget_all(self) -> None:
        """Rules, buses, schedules and groups of all accounts are gone. Raises `PlatformError`."""
        ...
