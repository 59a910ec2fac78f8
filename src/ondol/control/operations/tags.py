"""Tags of functions and of code signing configurations. `Resource` is an ARN."""

from collections.abc import Mapping

from msgspec.structs import replace

from ondol.control.api import Caller
from ondol.control.catalog import Stored
from ondol.control.code_signing import CodeSigningKey, CodeSigningRecord, missing_config, parse_code_signing_arn
from ondol.control.code_signing_registry import CodeSigningRegistry
from ondol.control.operations.lookup import Answer, Operations, Parameters, existing
from ondol.control.policy import check_tags
from ondol.control.records import Edit
from ondol.control.registry import Registry
from ondol.model.arn import parse_function_arn
from ondol.model.errors import AccessDenied, InvalidParameterValue, ResourceNotFound
from ondol.model.function import FunctionKey


class TagOperations:
    def __init__(self, registry: Registry, code_signing: CodeSigningRegistry) -> None:
        self._registry = registry
        self._code_signing = code_signing

    def table(self) -> Operations:
        return {"TagResource": self.tag, "UntagResource": self.untag, "ListTags": self.list}

    async def tag(self, caller: Caller, parameters: Parameters) -> Answer:
        added = parameters["Tags"]
        if not added:
            raise InvalidParameterValue("An error occurred and the request cannot be processed.")
        await self._change(caller, parameters, added, frozenset())
        return {}

    async def untag(self, caller: Caller, parameters: Parameters) -> Answer:
        await self._change(caller, parameters, {}, frozenset(parameters["TagKeys"]))
        return {}

    async def list(self, caller: Caller, parameters: Parameters) -> Answer:
        config = _own_config(caller, parameters)
        if config is not None:
            return {"Tags": dict(_existing_config(config, self._code_signing.get(config)).tags)}
        key = _tagged(caller, parameters)
        return {"Tags": dict(existing(key, self._registry.catalog.get(key)).record.tags)}

    async def _change(
        self, caller: Caller, parameters: Parameters, added: Mapping[str, str], removed: frozenset[str]
    ) -> None:
        config = _own_config(caller, parameters)
        if config is not None:
            await self._change_config(config, added, removed)
            return
        key = _tagged(caller, parameters)

        def decide(stored: Stored | None) -> Edit | None:
            record = existing(key, stored).record
            tags = _changed(record.tags, added, removed)
            return None if tags == record.tags else Edit(replace(record, tags=tags))

        await self._registry.change(key, decide)

    async def _change_config(self, key: CodeSigningKey, added: Mapping[str, str], removed: frozenset[str]) -> None:
        def decide(record: CodeSigningRecord | None) -> CodeSigningRecord:
            record = _existing_config(key, record)
            return replace(record, tags=_changed(record.tags, added, removed))

        await self._code_signing.change(key, decide)


def _changed(tags: Mapping[str, str], added: Mapping[str, str], removed: frozenset[str]) -> dict[str, str]:
    """Raises `InvalidParameterValue` for too many."""
    changed = {name: value for name, value in {**tags, **added}.items() if name not in removed}
    check_tags(changed)
    return changed


def _own_config(caller: Caller, parameters: Parameters) -> CodeSigningKey | None:
    """The caller's code signing configuration that an ARN names; None where it names none of the caller's."""
    key = parse_code_signing_arn(parameters["Resource"])
    return key if key is not None and (key.account, key.region) == (caller.account, caller.region) else None


def _existing_config(key: CodeSigningKey, record: CodeSigningRecord | None) -> CodeSigningRecord:
    if record is None:
        raise missing_config(key.arn)
    return record


def _tagged(caller: Caller, parameters: Parameters) -> FunctionKey:
    """The function that an ARN names. Raises `CallerError` for whatever else it names."""
    arn = parse_function_arn(parameters["Resource"])
    if arn is None:
        raise ResourceNotFound("The resource you requested does not exist.")
    if arn.qualifier is not None:
        raise InvalidParameterValue(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    if arn.region != caller.region:
        raise ResourceNotFound(f"Functions from '{arn.region}' are not reachable in this region ('{caller.region}')")
    if arn.account != caller.account:
        raise AccessDenied("")
    return FunctionKey(arn.account, arn.region, arn.name)
