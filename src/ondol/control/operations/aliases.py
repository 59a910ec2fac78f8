"""Create, show, list, update and delete aliases."""

from collections.abc import Callable

from msgspec.structs import replace

from ondol.control import paging
from ondol.control.alias_moves import AliasMoves
from ondol.control.aliases import describe_alias, pointed
from ondol.control.api import Caller
from ondol.control.catalog import Stored
from ondol.control.claims import Claims
from ondol.control.holders import Holders
from ondol.control.lifecycle import require_revision
from ondol.control.operations.lookup import Answer, Operations, Parameters, existing, key_of
from ondol.control.permissions import without_policy
from ondol.control.provisioned import arrived, led, without_config
from ondol.control.records import AliasRecord, Edit, FunctionRecord
from ondol.control.registry import Registry
from ondol.model.errors import ResourceConflict, ResourceNotFound
from ondol.model.function import FunctionKey


class AliasOperations:
    """A change is answered once it decides where every invocation goes that starts from then on."""

    def __init__(
        self, registry: Registry, holders: Holders, claims: Claims, moves: AliasMoves, new_id: Callable[[], str]
    ) -> None:
        self._registry = registry
        self._holders = holders
        self._claims = claims
        self._moves = moves
        self._new_id = new_id

    def table(self) -> Operations:
        return {
            "CreateAlias": self.create,
            "GetAlias": self.get,
            "ListAliases": self.list,
            "UpdateAlias": self.update,
            "DeleteAlias": self.delete,
        }

    async def create(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)
        name = parameters["Name"]

        def decide(stored: Stored | None) -> Edit:
            record = existing(key, stored, parameters["FunctionVersion"]).record
            alias = pointed(record, key, AliasRecord(parameters["FunctionVersion"], self._new_id()), parameters)
            if name in record.aliases:
                raise ResourceConflict(f"Alias already exists: {key.arn}:{name}")
            return Edit(replace(record, aliases={**record.aliases, name: alias}))

        stored = existing(key, await self._registry.change(key, decide))
        await self._holders.announce(key)
        return describe_alias(key, name, stored.record.aliases[name])

    async def get(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)
        name = parameters["Name"]
        stored = self._registry.catalog.get(key)
        if stored is None or name not in stored.record.aliases:
            raise ResourceNotFound(f"Cannot find alias arn: {key.arn}:{name}")
        return describe_alias(key, name, stored.record.aliases[name])

    async def list(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)
        record = existing(key, self._registry.catalog.get(key)).record
        version = parameters.get("FunctionVersion")
        first = paging.start(parameters)
        aliases, following = paging.page(
            (
                (name, describe_alias(key, name, alias))
                for name, alias in sorted(record.aliases.items())
                if name >= first and version in (None, alias.version)
            ),
            parameters,
        )
        return {"Aliases": aliases, **following}

    async def update(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)
        name = parameters["Name"]

        def decide(stored: Stored | None) -> Edit:
            if stored is None or name not in stored.record.aliases:
                raise ResourceNotFound(f"Alias not found: {key.arn}:{name}")
            record = stored.record
            before = record.aliases[name]
            require_revision(before.revision_id, parameters.get("RevisionId"))
            after = pointed(record, key, arrived(before) if before.moving else before, parameters)
            alias = led(record, name, before, replace(after, revision_id=self._new_id()), "RoutingConfig" in parameters)
            return Edit(replace(record, aliases={**record.aliases, name: alias}))

        stored = existing(key, await self._registry.change(key, decide))
        await self._tell(key, stored.record, name)
        return describe_alias(key, name, stored.record.aliases[name])

    async def delete(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)

        def decide(stored: Stored | None) -> Edit | None:
            record = existing(key, stored).record
            gone = parameters["Name"]
            if gone not in record.aliases:
                return None
            aliases = {name: alias for name, alias in record.aliases.items() if name != gone}
            event_invokes = {name: invoke for name, invoke in record.event_invokes.items() if name != gone}
            policies = without_policy(record.policies, gone)
            record = without_config(record, gone)
            return Edit(replace(record, aliases=aliases, event_invokes=event_invokes, policies=policies))

        await self._registry.change(key, decide)
        await self._claims.shrunk(key)
        return {}

    async def _tell(self, key: FunctionKey, record: FunctionRecord, name: str) -> None:
        if name in record.provisioned:
            await self._claims.grown(key)
            self._moves.start(key)
        else:
            await self._holders.announce(key)
