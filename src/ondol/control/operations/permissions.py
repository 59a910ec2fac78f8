"""Permissions of functions, versions and aliases: one statement at a time, or the whole policy."""

from collections.abc import Callable

from ondol.control.api import Caller
from ondol.control.catalog import Stored
from ondol.control.holders import Holders
from ondol.control.operations.lookup import Answer, Operations, Parameters, existing, key_of, label_of
from ondol.control.permissions import (
    granted,
    new_statement,
    policy_of,
    require_policy,
    require_policy_revision,
    revision_of,
    revoked,
    with_policy,
)
from ondol.control.policy_document import compact
from ondol.control.records import Edit, FunctionRecord
from ondol.control.registry import Registry
from ondol.model.arn import parse_function_arn
from ondol.model.errors import AccessDenied, InvalidParameterValue, ResourceNotFound
from ondol.model.function import LATEST, FunctionKey


class PermissionOperations:
    """A change is answered once every frontend decides by it."""

    def __init__(self, registry: Registry, holders: Holders, new_id: Callable[[], str]) -> None:
        self._registry = registry
        self._holders = holders
        self._new_id = new_id

    def table(self) -> Operations:
        return {
            "AddPermission": self.add,
            "RemovePermission": self.remove,
            "GetPolicy": self.get,
            "PutResourcePolicy": self.put_document,
            "GetResourcePolicy": self.get_document,
            "DeleteResourcePolicy": self.delete_document,
        }

    async def add(self, caller: Caller, parameters: Parameters) -> Answer:
        key, qualifier = key_of(caller, parameters), parameters.get("Qualifier")
        _require_not_latest(qualifier)
        statement = new_statement(key.arn if qualifier is None else f"{key.arn}:{qualifier}", key.region, parameters)

        def change(record: FunctionRecord, label: str) -> FunctionRecord:
            return granted(record, label, statement, self._new_id)

        await self._change(key, qualifier, parameters, change)
        return {"Statement": compact(statement)}

    async def remove(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)
        if self._registry.catalog.get(key) is None:
            raise ResourceNotFound(f"No policy found for: {key.arn}")

        def change(record: FunctionRecord, label: str) -> FunctionRecord:
            return revoked(record, label, parameters["StatementId"], self._new_id)

        await self._change(key, parameters.get("Qualifier"), parameters, change)
        return {}

    async def get(self, caller: Caller, parameters: Parameters) -> Answer:
        return self._shown(key_of(caller, parameters), parameters.get("Qualifier"))

    async def put_document(self, caller: Caller, parameters: Parameters) -> Answer:
        key, qualifier = _named(caller, parameters)
        _require_not_latest(qualifier)
        document = parameters["Policy"]
        require_policy(document)

        def change(record: FunctionRecord, label: str) -> FunctionRecord:
            return with_policy(record, label, document, self._new_id)

        await self._change(key, qualifier, parameters, change)
        return self._shown(key, qualifier)

    async def get_document(self, caller: Caller, parameters: Parameters) -> Answer:
        return self._shown(*_named(caller, parameters))

    async def delete_document(self, caller: Caller, parameters: Parameters) -> Answer:
        def change(record: FunctionRecord, label: str) -> FunctionRecord:
            policy_of(record, label)
            return with_policy(record, label, None, self._new_id)

        key, qualifier = _named(caller, parameters)
        await self._change(key, qualifier, parameters, change)
        return {}

    async def _change(
        self,
        key: FunctionKey,
        qualifier: str | None,
        parameters: Parameters,
        change: Callable[[FunctionRecord, str], FunctionRecord],
    ) -> None:
        def decide(stored: Stored | None) -> Edit:
            record = existing(key, stored).record
            label = label_of(key, record, qualifier)
            require_policy_revision(record, label, parameters.get("RevisionId"))
            return Edit(change(record, label))

        await self._registry.change(key, decide)
        await self._holders.announce(key)

    def _shown(self, key: FunctionKey, qualifier: str | None) -> Answer:
        """Of a version or alias that is not there no more is told than of one that has no policy."""
        record = existing(key, self._registry.catalog.get(key)).record
        label = qualifier or LATEST
        return {"Policy": policy_of(record, label), "RevisionId": revision_of(record, label)}


def _require_not_latest(qualifier: str | None) -> None:
    if qualifier == LATEST:
        raise InvalidParameterValue("We currently do not support adding policies for $LATEST.")


def _named(caller: Caller, parameters: Parameters) -> tuple[FunctionKey, str | None]:
    """What a ResourceArn names. Raises `CallerError` for what is not the caller's, or no function."""
    arn = parse_function_arn(parameters["ResourceArn"])
    if arn is None:
        raise InvalidParameterValue("ondol has policies of functions, versions and aliases only.")
    if arn.account != caller.account:
        raise AccessDenied("")
    if arn.region != caller.region:
        raise ResourceNotFound(f"Functions from '{arn.region}' are not reachable in this region ('{caller.region}')")
    return FunctionKey(arn.account, arn.region, arn.name), arn.qualifier
