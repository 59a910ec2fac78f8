"""Images that are functions' code: which one a URI means, and each fetched once, whoever asks for it.

```
 CreateFunction ──resolve──▶ digest, recorded ... prepare ──launch──▶ images/DIGEST, what to start of it
```
What a tag means is asked when a function is told to use it, and never again: the record has the digest.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from ondol.folders.allowed import AllowedFolders
from ondol.model.errors import AccessDenied, CallerError, InvalidParameterValue
from ondol.model.function import FunctionImage
from ondol.model.ids import CodeDigest
from ondol.model.runtime import StartOf
from ondol.runtimes.oci.errors import ImageAbsent, ImageError, ImageForbidden, ImageNotKept, RegistryUnreachable
from ondol.runtimes.oci.kept import FetchedImage, fetched, load, named
from ondol.runtimes.oci.launch import program_of, runtime_of
from ondol.runtimes.oci.program import run
from ondol.runtimes.oci.reference import PREFIX, LocalImage, RegistryImage, parse_uri, pinned, written

RESOLVE_S = 45.0
"""So long a request waits for a registry: AWS's SDKs wait for 60 s."""

RESOLVED_AT_ONCE, FETCHED_AT_ONCE = 8, 4
"""Each is a process."""

_SHA256 = "sha256:"


class FunctionImages:
    """`directory` is where images are kept; `say` tells people.

    Paths are read below `allowed` folders alone, and of `registries` those alone that are named, unless that is None.
    """

    def __init__(
        self,
        directory: Path,
        allowed: AllowedFolders,
        registries: frozenset[str] | None,
        say: Callable[[str], None],
    ) -> None:
        self._directory = directory
        self._allowed = allowed
        self._registries = registries
        self._say = say
        self._loaded: dict[CodeDigest, FetchedImage] = {}
        self._fetching: dict[CodeDigest, asyncio.Task[FetchedImage]] = {}
        self._resolving = asyncio.Semaphore(RESOLVED_AT_ONCE)
        self._bringing = asyncio.Semaphore(FETCHED_AT_ONCE)

    async def resolve(self, uri: str) -> tuple[FunctionImage, CodeDigest]:
        """The image that a request names, and its digest. Raises `CallerError`."""
        try:
            async with asyncio.timeout(RESOLVE_S), self._resolving:
                reference, *read = await asyncio.to_thread(self._read, uri)
                digest = await run(["resolve", *read], self._say)
        except TimeoutError as error:
            raise _refused(uri, RegistryUnreachable(f"there was no answer within {RESOLVE_S:g} s")) from error
        except ImageError as error:
            raise _refused(uri, error) from error
        resolved = pinned(reference, digest)
        shown = resolved if isinstance(reference, LocalImage) else resolved.removeprefix(PREFIX)
        return FunctionImage(uri, shown), CodeDigest(digest.removeprefix(_SHA256))

    async def launch(self, image: FunctionImage, digest: CodeDigest) -> StartOf:
        """Have the image here, fetched if it must be; what starts of it. Raises `ImageError`; it may be tried again."""
        there = self._loaded.get(digest)
        if there is None:
            fetching = self._fetching.get(digest)
            if fetching is None:
                fetching = self._fetching[digest] = asyncio.create_task(self._fetch(image, digest))
                fetching.add_done_callback(lambda ended: self._ended(digest, ended))
            # Who gives up waiting does not end it for the others.
            there = self._loaded[digest] = await asyncio.shield(fetching)
        return StartOf(runtime_of(there), program_of(there.execution, image.overrides))

    async def kept(self) -> frozenset[CodeDigest]:
        """The images that are there for functions alone, whichever run fetched them."""
        names = await asyncio.to_thread(lambda: fetched(self._directory) - named(self._directory))
        return frozenset(CodeDigest(name) for name in names if name not in self._fetching)

    def forget(self, digest: CodeDigest) -> None:
        """It is about to be removed."""
        self._loaded.pop(digest, None)

    async def close(self) -> None:
        """End what is being fetched."""
        fetching = list(self._fetching.values())
        for task in fetching:
            task.cancel()
        await asyncio.gather(*fetching, return_exceptions=True)

    def _ended(self, digest: CodeDigest, fetching: asyncio.Task[FetchedImage]) -> None:
        del self._fetching[digest]
        if not fetching.cancelled():
            fetching.exception()  # whoever still waits is told; nobody need

    async def _fetch(self, image: FunctionImage, digest: CodeDigest) -> FetchedImage:
        there = await asyncio.to_thread(load, self._directory, digest)
        if there is None:
            _, *read = await asyncio.to_thread(self._read, image.resolved_uri)
            order = ["exactly", *read, _SHA256 + digest, str(self._directory)]
            async with self._bringing:
                await run(order, lambda text: self._say(f"image {image.uri}: {text}"))
            there = await asyncio.to_thread(load, self._directory, digest)
        if there is None:
            raise ImageNotKept("what was fetched is gone")
        return there

    def _read(self, uri: str) -> tuple[LocalImage | RegistryImage, str, str]:
        """What a URI names; how that is read, and for a path the folder that nothing of it leads out of.

        Looks at paths: on a thread. Raises `ImageError`.
        """
        reference = parse_uri(uri)
        if isinstance(reference, RegistryImage):
            if self._registries is not None and reference.host.lower() not in self._registries:
                raise ImageError(
                    f"images do not come from {reference.host}: whoever runs ondol names the registries in "
                    "[code] registries of ondol.toml"
                )
            return reference, written(reference), ""
        folder = self._allowed.below(str(reference.path))
        if folder is None:
            # The same whether or not it is there.
            raise ImageError(
                "it is below no folder that code may be taken from: start ondol with --hot-reload FOLDER, "
                "or name one in [code] folders of ondol.toml"
            )
        return reference, written(replace(reference, path=folder.path)), str(folder.allowed)


def _refused(uri: str, error: ImageError) -> CallerError:
    """Why there will be no such function: in AWS's words as far as they go, and then in ours."""
    match error:
        case ImageForbidden():
            text = f"Lambda does not have permission to access the image {uri}. Check the permissions: {error}."
            return AccessDenied(text)
        case ImageAbsent():
            text = f"Source image {uri} does not exist. Provide a valid source image: {error}."
        case RegistryUnreachable():
            text = f"Source image {uri} cannot be looked up: {error}."
        case _:
            text = f"Source image {uri} is not valid. Provide a valid source image: {error}."
    return InvalidParameterValue(text)
