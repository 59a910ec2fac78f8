"""Provisioned concurrency of versions and aliases: put, get, list, delete."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ondol.control import paging
from ondol.control.api import Caller
from ondol.control.catalog import Stored
from ondol.control.claims import Claims
from ondol.control.operations.lookup import Answer, Operations, Parameters, existing, key_of
from ondol.control.provisioned import (
    NOT_ON_LATEST,
    config_of,
    require_label,
    watched,
    with_config,
    without_config,
)
from ondol.control.records import Edit, FunctionRecord, ProvisionedRecord
from ondol.control.registry import Registry
from ondol.model.function import FunctionKey
from ondol.model.limits import AccountLimits
from ondol.model.time import Clock, WallTime
from ondol.worker_manager.api import Provision, ProvisionStatus


class ProvisionedOperations:
    """A configuration is answered once it is durable and counts; environments come to be after that."""

    def __init__(self, registry: Registry, claims: Claims, limits: AccountLimits, clock: Clock) -> None:
        self._registry = registry
        self._claims = claims
        self._limits = limits
        self._clock = clock

    def table(self) -> Operations:
        return {
            "PutProvisionedConcurrencyConfig": self.put,
            "GetProvisionedConcurrencyConfig": self.get,
            "ListProvisionedConcurrencyConfigs": self.list,
            "DeleteProvisionedConcurrencyConfig": self.delete,
        }

    async def put(self, caller: Caller, parameters: Parameters) -> Answer:
        key, qualifier = key_of(caller, parameters), parameters["Qualifier"]

        def decide(stored: Stored | None) -> Edit:
            config = ProvisionedRecord(parameters["ProvisionedConcurrentExecutions"], self._clock.wall())
            claimed = self._registry.catalog.usage(key.account, key.region).claimed_concurrency
            unclaimed = self._limits.concurrency - claimed
            return Edit(with_config(_record(stored), key, qualifier, config, unclaimed))

        async with self._claims.changing:
            record = existing(key, await self._registry.change(key, decide)).record
            before = await self._claims.provision_of(key, watched(record, qualifier))
            await self._claims.grown(key)
        return _accepted(record.provisioned[qualifier], before)

    async def get(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)
        stored = self._registry.catalog.get(key)
        label = require_label(key, _record(stored), parameters["Qualifier"], NOT_ON_LATEST)
        record = existing(key, stored).record
        config_of(record, label)
        return await self._shown(key, record, label)

    async def list(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)
        record = existing(key, self._registry.catalog.get(key)).record
        first = paging.start(parameters)
        labels, following = paging.page(
            ((label, label) for label in sorted(record.provisioned) if label >= first), parameters
        )
        described = [{"FunctionArn": f"{key.arn}:{label}", **await self._shown(key, record, label)} for label in labels]
        return {"ProvisionedConcurrencyConfigs": described, **following}

    async def delete(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)

        def decide(stored: Stored | None) -> Edit | None:
            label = require_label(key, _record(stored), parameters["Qualifier"], NOT_ON_LATEST)
            record = existing(key, stored).record
            return Edit(without_config(record, label)) if label in record.provisioned else None

        async with self._claims.changing:
            await self._registry.change(key, decide)
            await self._claims.shrunk(key)
        return {}

    async def _shown(self, key: FunctionKey, record: FunctionRecord, label: str) -> Answer:
        provisions = await self._claims.provision_of(key, watched(record, label))
        return _described(record.provisioned[label], provisions)


_WORST_FIRST = (ProvisionStatus.FAILED, ProvisionStatus.IN_PROGRESS, ProvisionStatus.READY)


def _record(stored: Stored | None) -> FunctionRecord | None:
    return None if stored is None else stored.record


def _described(config: ProvisionedRecord, provisions: Iterable[Provision]) -> dict[str, Any]:
    """`provisions` are of the versions that `watched` names."""
    each = tuple(provisions)
    statuses = {provision.status for provision in each}
    described: dict[str, Any] = {
        "RequestedProvisionedConcurrentExecutions": config.n,
        "AvailableProvisionedConcurrentExecutions": sum(provision.available for provision in each),
        "AllocatedProvisionedConcurrentExecutions": sum(provision.allocated for provision in each),
        "Status": next(status.value for status in _WORST_FIRST if status in statuses),
        "LastModified": _iso8601(config.last_modified),
    }
    reason = next((provision.reason for provision in each if provision.reason is not None), None)
    return described if reason is None else {**described, "StatusReason": reason}


def _accepted(config: ProvisionedRecord, provisions: Iterable[Provision]) -> dict[str, Any]:
    """As it is answered to who put it: what is there already counts, and the rest is on its way."""
    described = _described(config, provisions)
    described.pop("StatusReason", None)
    return {**described, "Status": ProvisionStatus.IN_PROGRESS.value}


def _iso8601(time: WallTime) -> str:
    return datetime.fromtimestamp(time // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")
