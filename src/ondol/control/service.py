"""Control's shell: what is there at start, a table of operations, and what goes on in the background."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ondol.background import WholeWork
from ondol.control.alias_moves import AliasMoves
from ondol.control.api import (
    Caller,
    CodeHost,
    ConcurrencyKeeper,
    ImageSource,
    OwnOperation,
    PackageSource,
    Retirer,
    RuntimeCatalog,
    ViewHolder,
)
from ondol.control.claims import Claims
from ondol.control.code_signing_registry import CodeSigningRegistry
from ondol.control.event_source_registry import EventSourceRegistry
from ondol.control.event_source_settler import EventSourceSettler
from ondol.control.holders import Holders
from ondol.control.hot_reload import HotReload
from ondol.control.http_api_registry import HttpApiRegistry
from ondol.control.layer_registry import LayerRegistry
from ondol.control.operations.aliases import AliasOperations
from ondol.control.operations.code_signing import CodeSigningOperations
from ondol.control.operations.concurrency import ConcurrencyOperations
from ondol.control.operations.deletion import DeleteOperations
from ondol.control.operations.event_invokes import EventInvokeOperations
from ondol.control.operations.event_sources import EventSourceOperations
from ondol.control.operations.functions import FunctionOperations
from ondol.control.operations.layer_permissions import LayerPermissionOperations
from ondol.control.operations.layers import LayerOperations
from ondol.control.operations.lookup import Operations
from ondol.control.operations.management import ManagementOperations
from ondol.control.operations.own import OwnOperations
from ondol.control.operations.permissions import PermissionOperations
from ondol.control.operations.provisioned import ProvisionedOperations
from ondol.control.operations.reset import Reset
from ondol.control.operations.tags import CodeSigningTags, EventSourceTags, FunctionTags, TagOperations
from ondol.control.operations.updates import UpdateOperations
from ondol.control.operations.urls import UrlOperations
from ondol.control.operations.versions import VersionOperations
from ondol.control.packages import Packages
from ondol.control.provisioned import claim
from ondol.control.registry import Registry
from ondol.control.settler import Settler
from ondol.control.stacks import StackRegistry
from ondol.control.unserved import UNSERVED
from ondol.folders.allowed import AllowedFolders
from ondol.model.errors import NotServed
from ondol.model.function import FunctionKey, FunctionView
from ondol.model.http_api import HttpApi
from ondol.model.ids import CodeDigest
from ondol.model.limits import AccountLimits
from ondol.model.time import SECOND, Clock
from ondol.pollers.api import Pollers
from ondol.store.protocol import Blobs, Store, StoreError
from ondol.worker_manager.api import Provisioner

HOLDER_LEASE = 10 * SECOND
"""For so long, at most, a frontend decides by views that it could not have renewed."""

COLLECT_EVERY_S = 3600.0
COLLECT_GRACE_S = 3600.0

_log = logging.getLogger(__name__)


class ControlService:
    """Performs AWS's control operations. `open` before anything else; `new_id` makes UUIDs.

    `url_secret`, the same for ever, keeps function URLs from being guessed.
    """

    def __init__(
        self,
        *,
        store: Store,
        blobs: Blobs,
        clock: Clock,
        limits: AccountLimits,
        code_host: CodeHost,
        concurrency: ConcurrencyKeeper,
        retirer: Retirer,
        provisioner: Provisioner,
        runtimes: RuntimeCatalog,
        package_source: PackageSource,
        image_source: ImageSource,
        pollers: Pollers,
        new_id: Callable[[], str],
        tell: Callable[[str], None],
        folders: Sequence[Path] = (),
        url_secret: str = "",
        holder_lease: int = HOLDER_LEASE,
        nearest_runtime: bool = False,
    ) -> None:
        self._registry = registry = Registry(store)
        self._layers = layers = LayerRegistry(store)
        self._code_signing = code_signing = CodeSigningRegistry(store)
        self._packages = packages = Packages(blobs, registry.catalog, layers.catalog, package_source)
        self._holders = holders = Holders(registry, clock, holder_lease, nearest_runtime)
        self._claims = claims = Claims(registry.catalog, holders, concurrency, provisioner)
        self._moves = moves = AliasMoves(registry, claims)
        self._settler = settler = Settler(
            registry=registry,
            holders=holders,
            code_host=code_host,
            retirer=retirer,
            claims=claims,
            new_id=new_id,
            nearest_runtime=nearest_runtime,
        )
        self._hot_reload = hot_reload = HotReload(
            registry=registry,
            packages=packages,
            settler=settler,
            allowed=AllowedFolders(folders),
            clock=clock,
            new_id=new_id,
            tell=tell,
        )
        self._event_sources = event_sources = EventSourceRegistry(store)
        self._event_source_settler = EventSourceSettler(event_sources, pollers)
        self._http_apis = http_apis = HttpApiRegistry(store, holders, url_secret)
        self._stacks = stacks = StackRegistry(store)
        self._collecting: asyncio.Task[None] | None = None
        self._whole = WholeWork()

        def cannot_run(runtime: str) -> str | None:
            return runtimes.check(runtime, nearest_runtime)

        functions, updates = (
            operations(
                registry=registry,
                packages=packages,
                images=image_source,
                layers=layers.catalog,
                code_signing=code_signing,
                settler=settler,
                hot_reload=hot_reload,
                cannot_run=cannot_run,
                clock=clock,
                new_id=new_id,
            )
            for operations in (FunctionOperations, UpdateOperations)
        )
        deletion = DeleteOperations(registry, holders, retirer, claims)
        self._reset = Reset(
            registry=registry,
            layers=layers,
            code_signing=code_signing,
            deletion=deletion,
            mappings=event_sources,
            mapping_settler=self._event_source_settler,
            http_apis=http_apis,
            stacks=stacks,
        )
        self._own_operations = OwnOperations(http_apis, stacks)
        self._operations: Operations = {
            **functions.table(),
            **updates.table(),
            **deletion.table(),
            **VersionOperations(registry, packages, holders, settler, new_id).table(),
            **AliasOperations(registry, holders, claims, moves, new_id).table(),
            **ConcurrencyOperations(registry, packages, claims, limits).table(),
            **ProvisionedOperations(registry, claims, limits, clock).table(),
            **PermissionOperations(registry, holders, new_id).table(),
            **UrlOperations(registry, holders, clock, url_secret).table(),
            **CodeSigningOperations(registry, code_signing, clock, new_id).table(),
            **ManagementOperations(registry, holders).table(),
            **TagOperations(
                (CodeSigningTags(code_signing), EventSourceTags(event_sources), FunctionTags(registry))
            ).table(),
            **LayerOperations(layers, packages, clock).table(),
            **LayerPermissionOperations(layers, new_id).table(),
            **EventInvokeOperations(registry, holders, clock).table(),
            **EventSourceOperations(
                functions=registry,
                mappings=event_sources,
                settler=self._event_source_settler,
                pollers=pollers,
                clock=clock,
                new_id=new_id,
            ).table(),
        }

    async def open(self) -> None:
        """Load what is stored, tell what others must know of it, and go on with what was under way."""
        await self._registry.open()
        await self._layers.open()
        await self._code_signing.open()
        await self._event_sources.open()
        await self._http_apis.open()
        await self._stacks.open()
        for key, stored in list(self._registry.catalog):
            if claim(stored.record):
                await self._claims.count(key)
            if stored.record.provisioned:
                await self._claims.provision(key)
                self._moves.start(key)
            self._settler.start(key)
        self._hot_reload.open()
        self._event_source_settler.resume()
        self._collecting = asyncio.create_task(self._collect_for_ever(), name="collect packages")

    async def close(self) -> None:
        """Finish the operations under way; what happens in the background goes on at the next start."""
        self._hot_reload.close()
        await self._whole.finished()
        if self._collecting is not None:
            self._collecting.cancel()
            await asyncio.gather(self._collecting, return_exceptions=True)
        await self._moves.close()
        await self._event_source_settler.close()
        await self._settler.close()
        await self._holders.close()

    def operations(self) -> frozenset[str]:
        return frozenset(self._operations)

    async def perform(self, operation: str, caller: Caller, parameters: Mapping[str, Any]) -> dict[str, Any]:
        perform = self._operations.get(operation)
        if perform is None:
            raise NotServed(f"ondol does not have {operation}: {UNSERVED[operation]}.")
        return await self._whole.do(perform(caller, parameters))

    async def reset(self) -> int:
        return await self._whole.do(self._reset.perform())

    async def view(self, function: FunctionKey) -> FunctionView | None:
        return self._holders.view(function)

    async def url_owner(self, id: str) -> FunctionKey | None:
        return self._registry.catalog.url_owner(id)

    async def http_api(self, id: str) -> HttpApi | None:
        return self._http_apis.by_id(id)

    async def perform_own(self, operation: OwnOperation, caller: Caller, name: str, document: bytes) -> dict[str, Any]:
        return await self._whole.do(self._own_operations.perform(operation, caller, name, document))

    def register(self, holder: ViewHolder) -> None:
        self._holders.register(holder)

    async def code_location(self, digest: CodeDigest) -> str | None:
        return await self._packages.location(digest)

    async def needs(self, digest: CodeDigest) -> bool:
        return self._packages.needs(digest)

    async def collect(self, grace_s: float = COLLECT_GRACE_S) -> int:
        """Remove packages that no version needs and that are older than the grace period; answers how many."""
        return await self._packages.collect(grace_s)

    async def _collect_for_ever(self) -> None:
        while True:
            await asyncio.sleep(COLLECT_EVERY_S)
            try:
                await self.collect()
            except StoreError:
                _log.exception("packages that nobody needs could not be removed")
