"""Tags of functions. `Resource` is an ARN."""

from collections.abc import Mapping

from msgspec.structs import replace

from ondol.control.api import Caller
from ondol.control.catalog import Stored
from ondol.control.operations.lookup import Answer, Operations, Parameters, existing
from ondol.control.policy import check_tags
from ondol.control.records import Edit
from ondol.control.registry import Registry
from ondol.model.arn import parse_function_arn
from ondol.model.errors import AccessDenied, InvalidParameterValue, ResourceNotFound
from ondol.model.function import FunctionKey


class TagOperations:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def table(self) -> Operations:
        return {"TagResource": self.tag, "UntagResource": self.untag, "ListTags": self.list}

    async def tag(self, caller: Caller, parameters: Parameters) -> Answer:
        added = parameters["Tags"]
        if not added:
            raise InvalidParameterValue("An error occurred and the request cannot be processed.")
        await self._change(_tagged(caller, parameters), added, frozenset())
        return {}

    async def untag(self, caller: Caller, parameters: Parameters) -> Answer:
        await self._change(_tagged(caller, parameters), {}, frozenset(parameters["TagKeys"]))
        return {}

    async def list(self, caller: Caller, parameters: Parameters) -> Answer:
        key = _tagged(caller, parameters)
        return {"Tags": dict(existing(key, self._registry.catalog.get(key)).record.tags)}

    async def _change(self, key: FunctionKey, added: Mapping[str, str], removed: frozenset[str]) -> None:
        def decide(stored: Stored | None) -> Edit | None:
            record = existing(key, stored).record
            tags = {name: value for name, value in {**record.tags, **added}.items() if name not in removed}
            check_tags(tags)
            return None if tags == record.tags else Edit(replace(record, tags=tags))

        await self._registry.change(key, decide)


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
