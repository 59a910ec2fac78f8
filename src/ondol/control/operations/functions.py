"""Create, show and list functions."""

from collections.abc import Iterator

from msgspec.structs import replace

from ondol.control import lifecycle, paging
from ondol.control.api import Caller
from ondol.control.catalog import Catalog, Stored
from ondol.control.checks import check_image_parameters, check_kind, check_source, check_tags
from ondol.control.configuration import describe_code, describe_latest, describe_version, listed
from ondol.control.layer_references import used_layers
from ondol.control.operations.code import CodeOperations
from ondol.control.operations.lookup import (
    Answer,
    Operations,
    Parameters,
    describe,
    existing,
    key_of,
    labels_from,
)
from ondol.control.records import Edit
from ondol.control.refusals import refuse_unserved
from ondol.control.settings import first_settings, with_layers
from ondol.control.versions import last_number, published
from ondol.model.errors import ResourceConflict
from ondol.model.function import LATEST, FunctionKey


class FunctionOperations(CodeOperations):
    def table(self) -> Operations:
        return {
            "CreateFunction": self.create,
            "GetFunction": self.get,
            "GetFunctionConfiguration": self.get_configuration,
            "ListFunctions": self.list,
        }

    async def create(self, caller: Caller, parameters: Parameters) -> Answer:
        """Answers once the function is durable; its code is made ready afterwards."""
        key = key_of(caller, parameters)
        image = parameters.get("PackageType") == "Image"
        if image:
            check_image_parameters(parameters)
        check_source(parameters["Code"], image)
        check_kind(parameters["Code"], image, "creating")
        refuse_unserved(parameters)
        self._require_absent(key, self._registry.catalog.get(key))
        self._check_runtime(parameters)
        code_signing = parameters.get("CodeSigningConfigArn")
        self._check_signature(caller, code_signing, key.name)
        tags = dict(parameters.get("Tags") or {})
        check_tags(tags)
        code = await self._code(caller, parameters["Code"])
        layers = used_layers(self._layers, caller, parameters.get("Layers") or ())
        settings = with_layers(first_settings(key.name, parameters, code), layers)
        self._packages.require_room(key.account, key.region, settings.code_size)

        def decide(stored: Stored | None) -> Edit:
            self._require_absent(key, stored)
            created = lifecycle.created(settings, self._clock.wall(), self._new_id, tags)
            record = replace(created, folder=code.folder, code_signing=code_signing)
            return published(record, None, None, self._new_id) if parameters.get("Publish") else Edit(record)

        with self._packages.held(settings.layer_packages()):
            async with self._packages.brought(code):
                stored = existing(key, await self._registry.change(key, decide))
        self._settler.start(key)
        if code.folder is not None:
            self._hot_reload.follow(key, code.folder)
        number = last_number(stored.record)
        if number is None:
            return describe_latest(key, stored.record)
        # Of all answers about a version, this one alone has the function's own ARN.
        return describe_version(key, number, stored.record.versions[number], stored.version(number), None)

    async def get(self, caller: Caller, parameters: Parameters) -> Answer:
        configuration, stored = self._described(caller, parameters)
        record = stored.record
        version = configuration["Version"]
        settings = record.settings if version == LATEST else stored.version(version).settings
        answer: Answer = {"Configuration": configuration, "Code": describe_code(settings)}
        if record.tags:
            answer["Tags"] = dict(record.tags)
        # What is reserved is the function's; of what a qualifier names AWS tells none.
        if record.reserved_concurrency is not None and "Qualifier" not in parameters:
            answer["Concurrency"] = {"ReservedConcurrentExecutions": record.reserved_concurrency}
        return answer

    async def get_configuration(self, caller: Caller, parameters: Parameters) -> Answer:
        configuration, _ = self._described(caller, parameters)
        return configuration

    async def list(self, caller: Caller, parameters: Parameters) -> Answer:
        names = _all_versions if parameters.get("FunctionVersion") == "ALL" else _latest_versions
        functions, following = paging.page(names(self._registry.catalog, caller, paging.start(parameters)), parameters)
        return {"Functions": functions, **following}

    def _described(self, caller: Caller, parameters: Parameters) -> tuple[Answer, Stored]:
        key = key_of(caller, parameters)
        qualifier = parameters.get("Qualifier")
        stored = existing(key, self._registry.catalog.get(key), qualifier)
        return describe(key, stored, qualifier), stored

    def _require_absent(self, key: FunctionKey, stored: Stored | None) -> None:
        if stored is not None:
            raise ResourceConflict(f"Function already exist: {key.name}")


def _latest_versions(catalog: Catalog, caller: Caller, first: str) -> Iterator[tuple[str, Answer]]:
    for key, stored in catalog.listed(caller.account, caller.region, first):
        yield key.name, listed(describe_latest(key, stored.record))


def _all_versions(catalog: Catalog, caller: Caller, first: str) -> Iterator[tuple[str, Answer]]:
    name, _, label = first.partition(":")
    for key, stored in catalog.listed(caller.account, caller.region, name):
        for version in labels_from(stored, label if key.name == name else ""):
            yield f"{key.name}:{version}", listed(describe(key, stored, version))
