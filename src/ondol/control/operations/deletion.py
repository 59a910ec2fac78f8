"""Delete functions, and versions of them."""

from ondol.control.api import Caller, Retirer
from ondol.control.catalog import Stored
from ondol.control.claims import Claims
from ondol.control.holders import Holders
from ondol.control.operations.lookup import Answer, Operations, Parameters, existing, key_of
from ondol.control.records import Edit
from ondol.control.registry import Registry
from ondol.control.versions import without
from ondol.model.errors import InvalidParameterValue
from ondol.model.function import LATEST, FunctionKey


class DeleteOperations:
    def __init__(self, registry: Registry, holders: Holders, retirer: Retirer, claims: Claims) -> None:
        self._registry = registry
        self._holders = holders
        self._retirer = retirer
        self._claims = claims

    def table(self) -> Operations:
        return {"DeleteFunction": self.delete}

    async def delete(self, caller: Caller, parameters: Parameters) -> Answer:
        """Without a qualifier the function and all that belongs to it, else one version, there or not."""
        key = key_of(caller, parameters)
        qualifier = parameters.get("Qualifier")
        if qualifier is None:
            await self._delete_function(key)
        elif qualifier == LATEST:
            raise InvalidParameterValue("$LATEST version cannot be deleted without deleting the function.")
        elif not qualifier.isdecimal():
            raise InvalidParameterValue("Deletion of aliases is not currently supported.")
        else:
            await self._delete_version(key, qualifier)
        return {}

    async def _delete_function(self, key: FunctionKey) -> None:
        def decide(stored: Stored | None) -> Edit:
            existing(key, stored)
            return Edit(None)

        await self._registry.change(key, decide)
        await self._holders.forget(key)
        # By now there may be another function of this name.
        await self._claims.shrunk(key)
        await self._retirer.retire(self._holders.current(key), key)

    async def _delete_version(self, key: FunctionKey, number: str) -> None:
        def decide(stored: Stored | None) -> Edit | None:
            record = existing(key, stored).record
            return Edit(without(record, number)) if number in record.versions else None

        await self._registry.change(key, decide)
        await self._claims.shrunk(key)
        await self._retirer.retire(self._holders.current(key), key)
