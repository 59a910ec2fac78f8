"""The images of functions on this worker: each fetched and unpacked once, and removed when nobody needs it any more.

```
 launch ──▶ fetched ──▶ unpacked ──▶ slots ... nothing names it, no environment runs it ──▶ slots dropped
                                                     all through the grace period ──▶ discarded
```
"""

import asyncio
from collections.abc import Awaitable, Callable, Container
from typing import Protocol

from ondol.model.errors import Outcome, PlatformError
from ondol.model.function import FunctionImage
from ondol.model.ids import CodeDigest
from ondol.model.runtime import StartOf
from ondol.model.time import SECOND, Clock, Instant
from ondol.runtimes.oci.errors import ImageAbsent, ImageError, ImageForbidden, ImageNotKept, RegistryUnreachable
from ondol.sandbox.driver import Driver
from ondol.worker.disuse import Disuse
from ondol.worker.slots import Slots

GRACE = 3600 * SECOND
"""What a function no longer has, another may have soon: its next version, or the one before it."""

_REASONS: tuple[tuple[type[ImageError], str], ...] = (
    (ImageForbidden, "ImageAccessDenied"),
    (ImageAbsent, "ImageDeleted"),
    (ImageNotKept, "InternalError"),
    (RegistryUnreachable, "InternalError"),
    (ImageError, "InvalidImage"),
)


def reason_code(error: ImageError) -> str:
    """AWS's StateReasonCode of a function whose image cannot be had."""
    return next(code for kind, code in _REASONS if isinstance(error, kind))


class ImageFetcher(Protocol):
    """Who has images brought here: `ondol.runtimes.oci.function_images`."""

    async def launch(self, image: FunctionImage, digest: CodeDigest) -> StartOf:
        """Have the image here; what starts of it. Raises `ImageError`."""
        ...

    async def kept(self) -> frozenset[CodeDigest]:
        """The images that are here for functions alone."""
        ...

    def forget(self, digest: CodeDigest) -> None:
        """It is about to be removed."""
        ...


class NoImages:
    """Where functions are packages alone."""

    async def launch(self, image: FunctionImage, digest: CodeDigest) -> StartOf:
        raise PlatformError("this worker runs no images", Outcome.NOT_STARTED)

    async def kept(self) -> frozenset[CodeDigest]:
        return frozenset()

    def forget(self, digest: CodeDigest) -> None:
        """There is none."""


NO_IMAGES = NoImages()


async def nothing_needed(digest: CodeDigest) -> bool:
    return False


class Images:
    """`needed` says whether some version has an image, or may have it in a moment."""

    def __init__(
        self,
        fetcher: ImageFetcher,
        *,
        driver: Driver,
        slots: Slots,
        needed: Callable[[CodeDigest], Awaitable[bool]],
        clock: Clock,
    ) -> None:
        self._fetcher = fetcher
        self._driver = driver
        self._slots = slots
        self._needed = needed
        self._clock = clock
        self._disuse = Disuse(GRACE)
        self._unpacked: set[CodeDigest] = set()
        self._making: dict[CodeDigest, asyncio.Lock] = {}
        """Held while an image is made ready, or removed."""

    async def launch(self, image: FunctionImage, digest: CodeDigest) -> StartOf:
        """Have the image ready; what starts of it. Raises `ImageError`, `UnpackRefused`, `SandboxError`."""
        if digest in self._unpacked:
            return await self._fetcher.launch(image, digest)
        async with self._making.setdefault(digest, asyncio.Lock()):
            start = await self._fetcher.launch(image, digest)
            if digest not in self._unpacked:
                await self._driver.unpack_image(digest)
                self._unpacked.add(digest)
            return start

    async def collect(self, in_use: Container[CodeDigest]) -> None:
        """Drop the slots of images that nobody needs, and discard those that nobody has needed for long."""
        idle = [digest for digest in await self._fetcher.kept() if digest not in in_use]
        unneeded = [digest for digest in idle if not await self._needed(digest)]
        dropped = [digest for digest in unneeded if await self._slots.drop(digest)]
        for digest in self._disuse.over(dropped, Instant(self._clock.now())):
            await self._discard(digest)

    async def _discard(self, digest: CodeDigest) -> None:
        lock = self._making.setdefault(digest, asyncio.Lock())
        if lock.locked():
            return
        async with lock:
            if not await self._needed(digest):
                self._unpacked.discard(digest)
                self._fetcher.forget(digest)
                await self._driver.discard_image(digest)
