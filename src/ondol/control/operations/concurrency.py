"""Reserved concurrency, and what an account has and may have."""

import asyncio

from msgspec.structs import replace

from ondol.control.api import Caller, ConcurrencyKeeper
from ondol.control.catalog import Stored
from ondol.control.holders import Holders
from ondol.control.operations.lookup import Answer, Operations, Parameters, existing, key_of, require_function
from ondol.control.packages import Packages
from ondol.control.policy import CODE_STORAGE_BYTES, check_reservation
from ondol.control.records import Edit
from ondol.control.registry import Registry
from ondol.control.reservations import tell_reservation
from ondol.model.function import LATEST
from ondol.model.limits import UNZIPPED_BYTES, ZIPPED_BYTES, AccountLimits


class ConcurrencyOperations:
    def __init__(
        self,
        registry: Registry,
        packages: Packages,
        holders: Holders,
        concurrency: ConcurrencyKeeper,
        limits: AccountLimits,
    ) -> None:
        self._registry = registry
        self._packages = packages
        self._holders = holders
        self._concurrency = concurrency
        self._limits = limits
        # What one function may reserve depends on what the others have.
        self._reserving = asyncio.Lock()

    def table(self) -> Operations:
        return {
            "PutFunctionConcurrency": self.put,
            "GetFunctionConcurrency": self.get,
            "DeleteFunctionConcurrency": self.delete,
            "GetAccountSettings": self.account_settings,
        }

    async def put(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)
        wanted = parameters["ReservedConcurrentExecutions"]

        def decide(stored: Stored | None) -> Edit:
            require_function(parameters)
            record = existing(key, stored, LATEST).record
            reserved = self._registry.catalog.usage(key.account, key.region).reserved_concurrency
            check_reservation(self._limits, reserved, record.reserved_concurrency or 0, wanted)
            return Edit(replace(record, reserved_concurrency=wanted))

        async with self._reserving:
            await self._registry.change(key, decide)
            # The pool is there before anybody draws from it,
            await tell_reservation(self._registry.catalog, self._concurrency, key)
            await self._holders.announce(key)
        return {"ReservedConcurrentExecutions": wanted}

    async def get(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)
        require_function(parameters)
        reserved = existing(key, self._registry.catalog.get(key)).record.reserved_concurrency
        return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}

    async def delete(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)

        def decide(stored: Stored | None) -> Edit:
            require_function(parameters)
            return Edit(replace(existing(key, stored).record, reserved_concurrency=None))

        async with self._reserving:
            await self._registry.change(key, decide)
            # and is ended only when nobody does any more.
            await self._holders.announce(key)
            await tell_reservation(self._registry.catalog, self._concurrency, key)
        return {}

    async def account_settings(self, caller: Caller, _: Parameters) -> Answer:
        usage = self._registry.catalog.usage(caller.account, caller.region)
        return {
            "AccountLimit": {
                "TotalCodeSize": CODE_STORAGE_BYTES,
                "CodeSizeUnzipped": UNZIPPED_BYTES,
                "CodeSizeZipped": ZIPPED_BYTES,
                "ConcurrentExecutions": self._limits.concurrency,
                "UnreservedConcurrentExecutions": self._limits.concurrency - usage.reserved_concurrency,
            },
            "AccountUsage": {
                "TotalCodeSize": self._packages.stored(caller.account, caller.region),
                "FunctionCount": len(usage.names),
            },
        }
