"""A control service with all its neighbours, which a test can hold up, break and ask what they were told."""

import asyncio
import io
import itertools
import zipfile
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from botocore.model import ServiceModel, Shape
from botocore.session import Session

from ondol.control.api import Caller, PrepareError
from ondol.control.service import ControlService
from ondol.model.errors import InvalidParameterValue
from ondol.model.function import FunctionImage, FunctionKey, FunctionView
from ondol.model.http_api import HttpApi
from ondol.model.ids import AccountId, CodeDigest, Region, VersionId
from ondol.model.limits import AccountLimits
from ondol.model.s3 import S3Object
from ondol.model.time import SECOND, Clock, Instant, WallTime
from ondol.pollers.api import Mapping as EventSourceMapping
from ondol.store.memory import MemoryBlobs, MemoryStore
from ondol.store.protocol import StoreError
from ondol.worker_manager.api import Provision, ProvisionStatus, Wanted

CALLER = Caller(AccountId("000000000000"), Region("eu-west-1"))
ROLE = "arn:aws:iam::000000000000:role/lambda-role"
PREFIX = "arn:aws:lambda:eu-west-1:000000000000:function:"
BORN = WallTime(1_704_164_645_123)
"""2024-01-02T03:04:05.123Z"""


def package(text: str = "def handler(event, context): return event") -> bytes:
    """A deployment package; the same text makes the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("index.py"), text)
    return buffer.getvalue()


def key_of(name: str) -> FunctionKey:
    return FunctionKey(CALLER.account, CALLER.region, name)


class LoopClock:
    """Goes on with the event loop's; the wall's stands still but for what a test does to it."""

    def __init__(self) -> None:
        self.time = BORN

    def now(self) -> Instant:
        return Instant(int(asyncio.get_running_loop().time() * SECOND))

    def wall(self) -> WallTime:
        return self.time


class BreakingStore(MemoryStore):
    """`fail_at` breaks the write with that number and all after it, as if the process had died before it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.fail_at: int | None = None
        self.before_write: Callable[[], Awaitable[Any]] | None = None

    async def put(self, key: str, value: bytes, expect: int | None = None) -> int:
        await self._count()
        return await super().put(key, value, expect)

    async def delete(self, key: str, expect: int | None = None) -> None:
        await self._count()
        await super().delete(key, expect)

    async def _count(self) -> None:
        if self.before_write is not None:
            await self.before_write()
        self.writes += 1
        if self.fail_at is not None and self.writes >= self.fail_at:
            raise StoreError("the disk is gone")


class BreakingBlobs(MemoryBlobs):
    """Keeps the bytes too; `fail` makes the next ones not fit."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.contents: dict[CodeDigest, bytes] = {}
        self.fail = False

    async def put(self, content: bytes | AsyncIterable[bytes]) -> CodeDigest:
        assert isinstance(content, bytes)
        if self.fail:
            raise StoreError("the disk is full")
        digest = await super().put(content)
        self.contents[digest] = content
        return digest

    async def kept(self) -> set[bytes]:
        """The packages that are there."""
        return {content for digest, content in self.contents.items() if await self.verify(digest)}


class CodeHosts:
    """The workers: they take no time unless they are held up."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()
        self.refusal: PrepareError | None = None
        self.prepared: list[tuple[AccountId, str, bool, CodeDigest]] = []
        self.layers_prepared: list[tuple[CodeDigest, ...]] = []
        self.images_prepared: list[FunctionImage | None] = []

    async def prepare(
        self,
        account: AccountId,
        runtime: str,
        nearest_runtime: bool,
        code: CodeDigest,
        layers: Sequence[CodeDigest] = (),
        *,
        image: FunctionImage | None = None,
    ) -> None:
        self.asked.set()
        await self.open.wait()
        if self.refusal is not None:
            raise self.refusal
        self.prepared.append((account, runtime, nearest_runtime, code))
        self.layers_prepared.append(tuple(layers))
        self.images_prepared.append(image)


class Keeper:
    def __init__(self) -> None:
        self.reserved: dict[FunctionKey, int | None] = {}

        self.provisioned: dict[FunctionKey, Mapping[VersionId, int]] = {}

    async def reserve(
        self, function: FunctionKey, concurrency: int | None, provisioned: Mapping[VersionId, int]
    ) -> None:
        self.reserved[function] = concurrency
        self.provisioned[function] = provisioned


class Provisions:
    """The worker manager: nothing gets ready until a test says so (`say`)."""

    def __init__(self) -> None:
        self.wanted: dict[FunctionKey, dict[str, int]] = {}
        """By function and version."""

        self.states: dict[VersionId, Provision] = {}
        self.orders: dict[VersionId, int] = {}
        self._said = asyncio.Event()

    def say(self, key: FunctionKey, version: str, state: Provision) -> None:
        [id] = [id for id in self.states if id.startswith(f"{key.account}/{key.region}/{key.name}/{version}/")]
        self.states[id] = state
        self._said.set()
        self._said = asyncio.Event()

    async def provision(self, function: FunctionKey, wanted: Sequence[Wanted]) -> None:
        self.wanted[function] = {each.version.version: each.n for each in wanted}
        for each in wanted:
            if self.orders.get(each.version.id) != each.order:
                self.states[each.version.id] = Provision(ProvisionStatus.IN_PROGRESS, 0, 0)
            self.orders[each.version.id] = each.order

    async def provision_of(self, version: VersionId) -> Provision | None:
        return self.states.get(version)

    async def provisioned(self, version: VersionId) -> Provision | None:
        while (state := self.states.get(version)) is not None and state.status is ProvisionStatus.IN_PROGRESS:
            await self._said.wait()
        return state


class Retired:
    def __init__(self) -> None:
        self.calls: list[tuple[FunctionView | None, FunctionKey]] = []

    async def retire(self, view: FunctionView | None, function: FunctionKey) -> None:
        self.calls.append((view, function))


class Runtimes:
    """This installation has every runtime but Java's."""

    def check(self, runtime: str, nearest: bool) -> str | None:
        return f"{runtime} is not installed here." if runtime.startswith("java") else None


class Bucket:
    """S3: objects by bucket, key and version."""

    def __init__(self) -> None:
        self.objects: dict[S3Object, bytes] = {}

    async def fetch(self, account: AccountId, region: Region, named: S3Object, largest: int) -> bytes:
        if named not in self.objects:
            raise InvalidParameterValue("Error occurred while GetObject.")
        return self.objects[named]


class Polled:
    """The pollers. What `refusal` says of a source is said of every source; `open` cleared: none can be begun with."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.refusal: Exception | None = None
        self.polled: dict[str, EventSourceMapping] = {}
        self.forgotten: list[str] = []
        self.checked: list[int] = []

    async def check(self, mapping: EventSourceMapping, function_timeout_s: int) -> None:
        self.checked.append(function_timeout_s)
        if self.refusal is not None:
            raise self.refusal

    async def start(self, mapping: EventSourceMapping) -> None:
        assert mapping.id not in self.polled
        await self.open.wait()
        self.polled[mapping.id] = mapping

    async def stop(self, mapping_id: str) -> None:
        self.polled.pop(mapping_id, None)

    async def forget(self, mapping: EventSourceMapping) -> None:
        assert mapping.id not in self.polled
        self.forgotten.append(mapping.id)

    def last_result(self, mapping_id: str) -> str | None:
        return None


class Holder:
    """A frontend. `open` cleared: it hears what it is told, and does not answer."""

    def __init__(self, name: str = "frontend-1") -> None:
        self.name = name
        self.open = asyncio.Event()
        self.open.set()
        self.told = asyncio.Event()
        self.views: dict[FunctionKey, FunctionView] = {}

    async def adopt(self, view: FunctionView) -> None:
        self.told.set()
        await self.open.wait()
        held = self.views.get(view.key)
        if held is None or held.revision < view.revision:
            self.views[view.key] = view

    async def forget(self, function: FunctionKey) -> None:
        self.told.set()
        await self.open.wait()
        self.views.pop(function, None)

    async def adopt_api(self, api: HttpApi) -> None:
        """Nobody asks it."""

    async def forget_api(self, id: str) -> None:
        """Nobody asks it."""


@cache
def service_model() -> ServiceModel:
    return Session().get_service_model("lambda")


def require_shape(shape: Shape | None, value: Any, where: str) -> None:
    """Everything in an answer has a name and a type that the service model knows."""
    if shape is None:
        assert not value, where
        return
    match shape.type_name:
        case "structure":
            members = shape.members
            assert value.keys() <= members.keys(), where
            for name, member in value.items():
                require_shape(members[name], member, f"{where}.{name}")
        case "list":
            for item in value:
                require_shape(shape.member, item, f"{where}[]")
        case "map":
            for item in value.values():
                require_shape(shape.value, item, f"{where}{{}}")
        case "string":
            assert isinstance(value, str), where
        case "integer" | "long" | "timestamp":
            assert type(value) is int, where
        case "double":
            assert isinstance(value, float), where
        case "boolean":
            assert isinstance(value, bool), where
        case unknown:
            raise AssertionError(f"{where} is {unknown}")


class Images:
    """A registry in which each tag means an image, until a test says that it means another."""

    def __init__(self) -> None:
        self.digests: dict[str, CodeDigest] = {}

    async def resolve(self, uri: str) -> tuple[FunctionImage, CodeDigest]:
        if uri not in self.digests:
            raise InvalidParameterValue(f"Source image {uri} does not exist. Provide a valid source image.")
        digest = self.digests[uri]
        return FunctionImage(uri, f"{uri.rpartition(':')[0]}@sha256:{digest}"), digest


class World:
    def __init__(
        self, limits: AccountLimits | None = None, holder_lease: int = 10**10, folders: Sequence[Path] = ()
    ) -> None:
        self.store = BreakingStore()
        self.clock = LoopClock()
        self.blobs = BreakingBlobs(self.clock)
        self.ids = itertools.count(1)
        self.limits = limits or AccountLimits()
        self.holder_lease = holder_lease
        self.folders = folders
        self.code_host = CodeHosts()
        self.keeper = Keeper()
        self.retired = Retired()
        self.provisions = Provisions()
        self.told: list[str] = []
        """What whoever runs ondol was told."""

        self.bucket = Bucket()
        self.images = Images()
        self.pollers = Polled()
        self.control = self.service()

    def service(self) -> ControlService:
        return ControlService(
            store=self.store,
            blobs=self.blobs,
            clock=self.clock,
            limits=self.limits,
            code_host=self.code_host,
            concurrency=self.keeper,
            retirer=self.retired,
            provisioner=self.provisions,
            runtimes=Runtimes(),
            package_source=self.bucket,
            image_source=self.images,
            pollers=self.pollers,
            new_id=lambda: f"id-{next(self.ids)}",
            tell=self.told.append,
            folders=self.folders,
            holder_lease=self.holder_lease,
        )

    async def restart(self) -> None:
        """The process died: nothing was closed, and what is in memory is lost."""
        await self.control.close()
        self.pollers.polled.clear()
        self.store.fail_at = None
        self.control = self.service()
        await self.control.open()

    async def __call__(
        self, operation: str, parameters: Mapping[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        answer = await self.control.perform(operation, CALLER, {**(parameters or {}), **more})
        require_shape(service_model().operation_model(operation).output_shape, answer, operation)
        return answer

    async def create(self, name: str = "fn", **more: Any) -> dict[str, Any]:
        return await self(
            "CreateFunction",
            {
                "FunctionName": name,
                "Runtime": "python3.12",
                "Handler": "index.handler",
                "Role": ROLE,
                "Code": {"ZipFile": package()},
                **more,
            },
        )

    async def settled(self, name: str = "fn", qualifier: str | None = None) -> dict[str, Any]:
        """The configuration once nothing goes on any more."""
        parameters = {"FunctionName": name} | ({} if qualifier is None else {"Qualifier": qualifier})
        while True:
            shown = await self("GetFunctionConfiguration", parameters)
            if shown["State"] != "Pending" and shown.get("LastUpdateStatus") != "InProgress":
                return shown
            await asyncio.sleep(0)

    async def active(self, name: str = "fn", **more: Any) -> dict[str, Any]:
        await self.create(name, **more)
        return await self.settled(name)


def run(test: Callable[[World], Awaitable[None]], **world: Any) -> None:
    """Run a test in a world that is open, on a loop of its own."""

    async def main() -> None:
        inside = World(**world)
        await inside.control.open()
        try:
            await test(inside)
        finally:
            await inside.control.close()

    asyncio.run(asyncio.wait_for(main(), 20))
