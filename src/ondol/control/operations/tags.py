"""Tags of functions, event source mappings and code signing configurations. `Resource` is an ARN."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec.structs import replace

from ondol.control.api import Caller
from ondol.control.catalog import Stored
from ondol.control.checks import check_tags
from ondol.control.code_signing import CodeSigningKey, CodeSigningRecord, missing_config, parse_code_signing_arn
from ondol.control.code_signing_registry import CodeSigningRegistry
from ondol.control.event_source_registry import EventSourceRegistry
from ondol.control.event_sources import MappingRecord, mapping_arn
from ondol.control.operations.lookup import Answer, Operations, Parameters, existing
from ondol.control.records import Edit
from ondol.control.registry import Registry
from ondol.model.arn import parse_function_arn
from ondol.model.errors import AccessDenied, InvalidParameterValue, ResourceNotFound
from ondol.model.function import FunctionKey

Tags = Mapping[str, str]
ChangeTags = Callable[[Tags], dict[str, str]]

_MISSING = "The resource you requested does not exist."


class Taggable(Protocol):
    """One kind of thing that has tags. What is asked of it raises `CallerError` for what is not there."""

    def is_named(self, caller: Caller, arn: str) -> bool:
        """Whether the ARN is that of one of the caller's things of this kind, there or not."""
        ...

    def tags(self, caller: Caller, arn: str) -> Tags: ...

    async def change(self, caller: Caller, arn: str, change: ChangeTags) -> None: ...


class TagOperations:
    def __init__(self, kinds: Sequence[Taggable]) -> None:
        """The first that is named answers, so functions come last."""
        self._kinds = kinds

    def table(self) -> Operations:
        return {"TagResource": self.tag, "UntagResource": self.untag, "ListTags": self.list}

    async def tag(self, caller: Caller, parameters: Parameters) -> Answer:
        added = parameters["Tags"]
        if not added:
            raise InvalidParameterValue("An error occurred and the request cannot be processed.")
        await self._change(caller, parameters, lambda tags: {**tags, **added})
        return {}

    async def untag(self, caller: Caller, parameters: Parameters) -> Answer:
        removed = frozenset(parameters["TagKeys"])
        await self._change(
            caller, parameters, lambda tags: {name: value for name, value in tags.items() if name not in removed}
        )
        return {}

    async def list(self, caller: Caller, parameters: Parameters) -> Answer:
        arn = parameters["Resource"]
        return {"Tags": dict(self._kind_of(caller, arn).tags(caller, arn))}

    async def _change(self, caller: Caller, parameters: Parameters, change: ChangeTags) -> None:
        def checked(tags: Tags) -> dict[str, str]:
            changed = change(tags)
            check_tags(changed)
            return changed

        arn = parameters["Resource"]
        await self._kind_of(caller, arn).change(caller, arn, checked)

    def _kind_of(self, caller: Caller, arn: str) -> Taggable:
        return next(kind for kind in self._kinds if kind.is_named(caller, arn))


class CodeSigningTags:
    def __init__(self, code_signing: CodeSigningRegistry) -> None:
        self._code_signing = code_signing

    def is_named(self, caller: Caller, arn: str) -> bool:
        key = parse_code_signing_arn(arn)
        return key is not None and (key.account, key.region) == (caller.account, caller.region)

    def tags(self, caller: Caller, arn: str) -> Tags:
        key = _config_key(arn)
        return _existing_config(key, self._code_signing.get(key)).tags

    async def change(self, caller: Caller, arn: str, change: ChangeTags) -> None:
        key = _config_key(arn)

        def decide(record: CodeSigningRecord | None) -> CodeSigningRecord:
            record = _existing_config(key, record)
            return replace(record, tags=change(record.tags))

        await self._code_signing.change(key, decide)


class EventSourceTags:
    def __init__(self, mappings: EventSourceRegistry) -> None:
        self._mappings = mappings

    def is_named(self, caller: Caller, arn: str) -> bool:
        return arn == mapping_arn(caller.account, caller.region, _mapping_id(arn))

    def tags(self, caller: Caller, arn: str) -> Tags:
        return self._existing(arn).tags

    async def change(self, caller: Caller, arn: str, change: ChangeTags) -> None:
        def decide(record: MappingRecord | None) -> MappingRecord:
            if record is None:
                raise ResourceNotFound(_MISSING)
            return replace(record, tags=change(record.tags))

        await self._mappings.change(self._existing(arn), decide)

    def _existing(self, arn: str) -> MappingRecord:
        record = self._mappings.get(_mapping_id(arn))
        if record is None or arn != mapping_arn(record.mapping.account, record.mapping.region, record.mapping.id):
            raise ResourceNotFound(_MISSING)
        return record


class FunctionTags:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def is_named(self, caller: Caller, arn: str) -> bool:
        """Functions answer for whatever is named by nobody else."""
        return True

    def tags(self, caller: Caller, arn: str) -> Tags:
        key = _function_key(caller, arn)
        return existing(key, self._registry.catalog.get(key)).record.tags

    async def change(self, caller: Caller, arn: str, change: ChangeTags) -> None:
        key = _function_key(caller, arn)

        def decide(stored: Stored | None) -> Edit | None:
            record = existing(key, stored).record
            tags = change(record.tags)
            return None if tags == record.tags else Edit(replace(record, tags=tags))

        await self._registry.change(key, decide)


def _mapping_id(arn: str) -> str:
    return arn.rpartition(":")[2]


def _config_key(arn: str) -> CodeSigningKey:
    key = parse_code_signing_arn(arn)
    if key is None:
        raise missing_config(arn)
    return key


def _existing_config(key: CodeSigningKey, record: CodeSigningRecord | None) -> CodeSigningRecord:
    if record is None:
        raise missing_config(key.arn)
    return record


def _function_key(caller: Caller, text: str) -> FunctionKey:
    """The function that an ARN names. Raises `CallerError` for whatever else it names."""
    arn = parse_function_arn(text)
    if arn is None:
        raise ResourceNotFound(_MISSING)
    if arn.qualifier is not None:
        raise InvalidParameterValue(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    if arn.region != caller.region:
        raise ResourceNotFound(f"Functions from '{arn.region}' are not reachable in this region ('{caller.region}')")
    if arn.account != caller.account:
        raise AccessDenied("")
    return FunctionKey(arn.account, arn.region, arn.name)
