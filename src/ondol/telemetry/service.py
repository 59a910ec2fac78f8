"""The shell of telemetry: lines in without waiting, questions answered on threads of their own."""

import asyncio
import functools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ondol.model.errors import Outcome, PlatformError
from ondol.model.ids import AccountId, Region
from ondol.model.limits import LogLimits
from ondol.model.time import Clock
from ondol.telemetry.api import LogStream, OpenLog
from ondol.telemetry.catalogue import Catalogue
from ondol.telemetry.queries import OPERATIONS, Queries
from ondol.telemetry.writer import LogWriter


class TelemetryService:
    """`LogSink` and `LogQueries` over one directory, which it has for itself. Starts with nothing read."""

    def __init__(self, directory: Path, clock: Clock, limits: LogLimits | None = None) -> None:
        self._catalogue = Catalogue(directory)
        self._writer = LogWriter(self._catalogue, clock, limits or LogLimits())
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="log-queries")

    def open(self, stream: LogStream) -> OpenLog:
        """See `LogSink`."""
        return self._writer.open(stream)

    async def perform(
        self, operation: str, account: AccountId, region: Region, parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        """See `LogQueries`. What was written before is in the answer (unless the disk hangs)."""
        query = functools.partial(OPERATIONS[operation], Queries(self._catalogue, account, region), parameters)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._after_flush, query)

    def operations(self) -> frozenset[str]:
        return frozenset(OPERATIONS)

    async def forget_all(self) -> None:
        """See `LogQueries`."""
        try:
            await asyncio.wrap_future(self._writer.forget())
        except OSError as error:
            raise PlatformError(f"not every log was deleted: {error}", Outcome.UNKNOWN) from error

    async def close(self) -> None:
        """Bring everything to the disk and end."""
        await asyncio.get_running_loop().run_in_executor(None, self._writer.close)
        self._threads.shutdown(wait=False)

    def _after_flush(self, query: functools.partial[dict[str, Any]]) -> dict[str, Any]:
        self._writer.flush()
        return query()
