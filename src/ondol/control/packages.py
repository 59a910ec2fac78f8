"""Packages on their way into the store: checked, and kept from being collected before a record names them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ondol.control.catalog import Catalog
from ondol.control.zip_checks import Package, inspect
from ondol.model.errors import Outcome, PlatformError
from ondol.model.ids import CodeDigest
from ondol.store.protocol import Blobs, StoreError

_AT_ONCE_BYTES = 64 * 1024
"""So little is checked in less time than a thread takes to begin."""


class Packages:
    def __init__(self, blobs: Blobs, catalog: Catalog) -> None:
        self._blobs = blobs
        self._catalog = catalog
        self._arriving: Counter[CodeDigest] = Counter()

    async def inspect(self, content: bytes) -> Package:
        """Raises `InvalidParameterValue`, `RequestEntityTooLarge`."""
        if len(content) <= _AT_ONCE_BYTES:
            return inspect(content)
        return await asyncio.to_thread(inspect, content)

    @asynccontextmanager
    async def kept(self, package: Package, content: bytes) -> AsyncIterator[None]:
        """Inside, the package is durable and stays; from there on a record must name it. Raises `PlatformError`."""
        self._arriving[package.digest] += 1
        try:
            try:
                await self._blobs.put(content)
            except StoreError as error:
                raise PlatformError(f"the package could not be stored: {error}", Outcome.NOT_STARTED) from error
            yield
        finally:
            self._arriving[package.digest] -= 1

    async def collect(self, grace_s: float) -> int:
        """Remove the packages that no version needs; the answer is how many."""
        return await self._blobs.collect(lambda: self._catalog.packages() | frozenset(+self._arriving), grace_s)

    async def location(self, digest: CodeDigest) -> str | None:
        path = await self._blobs.path(digest)
        return None if path is None else str(path)
