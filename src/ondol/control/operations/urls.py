"""Create, show, list, update and delete function URLs."""

from collections.abc import Callable

from ondol.control import paging
from ondol.control.api import Caller
from ondol.control.catalog import Stored
from ondol.control.holders import Holders
from ondol.control.operations.lookup import Answer, Operations, Parameters, key_of
from ondol.control.records import Edit, FunctionRecord
from ondol.control.registry import Registry
from ondol.control.urls import (
    describe_url,
    missing_function,
    new_url,
    url_id,
    url_of,
    with_changed_url,
    with_new_url,
    without_url,
)
from ondol.model.errors import ResourceNotFound
from ondol.model.function import LATEST, FunctionKey
from ondol.model.time import Clock


class UrlOperations:
    """A change is answered once every frontend answers by it."""

    def __init__(self, registry: Registry, holders: Holders, clock: Clock, secret: str) -> None:
        self._registry = registry
        self._holders = holders
        self._clock = clock
        self._secret = secret

    def table(self) -> Operations:
        return {
            "CreateFunctionUrlConfig": self.create,
            "GetFunctionUrlConfig": self.get,
            "ListFunctionUrlConfigs": self.list,
            "UpdateFunctionUrlConfig": self.update,
            "DeleteFunctionUrlConfig": self.delete,
        }

    async def create(self, caller: Caller, parameters: Parameters) -> Answer:
        key, label = _named(caller, parameters)
        url = new_url(url_id(self._secret, key, label), parameters, self._clock.wall())
        await self._change(key, missing_function(), lambda record: with_new_url(record, key, label, url))
        return _without(describe_url(key, label, url), {"LastModifiedTime"} | ({"InvokeMode"} - parameters.keys()))

    async def get(self, caller: Caller, parameters: Parameters) -> Answer:
        key, label = _named(caller, parameters)
        stored = self._registry.catalog.get(key)
        if stored is None:
            raise _missing_url()
        return describe_url(key, label, url_of(stored.record, label))

    async def list(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)
        stored = self._registry.catalog.get(key)
        if stored is None:
            raise missing_function()
        first = paging.start(parameters)
        urls, following = paging.page(
            (
                (label, describe_url(key, label, url))
                for label, url in sorted(stored.record.urls.items())
                if label >= first
            ),
            parameters,
        )
        return {"FunctionUrlConfigs": urls, **following}

    async def update(self, caller: Caller, parameters: Parameters) -> Answer:
        key, label = _named(caller, parameters)
        record = await self._change(
            key,
            missing_function(),
            lambda record: with_changed_url(record, label, parameters, self._clock.wall()),
        )
        url = url_of(record, label)
        return _without(describe_url(key, label, url), set() if url.invoke_mode else {"InvokeMode"})

    async def delete(self, caller: Caller, parameters: Parameters) -> Answer:
        key, label = _named(caller, parameters)
        await self._change(key, _missing_url(), lambda record: without_url(record, label))
        return {}

    async def _change(
        self, key: FunctionKey, missing: ResourceNotFound, change: Callable[[FunctionRecord], FunctionRecord]
    ) -> FunctionRecord:
        def decide(stored: Stored | None) -> Edit:
            if stored is None:
                raise missing
            return Edit(change(stored.record))

        stored = await self._registry.change(key, decide)
        await self._holders.announce(key)
        if stored is None:
            raise missing
        return stored.record


def _named(caller: Caller, parameters: Parameters) -> tuple[FunctionKey, str]:
    return key_of(caller, parameters), parameters.get("Qualifier", LATEST)


def _missing_url() -> ResourceNotFound:
    return ResourceNotFound("The resource you requested does not exist.")


def _without(described: Answer, unsaid: set[str]) -> Answer:
    return {member: value for member, value in described.items() if member not in unsaid}
