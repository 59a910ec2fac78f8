"""Functions whose code is a folder of this machine: made into a package, and again each time that it has changed.

A change goes the way of UpdateFunctionCode, so that no invocation after it runs the older code. What cannot be read or
does not fit is told to whoever runs ondol, and the function keeps the code that it has.
"""

import asyncio
from collections.abc import Callable

from ondol.background import Background
from ondol.control import lifecycle
from ondol.control.catalog import Stored
from ondol.control.packages import NewCode, Packages
from ondol.control.records import Edit
from ondol.control.registry import Registry
from ondol.control.settings import with_package
from ondol.control.settler import Settler
from ondol.control.zip_checks import Package
from ondol.folders.allowed import AllowedFolders, Folder, FolderError
from ondol.folders.reading import FolderLimits, FolderRead, read_folder
from ondol.folders.watch import FolderWatch
from ondol.model.errors import CallerError, InvalidParameterValue, PlatformError, ResourceConflict
from ondol.model.function import FunctionKey
from ondol.model.limits import UNZIPPED_BYTES
from ondol.model.time import Clock

LIMITS = FolderLimits(UNZIPPED_BYTES, 100_000)
LARGEST_PACKAGE = 2 * UNZIPPED_BYTES
"""It is not compressed, and no request has to carry it: what it holds is limited, not its size."""

_RETRY_S = 1.0


class HotReload:
    def __init__(
        self,
        *,
        registry: Registry,
        packages: Packages,
        settler: Settler,
        allowed: AllowedFolders,
        clock: Clock,
        new_id: Callable[[], str],
        tell: Callable[[str], None],
    ) -> None:
        self._registry = registry
        self._packages = packages
        self._settler = settler
        self._allowed = allowed
        self._clock = clock
        self._new_id = new_id
        self._tell = tell
        self._watch: FolderWatch | None = None
        self._followed: dict[Folder, set[FunctionKey]] = {}
        self._reloading: dict[Folder, bool] = {}
        """Folders that are being read; whether they have changed since."""

        self._told: dict[Folder, str] = {}
        self._background = Background("reloading a function's code")

    def open(self) -> None:
        """Watch the folders of all functions; what has changed meanwhile is taken now."""
        if self._allowed:
            self._watch = FolderWatch(self._changed)
        for key, stored in self._registry.catalog:
            if stored.record.folder is not None:
                self.follow(key, stored.record.folder)

    def close(self) -> None:
        self._background.cancel()
        if self._watch is not None:
            self._watch.close()

    async def take(self, path: str) -> NewCode:
        """The folder that a request names, as code. Raises `InvalidParameterValue`."""
        try:
            folder = self._allowed.find(path)
            read = await asyncio.to_thread(read_folder, folder, LIMITS, lambda _: None)
        except FolderError as error:
            raise InvalidParameterValue(str(error)) from error
        package = await self._packages.inspect(read.package, LARGEST_PACKAGE)
        return NewCode(read.package, package, str(folder.path))

    def follow(self, key: FunctionKey, path: str) -> None:
        """The code of a function is this folder, as its record says: what it holds from now on becomes its code."""
        try:
            folder = self._allowed.find(path)
        except FolderError as error:
            self._tell(f"{key.name} keeps the code that it has. {error}")
            return
        self._followed.setdefault(folder, set()).add(key)
        self._changed(folder)

    def _changed(self, folder: Folder) -> None:
        again = folder in self._reloading
        self._reloading[folder] = again
        if not again:
            self._background.spawn(self._reload(folder))

    async def _reload(self, folder: Folder) -> None:
        again = True
        while again:
            self._reloading[folder] = False
            try:
                await self._reload_once(folder)
            except PlatformError as error:
                self._tell_once(folder, error.message)
                await asyncio.sleep(_RETRY_S)
                continue
            except (FolderError, CallerError) as error:
                self._tell_once(folder, str(error))
            again = self._reloading[folder]
        del self._reloading[folder]

    async def _reload_once(self, folder: Folder) -> None:
        assert self._watch is not None
        followed = self._followed.setdefault(folder, set())
        followed.intersection_update([key for key in followed if self._is_code_of(folder, key)])
        if not followed:
            del self._followed[folder]
            self._watch.forget(folder)
            return
        read = await asyncio.to_thread(_read, self._watch, folder)
        package = await self._packages.inspect(read.package, LARGEST_PACKAGE)
        for key in list(followed):
            await self._deploy(key, folder, read.package, package)
        outside = ", ".join(read.left_out)
        told = f"some links are left out, for they lead out of {folder.allowed}: {outside}."
        self._tell_once(folder, told if outside else "")

    async def _deploy(self, key: FunctionKey, folder: Folder, content: bytes, package: Package) -> None:
        """As UpdateFunctionCode, once what is under way for the function is over."""

        def decide(stored: Stored | None) -> Edit | None:
            if stored is None or not self._is_code_of(folder, key) or stored.record.settings.code == package.digest:
                return None
            lifecycle.require_idle(stored.record, key)
            self._packages.require_room(key.account, key.region, package.size - stored.record.settings.code_size)
            settings = with_package(stored.record.settings, package)
            return Edit(lifecycle.updated(stored.record, settings, self._clock.wall(), self._new_id))

        stored = self._registry.catalog.get(key)
        if stored is None or stored.record.settings.code == package.digest:
            return
        async with self._packages.kept(package, content):
            while True:
                try:
                    await self._registry.change(key, decide)
                    break
                except ResourceConflict:
                    await self._settler.settled(key)
        self._settler.start(key)

    def _is_code_of(self, folder: Folder, key: FunctionKey) -> bool:
        stored = self._registry.catalog.get(key)
        return stored is not None and stored.record.folder == str(folder.path)

    def _tell_once(self, folder: Folder, text: str) -> None:
        """Say what is wrong with a folder, until something else is; an empty text: nothing is any more."""
        if text != self._told.pop(folder, "") and text:
            names = ", ".join(sorted(key.name for key in self._followed.get(folder, ())))
            self._tell(f"{names}, whose code is {folder.path}: {text}")
        if text:
            self._told[folder] = text


def _read(watch: FolderWatch, folder: Folder) -> FolderRead:
    """On a thread. What earlier readings watched stays watched if this one fails."""
    look = watch.looking(folder)
    look.approach()
    read = read_folder(folder, LIMITS, look.enter)
    look.over()
    return read
