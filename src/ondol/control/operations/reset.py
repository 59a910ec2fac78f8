"""Delete everything that there is, for whoever wants to begin anew: `POST /_ondol/reset`, which AWS does not have."""

import asyncio
from contextlib import suppress

from msgspec.structs import replace

from ondol.control.api import Caller
from ondol.control.code_signing_registry import CodeSigningRegistry
from ondol.control.event_source_registry import EventSourceRegistry
from ondol.control.event_source_settler import EventSourceSettler
from ondol.control.event_sources import MappingRecord, MappingState
from ondol.control.http_api_registry import HttpApiRegistry
from ondol.control.layer_registry import LayerRegistry
from ondol.control.operations.deletion import DeleteOperations
from ondol.control.registry import Registry
from ondol.control.stacks import StackRegistry
from ondol.model.errors import ResourceNotFound
from ondol.model.function import FunctionKey


class Reset:
    def __init__(
        self,
        *,
        registry: Registry,
        layers: LayerRegistry,
        code_signing: CodeSigningRegistry,
        deletion: DeleteOperations,
        mappings: EventSourceRegistry,
        mapping_settler: EventSourceSettler,
        http_apis: HttpApiRegistry,
        stacks: StackRegistry,
    ) -> None:
        self._registry = registry
        self._layers = layers
        self._code_signing = code_signing
        self._deletion = deletion
        self._mappings = mappings
        self._mapping_settler = mapping_settler
        self._http_apis = http_apis
        self._stacks = stacks

    async def perform(self) -> int:
        """Delete the functions of all accounts and regions, each as DeleteFunction does; answers how many there were.

        Layers go too, and begin at version 1 again; code signing configurations; HTTP APIs and the records of what
        templates made; and event source mappings, as DeleteEventSourceMapping does it, which first let the batches end
        that are on their way.

        They go side by side, so that the store brings them to the disk together. A function that is created meanwhile
        stays.
        """
        keys = [key for key, _ in self._registry.catalog]
        mappings = [self._delete_mapping(record) for record in self._mappings]
        deletions = [self._delete(key) for key in keys]
        registries = (self._layers, self._code_signing, self._http_apis, self._stacks)
        await asyncio.gather(*deletions, *mappings, *(registry.clear() for registry in registries))
        return len(keys)

    async def _delete_mapping(self, record: MappingRecord) -> None:
        await self._mappings.change(record, lambda now: now and replace(now, state=MappingState.DELETING))
        self._mapping_settler.start(record.mapping.id)
        await self._mapping_settler.settled(record.mapping.id)

    async def _delete(self, key: FunctionKey) -> None:
        with suppress(ResourceNotFound):  # somebody else was quicker
            await self._deletion.delete(Caller(key.account, key.region), {"FunctionName": key.name})
