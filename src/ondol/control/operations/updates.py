"""Update a function's code or configuration."""

from collections.abc import Callable

from msgspec.structs import replace

from ondol.control import lifecycle
from ondol.control.api import Caller
from ondol.control.catalog import Stored
from ondol.control.checks import check_image_parameters, check_kind, check_source
from ondol.control.configuration import describe_latest
from ondol.control.layer_references import used_layers
from ondol.control.operations.code import CodeOperations
from ondol.control.operations.lookup import (
    Answer,
    Operations,
    Parameters,
    describe,
    existing,
    key_of,
    require_function,
)
from ondol.control.records import Edit, FunctionRecord
from ondol.control.refusals import refuse_unserved
from ondol.control.settings import merged, with_code, with_layers
from ondol.control.versions import last_number, published
from ondol.model.function import LATEST, FunctionKey


class UpdateOperations(CodeOperations):
    """An update is answered once it is durable; what ran before runs on until the new code is ready."""

    def table(self) -> Operations:
        return {
            "UpdateFunctionCode": self.update_code,
            "UpdateFunctionConfiguration": self.update_configuration,
        }

    async def update_code(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)
        record = self._updatable(key, parameters, self._registry.catalog.get(key)).record
        image = record.settings.image is not None
        check_kind(parameters, image, "updating")
        check_source(parameters, image)
        refuse_unserved(parameters)
        self._check_signature(caller, record.code_signing, key.name)
        code = await self._code(caller, parameters)

        def change(record: FunctionRecord) -> FunctionRecord:
            settings = merged(with_code(record.settings, code), parameters)
            return replace(record, settings=settings, folder=code.folder)

        changed = change(record)
        if parameters.get("DryRun"):
            return describe_latest(key, changed)
        added = changed.settings.code_size - record.settings.code_size
        self._packages.require_room(key.account, key.region, added)
        async with self._packages.brought(code):
            stored = await self._update(key, parameters, change)
        if code.folder is not None:
            self._hot_reload.follow(key, code.folder)
        number = last_number(stored.record)
        return describe(key, stored, number if parameters.get("Publish") else None)

    async def update_configuration(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)
        record = self._updatable(key, parameters, self._registry.catalog.get(key)).record
        if record.settings.image is not None:
            check_image_parameters(parameters)
        refuse_unserved(parameters)
        self._check_runtime(parameters)
        if parameters.get("Layers"):
            self._check_signature(caller, record.code_signing, key.name)
        layers = used_layers(self._layers, caller, parameters.get("Layers") or ())

        def change(record: FunctionRecord) -> FunctionRecord:
            settings = merged(record.settings, parameters)
            return replace(record, settings=with_layers(settings, layers) if "Layers" in parameters else settings)

        with self._packages.held(layer.code for layer in layers):
            stored = await self._update(key, parameters, change)
        return describe_latest(key, stored.record)

    async def _update(
        self, key: FunctionKey, parameters: Parameters, change: Callable[[FunctionRecord], FunctionRecord]
    ) -> Stored:
        def decide(stored: Stored | None) -> Edit:
            before = self._updatable(key, parameters, stored)
            changed = change(before.record)
            record = lifecycle.updated(changed, changed.settings, self._clock.wall(), self._new_id)
            if not parameters.get("Publish"):
                return Edit(record)
            number = last_number(record)
            return published(record, None if number is None else before.version(number), None, self._new_id)

        stored = existing(key, await self._registry.change(key, decide))
        self._settler.start(key)
        return stored

    def _updatable(self, key: FunctionKey, parameters: Parameters, stored: Stored | None) -> Stored:
        """Raises `CallerError` if there is nothing to update, or not now, or not by this caller's knowledge."""
        require_function(parameters, LATEST)
        stored = existing(key, stored)
        lifecycle.require_idle(stored.record, key)
        lifecycle.require_revision(stored.record.revision_id, parameters.get("RevisionId"))
        return stored
