"""Folders watched on the event loop: told when something that belongs to one has changed, once it is quiet again.

Watched are the directories that a folder was read from, and the way to it from the allowed folder, so that one that is
deleted and made again is found again.
"""

import asyncio
import errno
import threading
from collections.abc import Callable
from pathlib import PurePath

from ondol.folders.allowed import Folder, FolderError
from ondol.folders.contents import GATHERED_MS, QUIET_MS, belongs, why_not_watched
from ondol.linux import inotify

_CHANGES = (
    inotify.WRITTEN
    | inotify.ATTRIBUTES
    | inotify.MOVED_FROM
    | inotify.MOVED_TO
    | inotify.CREATED
    | inotify.DELETED
    | inotify.DELETED_SELF
    | inotify.MOVED_SELF
)


class FolderWatch:
    """`changed` is called on the loop with each folder that has changed, however much of it."""

    def __init__(self, changed: Callable[[Folder], None]) -> None:
        self._changed = changed
        self._inotify = inotify.Inotify()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._inotify.descriptor, self._heard)
        self._lock = threading.Lock()
        """Watches are added by threads that read, and looked up on the loop: never one without the other."""

        self._watches: dict[int, dict[Folder, str | None]] = {}
        """Who wants to hear of a directory: of all that belongs in it, or of the one entry that leads on."""

        self._noisy: dict[Folder, tuple[asyncio.TimerHandle, float]] = {}
        """Folders that have changed, and since when."""

    def looking(self, folder: Folder) -> "Look":
        """Begin to read it anew; the directories that only an earlier look entered are watched no more after it."""
        return Look(self, folder)

    def forget(self, folder: Folder) -> None:
        self.keep_only(folder, frozenset())

    def close(self) -> None:
        self._loop.remove_reader(self._inotify.descriptor)
        self._inotify.close()
        for timer, _ in self._noisy.values():
            timer.cancel()

    def add(self, folder: Folder, path: str, only: str | None) -> int:
        """On any thread. Raises `OSError`."""
        with self._lock:
            watch = self._inotify.add(path, _CHANGES)
            self._watches.setdefault(watch, {})[folder] = only
        return watch

    def keep_only(self, folder: Folder, kept: frozenset[int]) -> None:
        with self._lock:
            for watch in [watch for watch, wanted in self._watches.items() if folder in wanted and watch not in kept]:
                del self._watches[watch][folder]
                if not self._watches[watch]:
                    del self._watches[watch]
                    self._inotify.remove(watch)

    def _heard(self) -> None:
        with self._lock:
            changed = {folder for event in self._inotify.read() for folder in self._concerned(event)}
        for folder in changed:
            self._wait_for_quiet(folder)

    def _concerned(self, event: inotify.Event) -> list[Folder]:
        if event.kind & inotify.OVERFLOWN:
            return [folder for wanted in self._watches.values() for folder in wanted]
        if event.kind & inotify.FORGOTTEN:
            return list(self._watches.pop(event.watch, ()))
        wanted = self._watches.get(event.watch, {})
        if not event.name:
            return list(wanted)
        return [folder for folder, only in wanted.items() if (event.name == only if only else belongs(event.name))]

    def _wait_for_quiet(self, folder: Folder) -> None:
        now = self._loop.time()
        timer, since = self._noisy.get(folder, (None, now))
        if timer is not None:
            timer.cancel()
        due = min(now + QUIET_MS / 1000, since + GATHERED_MS / 1000)
        self._noisy[folder] = (self._loop.call_at(due, self._tell, folder), since)

    def _tell(self, folder: Folder) -> None:
        del self._noisy[folder]
        self._changed(folder)


class Look:
    """One reading of a folder, as what watches it sees it; on the thread that reads."""

    def __init__(self, watch: FolderWatch, folder: Folder) -> None:
        self._watch = watch
        self._folder = folder
        self._entered: set[int] = set()

    def approach(self) -> None:
        """Watch the way to the folder, as far as it is there. Raises `FolderError`."""
        directory = self._folder.allowed.parent
        for part in (self._folder.allowed.name, *PurePath(self._folder.inner).parts):
            self._add(str(directory), part)
            directory /= part

    def enter(self, descriptor: int) -> None:
        """Watch this directory of it, which is open. Raises `FolderError`."""
        self._add(f"/proc/self/fd/{descriptor}", None)

    def over(self) -> None:
        self._watch.keep_only(self._folder, frozenset(self._entered))

    def _add(self, path: str, only: str | None) -> None:
        try:
            self._entered.add(self._watch.add(self._folder, path, only))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                return  # it went, which is a change and is heard of; or it may not be looked into
            raise FolderError(why_not_watched(self._folder.path, error)) from error
