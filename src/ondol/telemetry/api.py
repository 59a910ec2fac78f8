"""Telemetry's door: where log lines go, and CloudWatch Logs' way of asking for them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from ondol.model.ids import AccountId, Region
from ondol.model.time import WallTime


class LogStream(msgspec.Struct, frozen=True, gc=False):
    """One stream of one group: on AWS, and here, one per execution environment."""

    account: AccountId
    region: Region
    group: str
    name: str


class LogEvent(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One line as CloudWatch shows it, its trailing newline kept."""

    time: WallTime
    message: str


class OpenLog(Protocol):
    """One stream, for whoever writes it."""

    def write(self, time: WallTime, messages: Sequence[str]) -> None:
        """Take lines of one moment, one at least, no older than those before. Returns at once: they reach the disk
        soon after."""
        ...


class LogSink(Protocol):
    def open(self, stream: LogStream) -> OpenLog:
        """Where the lines of one stream go. There is nothing to close."""
        ...


class LogQueries(Protocol):
    async def perform(
        self, operation: str, account: AccountId, region: Region, parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Do one of CloudWatch Logs' operations; members are named as in its service model. Raises `CallerError`."""
        ...

    def operations(self) -> frozenset[str]: ...

    async def forget_all(self) -> None:
        """Delete every group, durably. Whoever has a log open from before writes to nowhere.

        Raises `PlatformError` if the disk could not; some may be gone then.
        """
        ...
