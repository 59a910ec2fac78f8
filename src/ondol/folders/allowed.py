"""Which directories of this machine may be code: those below a folder that the operator has named, and no others."""

import os.path
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class FolderError(Exception):
    """A folder cannot be code: one sentence that says why."""


class Folder(NamedTuple):
    """A directory below one that the operator has allowed."""

    allowed: Path
    inner: str
    """Its path from there; `.` for the allowed one itself."""

    @property
    def path(self) -> Path:
        return self.allowed / self.inner


class AllowedFolders:
    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [folder.resolve() for folder in folders]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._folders)

    def find(self, path: str) -> Folder:
        """The folder that is meant, links on the way to it resolved. Raises `FolderError`.

        What is outside is refused alike whether it exists or not.
        """
        if not Path(path).is_absolute():
            raise FolderError(f"The S3Key of a hot-reload function must be an absolute directory, not {path!r}.")
        found = self.below(path)
        if found is None:
            raise FolderError(
                f"{path} is below no folder that functions may be reloaded from: start ondol with --hot-reload {path}, "
                "or name it in [code] folders of ondol.toml."
            )
        return found

    def below(self, path: str) -> Folder | None:
        """Where this absolute path really is below an allowed folder, or None if it is not."""
        real = Path(os.path.realpath(path))
        found = (allowed for allowed in self._folders if real.is_relative_to(allowed))
        return next((Folder(allowed, str(real.relative_to(allowed))) for allowed in found), None)
