"""Reserved concurrency, and what an account has and may have."""

from msgspec.structs import replace

from ondol.control.api import Caller
from ondol.control.catalog import Stored
from ondol.control.checks import CODE_STORAGE_BYTES, check_reservation
from ondol.control.claims import Claims
from ondol.control.operations.lookup import Answer, Operations, Parameters, existing, key_of, require_function
from ondol.control.packages import Packages
from ondol.control.provisioned import claim, provisioned_total
from ondol.control.records import Edit
from ondol.control.registry import Registry
from ondol.model.function import LATEST
from ondol.model.limits import UNZIPPED_BYTES, ZIPPED_BYTES, AccountLimits


class ConcurrencyOperations:
    def __init__(self, registry: Registry, packages: Packages, claims: Claims, limits: AccountLimits) -> None:
        self._registry = registry
        self._packages = packages
        self._claims = claims
        self._limits = limits

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
            claimed = self._registry.catalog.usage(key.account, key.region).claimed_concurrency
            check_reservation(self._limits, claimed, claim(record), provisioned_total(record), wanted)
            return Edit(replace(record, reserved_concurrency=wanted))

        async with self._claims.changing:
            await self._registry.change(key, decide)
            await self._claims.grown(key)
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

        async with self._claims.changing:
            await self._registry.change(key, decide)
            await self._claims.shrunk(key)
        return {}

    async def account_settings(self, caller: Caller, _: Parameters) -> Answer:
        usage = self._registry.catalog.usage(caller.account, caller.region)
        return {
            "AccountLimit": {
                "TotalCodeSize": CODE_STORAGE_BYTES,
                "CodeSizeUnzipped": UNZIPPED_BYTES,
                "CodeSizeZipped": ZIPPED_BYTES,
                "ConcurrentExecutions": self._limits.concurrency,
                "UnreservedConcurrentExecutions": self._limits.concurrency - usage.claimed_concurrency,
            },
            "AccountUsage": {
                "TotalCodeSize": self._packages.stored(caller.account, caller.region),
                "FunctionCount": len(usage.names),
            },
        }
