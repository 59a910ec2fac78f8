"""A function's package: its files from a directory or a zip, with what is added to them, made into one zip."""

import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from ondol.cli.failure import CommandFailed
from ondol.folders.contents import File, belongs, zipped

_PACKAGE = "package.json"
_STORED_BYTES = 32 << 20
"""Up to so much a package that need not be small is not compressed: it would take longer than to send it."""


class Source(Protocol):
    """Where a package comes from."""

    @property
    def names(self) -> frozenset[str]:
        """Its files, with `/` between directories."""
        ...

    def read(self, name: str) -> bytes: ...

    def zipped(self, added: Path | None) -> bytes:
        """The package as a zip, with the files of `added` where it has none of that name."""
        ...


class DirectorySource:
    def __init__(self, directory: Path) -> None:
        self._files = dict(_files(directory))
        self.directory = directory

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._files)

    def read(self, name: str) -> bytes:
        return self._files[name].read_bytes()

    def zipped(self, added: Path | None, *, small: bool = True, within: str = "") -> bytes:
        """See `Source`. Not `small`: as quickly as can be. `within`: where in the package all of it is."""
        files = {**(dict(_files(added)) if added else {}), **self._files}
        small = small or sum(path.stat().st_size for path in files.values()) > _STORED_BYTES
        prefix = f"{within}/" if within else ""
        return zipped((_file(prefix + name, path) for name, path in sorted(files.items())), small=small)


class ZipSource:
    """A zip that somebody has made: it goes as it is."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._content = file.read_bytes()
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(self._content))
        except zipfile.BadZipFile as error:
            raise CommandFailed(f"{file} is neither a directory nor a zip file.", 2) from error

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for name in self._archive.namelist() if not name.endswith("/"))

    def read(self, name: str) -> bytes:
        try:
            return self._archive.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            # Damaged, encrypted, or compressed in a way that is not known here.
            raise CommandFailed(f"{name} in {self._file} cannot be read: {error}.", 2) from error

    def zipped(self, added: Path | None) -> bytes:
        return self._content


def open_source(path: Path) -> DirectorySource | ZipSource:
    """Raises `CommandFailed` for what is no package."""
    if path.is_dir():
        return DirectorySource(path)
    try:
        return ZipSource(path)
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}.", 2) from error


def without_modules(package: DirectorySource | ZipSource) -> bool:
    """Whether a package of Node.js names dependencies and brings no modules, as one that was bundled does too."""
    if _PACKAGE not in package.names or any(name.startswith("node_modules/") for name in package.names):
        return False
    try:
        named = json.loads(package.read(_PACKAGE))
    except ValueError:
        return False  # Node.js says what is wrong with it
    return isinstance(named, dict) and bool(named.get("dependencies"))


def _files(directory: Path) -> Iterator[tuple[str, Path]]:
    """Files below a directory by their name in a package; links are followed, but none in a circle."""
    seen = set()
    for folder, folders, files in os.walk(directory, followlinks=True):
        real = os.path.realpath(folder)
        folders[:] = [] if real in seen else sorted(filter(belongs, folders))
        if real in seen:
            continue
        seen.add(real)
        for name in sorted(files):
            path = Path(folder, name)
            if belongs(name) and path.is_file():
                yield path.relative_to(directory).as_posix(), path


def _file(name: str, path: Path) -> File:
    return File(name, bool(path.stat().st_mode & 0o111), path.read_bytes())
