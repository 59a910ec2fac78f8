"""The packages of a template's functions and layers, made of what is beside the template."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ondol.cli.console import Progress
from ondol.cli.failure import CommandFailed
from ondol.cli.package import DirectorySource, open_source
from ondol.cli.requirements import Requirements
from ondol.folders.contents import File, zipped
from ondol.templates.steps import Folder, Inline, Step

if TYPE_CHECKING:
    from ondol.runtimes.catalog import Catalog

_INLINE = {"python": "index.py", "nodejs": "index.js"}
"""The file that code of a template is in, by the beginning of its runtime."""


class CodePackages:
    """Zips, each made of what is there now; requirements are installed once, and again when they have changed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._catalog: Catalog | None = None
        self._requirements = Requirements(lambda: self.catalog)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._requirements.close()

    @property
    def catalog(self) -> "Catalog":
        """The interpreters of this machine."""
        if self._catalog is None:
            from ondol.runtimes.catalog import find  # noqa: PLC0415 - `ondol --help` does without

            with Progress("Looking for interpreters"):
                self._catalog = find()
        return self._catalog

    def path_of(self, folder: Folder) -> Path:
        return self._directory / folder.path

    def check(self, step: Step) -> str | None:
        """What is wrong with where a step's code is; None if nothing is."""
        if not isinstance(step.code, Folder):
            return None
        path = self.path_of(step.code)
        return None if path.exists() else f"{step.id}: there is no {path}"

    def package(self, step: Step, members: dict[str, Any], *, small: bool) -> bytes | None:
        """The zip of a step's code; None where it is in S3. `members` are filled. Raises `CommandFailed`."""
        runtime = str(members.get("Runtime") or next(iter(members.get("CompatibleRuntimes", ())), ""))
        if isinstance(step.code, Inline):
            name = next((file for kind, file in _INLINE.items() if runtime.startswith(kind)), None)
            if name is None:
                raise CommandFailed(f"{step.id}: InlineCode is of Python or Node.js, not of {runtime}.")
            return zipped([File(name, False, str(step.code.text).encode())], small=True)
        if not isinstance(step.code, Folder):
            return None
        source = open_source(self.path_of(step.code))
        if not isinstance(source, DirectorySource):
            return source.zipped(None)
        try:
            added = self._requirements.of(source, runtime) if step.code.build else None
            return source.zipped(added, small=small, within=step.code.within)
        except OSError as error:
            raise CommandFailed(f"{error.filename} cannot be read: {error.strerror}.") from error
