"""What changes in a function's directory: waited for, gathered, and sorted out by what is part of its package."""

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ondol.cli.failure import CommandFailed
from ondol.folders.contents import GATHERED_MS, QUIET_MS, belongs, why_not_watched

if TYPE_CHECKING:
    from watchfiles import _rust_notify


class Watcher:
    """Changes since it was made, none lost in between. Raises `CommandFailed` where a directory cannot be watched.

    `others` are directories elsewhere that count too; what is in them is named by the way from the first.
    """

    def __init__(self, directory: Path, others: Iterable[Path] = ()) -> None:
        from watchfiles._rust_notify import RustNotify  # noqa: PLC0415 - `ondol --help` does without

        self._directory = directory.resolve()
        try:
            self._notify: _rust_notify.RustNotify = RustNotify(
                [str(self._directory), *(str(other.resolve()) for other in others)], False, False, 0, True, True
            )
        except OSError as error:
            raise CommandFailed(why_not_watched(directory, error)) from error

    def changed(self) -> frozenset[str]:
        """Wait until something of the package changes; names with `/` between directories. Ctrl-C interrupts it."""
        while True:
            found = self._notify.watch(GATHERED_MS, QUIET_MS, 0, None)
            if isinstance(found, str):
                raise KeyboardInterrupt
            names = relevant(self._directory, (path for _, path in found))
            if names:
                return names

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._notify.close()


def relevant(directory: Path, paths: Iterable[str]) -> frozenset[str]:
    """Of these paths the ones that are part of the package in a directory, relative to it."""
    names = (Path(os.path.relpath(path, directory)).as_posix() for path in paths if path != str(directory))
    return frozenset(filter(belongs, names))
