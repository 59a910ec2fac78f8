"""Publish and list versions."""

from collections.abc import Callable

from ondol.control import lifecycle, paging
from ondol.control.api import Caller
from ondol.control.catalog import Stored
from ondol.control.configuration import listed, shown_digest
from ondol.control.holders import Holders
from ondol.control.operations.lookup import (
    Answer,
    Operations,
    Parameters,
    describe,
    existing,
    key_of,
    labels_from,
    require_function,
)
from ondol.control.packages import Packages
from ondol.control.records import Edit
from ondol.control.refusals import refuse_unserved
from ondol.control.registry import Registry
from ondol.control.settler import Settler
from ondol.control.versions import last_number, published, require_code
from ondol.model.function import LATEST


class VersionOperations:
    def __init__(
        self,
        registry: Registry,
        packages: Packages,
        holders: Holders,
        settler: Settler,
        new_id: Callable[[], str],
    ) -> None:
        self._registry = registry
        self._packages = packages
        self._holders = holders
        self._settler = settler
        self._new_id = new_id

    def table(self) -> Operations:
        return {"PublishVersion": self.publish, "ListVersionsByFunction": self.list}

    async def publish(self, caller: Caller, parameters: Parameters) -> Answer:
        """Answers once the version can be invoked, or, after a failed update, will be or not."""
        key = key_of(caller, parameters)

        def decide(stored: Stored | None) -> Edit | None:
            require_function(parameters, LATEST)
            stored = existing(key, stored)
            record = stored.record
            refuse_unserved(parameters)
            lifecycle.require_publishable(record, key)
            lifecycle.require_revision(record.revision_id, parameters.get("RevisionId"))
            require_code(shown_digest(record.settings), parameters.get("CodeSha256"))
            number = last_number(record)
            last = None if number is None else stored.version(number)
            edit = published(record, last, parameters.get("Description"), self._new_id)
            if edit.version is None:
                return None
            self._packages.require_room(key.account, key.region, record.settings.code_size)
            return edit

        stored = existing(key, await self._registry.change(key, decide))
        await self._holders.announce(key)
        self._settler.start(key)
        return describe(key, stored, last_number(stored.record))

    async def list(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)
        stored = existing(key, self._registry.catalog.get(key))
        labels = labels_from(stored, paging.start(parameters))
        versions, following = paging.page(
            ((label, listed(describe(key, stored, label))) for label in labels), parameters
        )
        return {"Versions": versions, **following}
