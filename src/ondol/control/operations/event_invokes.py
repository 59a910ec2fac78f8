"""What is to become of asynchronous events of a function, version or alias: put, update, get, list, delete."""

from msgspec.structs import replace

from ondol.control import paging
from ondol.control.api import Caller
from ondol.control.catalog import Stored
from ondol.control.event_invokes import changed, describe_event_invoke, require_setting
from ondol.control.holders import Holders
from ondol.control.operations.lookup import Answer, Operations, Parameters, existing, key_of
from ondol.control.records import Edit, EventInvokeRecord, FunctionRecord
from ondol.control.registry import Registry
from ondol.model.errors import InvalidParameterValue, ResourceNotFound
from ondol.model.function import LATEST, FunctionKey
from ondol.model.time import Clock


class EventInvokeOperations:
    """A change is answered once it decides of every event that ends from then on."""

    def __init__(self, registry: Registry, holders: Holders, clock: Clock) -> None:
        self._registry = registry
        self._holders = holders
        self._clock = clock

    def table(self) -> Operations:
        return {
            "PutFunctionEventInvokeConfig": self.put,
            "UpdateFunctionEventInvokeConfig": self.update,
            "GetFunctionEventInvokeConfig": self.get,
            "ListFunctionEventInvokeConfigs": self.list,
            "DeleteFunctionEventInvokeConfig": self.delete,
        }

    async def put(self, caller: Caller, parameters: Parameters) -> Answer:
        """Replaces all that was set before."""
        return await self._set(caller, parameters, anew=True)

    async def update(self, caller: Caller, parameters: Parameters) -> Answer:
        return await self._set(caller, parameters, anew=False)

    async def get(self, caller: Caller, parameters: Parameters) -> Answer:
        key, qualifier = key_of(caller, parameters), parameters.get("Qualifier", LATEST)
        record = _configured(key, qualifier, self._registry.catalog.get(key))
        return describe_event_invoke(key, qualifier, record.event_invokes[qualifier])

    async def list(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)
        stored = self._registry.catalog.get(key)
        if stored is None:
            raise _no_function()
        first = paging.start(parameters)
        described, following = paging.page(
            (
                (qualifier, describe_event_invoke(key, qualifier, invoke))
                for qualifier, invoke in sorted(stored.record.event_invokes.items())
                if qualifier >= first
            ),
            parameters,
        )
        return {"FunctionEventInvokeConfigs": described, **following}

    async def delete(self, caller: Caller, parameters: Parameters) -> Answer:
        key, qualifier = key_of(caller, parameters), parameters.get("Qualifier", LATEST)

        def decide(stored: Stored | None) -> Edit:
            record = _configured(key, qualifier, stored)
            left = {name: invoke for name, invoke in record.event_invokes.items() if name != qualifier}
            return Edit(replace(record, event_invokes=left))

        await self._registry.change(key, decide)
        await self._holders.announce(key)
        return {}

    async def _set(self, caller: Caller, parameters: Parameters, anew: bool) -> Answer:
        require_setting(parameters)
        key, qualifier = key_of(caller, parameters), parameters.get("Qualifier", LATEST)

        def decide(stored: Stored | None) -> Edit:
            if stored is None or not _means_something(stored.record, qualifier):
                raise _no_function()
            if stored.record.settings.durable is not None and any(parameters.get("DestinationConfig", {}).values()):
                raise InvalidParameterValue("Durable functions do not support Lambda invocation destinations.")
            before: EventInvokeRecord | None = None
            if not anew:
                before = _configured(key, qualifier, stored).event_invokes[qualifier]
            invoke = changed(before, parameters, key, self._exists, self._clock.wall())
            return Edit(replace(stored.record, event_invokes={**stored.record.event_invokes, qualifier: invoke}))

        stored = existing(key, await self._registry.change(key, decide))
        await self._holders.announce(key)
        return describe_event_invoke(key, qualifier, stored.record.event_invokes[qualifier])

    def _exists(self, function: FunctionKey) -> bool:
        return self._registry.catalog.get(function) is not None


def _means_something(record: FunctionRecord, qualifier: str) -> bool:
    return qualifier == LATEST or qualifier in record.versions or qualifier in record.aliases


def _configured(key: FunctionKey, qualifier: str, stored: Stored | None) -> FunctionRecord:
    if stored is None or qualifier not in stored.record.event_invokes:
        raise ResourceNotFound(f"The function {key.arn}:{qualifier} doesn't have an EventInvokeConfig")
    return stored.record


def _no_function() -> ResourceNotFound:
    return ResourceNotFound("The function doesn't exist.")
