"""A function's package: its files from a directory or a zip, its requirements installed, all made into one zip."""

import contextlib
import io
import os
import re
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from ondol.cli.failure import CommandFailed

REQUIREMENTS = "requirements.txt"
_LEFT_OUT = frozenset(
    {".git", ".hg", ".svn", ".venv", "venv", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".DS_Store"}
)
_SCRATCH = re.compile(r".*(\.pyc|\.sw[a-z]|~)|\.#.*|4913")
"""Names of what interpreters and editors leave beside the files that they work on."""

_STORED_BYTES = 32 << 20
"""Up to so much a package that need not be small is not compressed: it would take longer than to send it."""

_MOMENT = (1980, 1, 1, 0, 0, 0)
"""Every entry's time, so that the same files make the same zip."""


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

    def zipped(self, added: Path | None, *, small: bool = True) -> bytes:
        """See `Source`. Not `small`: as quickly as can be."""
        files = {**(dict(_files(added)) if added else {}), **self._files}
        small = small or sum(path.stat().st_size for path in files.values()) > _STORED_BYTES
        return _zip(files, zipfile.ZIP_DEFLATED if small else zipfile.ZIP_STORED)


class ZipSource:
    """A zip that somebody has made: it goes as it is."""

    def __init__(self, file: Path) -> None:
        self._content = file.read_bytes()
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(self._content))
        except zipfile.BadZipFile as error:
            raise CommandFailed(f"{file} is neither a directory nor a zip file.", 2) from error

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for name in self._archive.namelist() if not name.endswith("/"))

    def read(self, name: str) -> bytes:
        return self._archive.read(name)

    def zipped(self, added: Path | None) -> bytes:
        return self._content


def belongs(name: str) -> bool:
    """Whether what has this name, with `/` between directories, is part of a package."""
    return not any(part in _LEFT_OUT or _SCRATCH.fullmatch(part) for part in name.split("/"))


def open_source(path: Path) -> DirectorySource | ZipSource:
    """Raises `CommandFailed` for what is no package."""
    if path.is_dir():
        return DirectorySource(path)
    try:
        return ZipSource(path)
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}.", 2) from error


@contextlib.contextmanager
def installed(directory: Path, interpreter: str) -> Iterator[Path]:
    """The requirements of a directory in one that lasts as long as the context."""
    with tempfile.TemporaryDirectory(prefix="ondol-deploy-") as target:
        install(directory, interpreter, Path(target))
        yield Path(target)


def install(directory: Path, interpreter: str, target: Path) -> None:
    """Install a directory's requirements into `target` by the function's own interpreter. Raises `CommandFailed`."""
    command = [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-compile", "--target", str(target), "--requirement", REQUIREMENTS]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:] or ["it said nothing"]
        again = f"{interpreter} -m pip install -r {directory / REQUIREMENTS}"
        raise CommandFailed(f"pip could not install {REQUIREMENTS}: {errors[0]}. Try it yourself with: {again}")


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


def _zip(files: Mapping[str, Path], method: int) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, path in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _MOMENT)
            executable = path.stat().st_mode & 0o111
            # A sandbox runs as another user: everybody may read, and run what its owner may run.
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            entry.compress_type = method
            archive.writestr(entry, path.read_bytes())
    return content.getvalue()
