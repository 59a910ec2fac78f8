"""Packages of functions and layers: checked, kept from being collected before a record names them, and counted."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

from ondol.control.api import Caller, PackageSource
from ondol.control.catalog import Catalog
from ondol.control.checks import check_storage
from ondol.control.layer_catalog import LayerCatalog
from ondol.control.zip_checks import Package, inspect
from ondol.model.errors import Outcome, PlatformError
from ondol.model.function import FunctionImage
from ondol.model.ids import AccountId, CodeDigest, Region
from ondol.model.limits import UNZIPPED_BYTES, ZIPPED_BYTES
from ondol.model.s3 import S3Object
from ondol.store.protocol import Blobs, StoreError

_AT_ONCE_BYTES = 64 * 1024
"""So little is checked in less time than a thread takes to begin."""


class NewCode(NamedTuple):
    """Code that a function is to have."""

    content: bytes
    package: Package
    folder: str | None = None
    """The directory of this machine that it was taken from."""


class NewImage(NamedTuple):
    """An image that a function is to have as its code. It is fetched by whoever runs it, when it must be."""

    image: FunctionImage
    digest: CodeDigest
    folder: None = None


class Packages:
    def __init__(self, blobs: Blobs, functions: Catalog, layers: LayerCatalog, source: PackageSource) -> None:
        self._blobs = blobs
        self._source = source
        self._functions = functions
        self._layers = layers
        self._held: Counter[CodeDigest] = Counter()

    async def given(self, owner: Caller, code: Mapping[str, Any]) -> NewCode:
        """The package that comes with a request or that it names, checked. Raises `CallerError`."""
        if "ZipFile" in code:
            content: bytes = code["ZipFile"]
            return NewCode(content, await self.inspect(content))
        named = S3Object(code["S3Bucket"], code["S3Key"], code.get("S3ObjectVersion"))
        content = await self._source.fetch(owner.account, owner.region, named, UNZIPPED_BYTES)
        return NewCode(content, await self.inspect(content, UNZIPPED_BYTES))

    async def inspect(self, content: bytes, limit: int = ZIPPED_BYTES) -> Package:
        """As `zip_checks.inspect`. Raises `InvalidParameterValue`, `RequestEntityTooLarge`."""
        if len(content) <= _AT_ONCE_BYTES:
            return inspect(content, limit)
        return await asyncio.to_thread(inspect, content, limit)

    def stored(self, account: AccountId, region: Region) -> int:
        """Bytes of all functions, versions and layers of one account in one region."""
        return self._functions.usage(account, region).code_size + self._layers.code_size(account, region)

    def require_room(self, account: AccountId, region: Region, added: int) -> None:
        """Raises `CodeStorageExceeded` if so many bytes more are too many."""
        check_storage(self.stored(account, region), added)

    @contextmanager
    def held(self, digests: Iterable[CodeDigest]) -> Iterator[None]:
        """Inside, packages that a record names now stay, even if it is changed meanwhile."""
        counted = Counter(digests)
        self._held += counted
        try:
            yield
        finally:
            self._held -= counted

    @asynccontextmanager
    async def brought(self, code: NewCode | NewImage) -> AsyncIterator[None]:
        """As `kept`, also for an image."""
        if isinstance(code, NewImage):
            with self.held((code.digest,)):
                yield
        else:
            async with self.kept(code.package, code.content):
                yield

    @asynccontextmanager
    async def kept(self, package: Package, content: bytes) -> AsyncIterator[None]:
        """Inside, the package is durable and stays; from there on a record must name it. Raises `PlatformError`."""
        with self.held((package.digest,)):
            try:
                await self._blobs.put(content)
            except StoreError as error:
                raise PlatformError(f"the package could not be stored: {error}", Outcome.NOT_STARTED) from error
            yield

    async def collect(self, grace_s: float) -> int:
        """Remove the packages that no version needs; the answer is how many."""
        return await self._blobs.collect(self._needed, grace_s)

    def needs(self, digest: CodeDigest) -> bool:
        """Whether some version needs this package or image, or may in a moment."""
        return digest in self._needed()

    async def location(self, digest: CodeDigest) -> str | None:
        path = await self._blobs.path(digest)
        return None if path is None else str(path)

    def _needed(self) -> frozenset[CodeDigest]:
        return self._functions.packages() | self._layers.packages() | frozenset(self._held)
