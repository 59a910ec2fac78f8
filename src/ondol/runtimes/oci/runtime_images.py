"""The images that the configuration names, each made a runtime when it is first wanted, in a process of its own."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from ondol.config import ConfigError, RuntimeImage
from ondol.model.errors import Outcome, PlatformError
from ondol.model.runtime import Runtime
from ondol.runtimes.oci.errors import ImageError, ImageNotKept
from ondol.runtimes.oci.kept import load
from ondol.runtimes.oci.launch import runtime_on
from ondol.runtimes.oci.program import run
from ondol.runtimes.oci.reference import parse


def check_images(configured: Mapping[str, RuntimeImage], accepted: Collection[str]) -> dict[str, str]:
    """The reference of each configured image, by runtime; `accepted` are the runtimes that Lambda knows.

    Raises `ConfigError` for what can never be, whatever comes to be there.
    """
    references = {}
    for name, image in configured.items():
        if name not in accepted:
            raise ConfigError(f"{image.where} is no runtime of Lambda's; there are: {', '.join(accepted)}.")
        try:
            parse(image.reference)
        except ImageError as error:
            raise ConfigError(f"{image.where}: {error}.") from error
        references[name] = image.reference
    return references


class RuntimeImages:
    """`configured` says, by runtime, the reference of its image; `say` hears what people should read."""

    def __init__(self, configured: Mapping[str, str], directory: Path, say: Callable[[str], None]) -> None:
        self._configured = configured
        self._directory = directory
        self._say = say
        self._ready: dict[str, Runtime] = {}
        self._fetching: dict[str, asyncio.Task[Runtime]] = {}

    async def complete(self, runtime: Runtime) -> Runtime:
        """The runtime, its image fetched if it has one. Raises `PlatformError`; the next call tries again."""
        if runtime.name not in self._configured:
            return runtime
        ready = self._ready.get(runtime.name)
        if ready is not None:
            return ready
        fetching = self._fetching.get(runtime.name)
        if fetching is None:
            fetching = self._fetching[runtime.name] = asyncio.create_task(self._fetch(runtime.name))
            fetching.add_done_callback(lambda ended: self._ended(runtime.name, ended))
        # Who gives up waiting does not end it for the others.
        return await asyncio.shield(fetching)

    async def close(self) -> None:
        """End what is being fetched."""
        fetching = list(self._fetching.values())
        for task in fetching:
            task.cancel()
        await asyncio.gather(*fetching, return_exceptions=True)

    def _ended(self, name: str, fetching: asyncio.Task[Runtime]) -> None:
        del self._fetching[name]
        if not fetching.cancelled() and fetching.exception() is None:
            self._ready[name] = fetching.result()

    async def _fetch(self, name: str) -> Runtime:
        reference = self._configured[name]
        try:
            order = ["fetch", reference, str(self._directory)]
            digest = await run(order, lambda text: self._say(f"runtime {name}: {text}"))
            fetched = load(self._directory, digest)
            if fetched is None:
                raise ImageNotKept("what was fetched is gone")
        except (ImageError, OSError) as error:
            text = f"the runtime {name} cannot be had from {reference}: {error}"
            self._say(text)
            raise PlatformError(text, Outcome.NOT_STARTED) from error
        return runtime_on(name, fetched)
