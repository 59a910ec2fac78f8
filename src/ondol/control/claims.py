"""Tells the others what concurrency a function has for itself: counting, who hold its view, and the worker manager."""

import asyncio

from ondol.control.api import ConcurrencyKeeper
from ondol.control.catalog import Catalog
from ondol.control.holders import Holders
from ondol.control.provisioned import environments
from ondol.model.function import FunctionKey, VersionState
from ondol.model.ids import VersionId
from ondol.worker_manager.api import Provision, Provisioner, ProvisionStatus, Wanted

NOTHING_YET = Provision(ProvisionStatus.IN_PROGRESS, 0, 0)


class Claims:
    """What is told is what is stored now and not what a caller wrote, so that whoever comes last is right."""

    def __init__(
        self, catalog: Catalog, holders: Holders, concurrency: ConcurrencyKeeper, provisioner: Provisioner
    ) -> None:
        self._catalog = catalog
        self._holders = holders
        self._concurrency = concurrency
        self._provisioner = provisioner
        self.changing = asyncio.Lock()
        """What one function may have for itself depends on what the others have."""

    async def grown(self, key: FunctionKey) -> None:
        """It has more than before: its pools are there before anybody draws from them."""
        await self.count(key)
        await self._holders.announce(key)
        await self.provision(key)

    async def shrunk(self, key: FunctionKey) -> None:
        """It has less: its pools end only when nobody draws from them any more."""
        await self._holders.announce(key)
        await self.count(key)
        await self.provision(key)

    async def count(self, key: FunctionKey) -> None:
        """Tell counting."""
        view = self._holders.current(key)
        provisioned = {} if view is None else {view.versions[number].id: n for number, n in view.provisioned.items()}
        await self._concurrency.reserve(key, None if view is None else view.reserved_concurrency, provisioned)

    async def provision(self, key: FunctionKey) -> None:
        """Tell the worker manager."""
        stored, view = self._catalog.get(key), self._holders.current(key)
        wanted: list[Wanted] = []
        if stored is not None and view is not None:
            for number, (n, since) in environments(stored.record).items():
                version = view.versions.get(number)
                if version is not None and version.state is VersionState.ACTIVE:
                    wanted.append(Wanted(version, n, since))
        await self._provisioner.provision(key, wanted)

    async def provision_of(self, key: FunctionKey, numbers: tuple[str, ...]) -> list[Provision]:
        """How far these versions have come."""
        return [await self._provisioner.provision_of(id) or NOTHING_YET for id in self._ids(key, numbers)]

    async def provisioned(self, key: FunctionKey, number: str) -> Provision | None:
        """How far this version has come, once it is not in progress any more."""
        ids = self._ids(key, (number,))
        return await self._provisioner.provisioned(ids[0]) if ids else None

    def _ids(self, key: FunctionKey, numbers: tuple[str, ...]) -> list[VersionId]:
        view = self._holders.current(key)
        return [] if view is None else [view.versions[number].id for number in numbers if number in view.versions]
