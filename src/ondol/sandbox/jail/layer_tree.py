"""Lays the layers of an image over one another in a directory: which entries are taken, and what each does to the tree.

Source: OCI Image Format Specification 1.1, "Image Layer Filesystem Changeset". What the specification leaves to who
unpacks is decided for the safe side: nothing is written through a symbolic link, names that lead out are refused,
devices are left out and counted, set-user-id and set-group-id are dropped. Owners are dropped too: a function is
everybody's stranger, as on AWS. Compression and digests are `layer_stream`'s business.
"""

import os
import shutil
import stat
import tarfile
from collections.abc import Iterable
from typing import IO

from ondol.sandbox.errors import UnpackRefused
from ondol.sandbox.jail.entries import DIRECTORY, NAME_BYTES, Tally, parts_of
from ondol.sandbox.limits import UnpackLimits

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
CHUNK_BYTES = 1 << 20
DEPTH = 200

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class LayerTree:
    """The tree in `directory` that grows layer by layer, counting all that is ever written."""

    def __init__(self, directory: int, limits: UnpackLimits) -> None:
        self._directory = directory
        self._tally = Tally(
            limits,
            f"the image holds more than {limits.bytes} bytes",
            f"the image holds more than {limits.entries} files and directories",
        )
        self._this_layer: set[int] = set()
        """Inodes that the layer at hand has written or entered: its whiteouts do not concern them."""

        self.devices = 0
        """Entries left out because a sandbox has devices of its own."""

    def lay(self, layer: IO[bytes]) -> None:
        """Lay one uncompressed layer over what is there. Raises `UnpackRefused`, or `OSError`."""
        self._this_layer.clear()
        try:
            with tarfile.open(fileobj=layer, mode="r|", bufsize=CHUNK_BYTES) as archive:
                while (entry := archive.next()) is not None:
                    self._entry(archive, entry)
                    # It would remember every entry that it has ever seen.
                    archive.members.clear()  # type: ignore[attr-defined]  # there in every Python
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            raise UnpackRefused(f"a layer is broken: {error}") from error

    def lay_directories(self, names: Iterable[str]) -> None:
        """Have a real directory at each name, whatever an image has put there instead: a sandbox mounts on them."""
        for name in names:
            *above, last = (os.fsencode(part) for part in name.split("/"))
            parent = self._enter(above, name)
            try:
                os.close(self._make_directory(parent, last))
            finally:
                os.close(parent)

    def lay_files(self, files: Iterable[tuple[str, str]]) -> None:
        """Write small files over what an image has of these names."""
        for name, text in files:
            *above, last = (os.fsencode(part) for part in name.split("/"))
            parent = self._enter(above, name)
            try:
                self._remove(parent, last)
                with os.fdopen(os.open(last, _NEW_FILE, 0o644, dir_fd=parent), "w") as file:
                    file.write(text)
            finally:
                os.close(parent)

    def _entry(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        parts = _parts(entry.name)
        shown = "/".join(map(os.fsdecode, parts)) or "/"
        if not parts:
            return
        parent = self._enter(parts[:-1], shown)
        try:
            name = parts[-1]
            text = os.fsdecode(name)
            if text == OPAQUE:
                self._clear(parent)
            elif text.startswith(WHITEOUT):
                self._white_out(parent, os.fsencode(text.removeprefix(WHITEOUT)), shown)
            else:
                self._put(archive, entry, parent, name, shown)
        finally:
            os.close(parent)

    def _put(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, parent: int, name: bytes, shown: str) -> None:
        if entry.isdir():
            made = self._make_directory(parent, name)
            try:
                # Its owner is nobody's user, who must be able to write the layers to come.
                os.fchmod(made, (entry.mode & 0o1777) | 0o700)
                self._this_layer.add(os.fstat(made).st_ino)
            finally:
                os.close(made)
            return
        if entry.ischr() or entry.isblk():
            self.devices += 1
            return
        self._tally.entry()
        if entry.islnk():
            self._hard_link(parent, name, entry.linkname, shown)
        elif entry.issym():
            self._remove(parent, name)
            self._symbolic_link(parent, name, entry.linkname, shown)
        elif entry.isfifo():
            self._remove(parent, name)
            os.mkfifo(name, entry.mode & 0o777, dir_fd=parent)
        elif entry.isreg() or entry.issparse():
            self._remove(parent, name)
            self._file(archive, entry, parent, name)
        else:
            raise UnpackRefused(f"'{shown}' is of a kind that no layer may hold")
        self._this_layer.add(os.lstat(name, dir_fd=parent).st_ino)

    def _file(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, parent: int, name: bytes) -> None:
        source = archive.extractfile(entry)
        written = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
        with os.fdopen(written, "wb", buffering=0) as file:
            while source is not None and (chunk := source.read(CHUNK_BYTES)):
                self._tally.written(len(chunk))
                file.write(chunk)
            os.fchmod(written, entry.mode & 0o777)
            os.utime(written, ns=(max(0, int(entry.mtime)) * 1_000_000_000,) * 2)

    def _symbolic_link(self, parent: int, name: bytes, target: str, shown: str) -> None:
        encoded = os.fsencode(target)
        if not encoded or len(encoded) > NAME_BYTES or b"\0" in encoded:
            raise UnpackRefused(f"'{shown}' is a symbolic link to nothing that a path can name")
        self._tally.written(len(encoded))
        os.symlink(encoded, name, dir_fd=parent)

    def _hard_link(self, parent: int, name: bytes, target: str, shown: str) -> None:
        parts = _parts(target)
        if not parts:
            raise UnpackRefused(f"'{shown}' is a hard link to nothing")
        try:
            there = self._enter(parts[:-1], shown, make=False)
        except FileNotFoundError as error:
            raise UnpackRefused(f"'{shown}' is a hard link to '{target}', which is not there") from error
        try:
            found = _look(there, parts[-1])
            if found is None or stat.S_ISDIR(found.st_mode):
                raise UnpackRefused(f"'{shown}' is a hard link to '{target}', which is no file of the image")
            here = _look(parent, name)
            if here is not None and (here.st_dev, here.st_ino) == (found.st_dev, found.st_ino):
                return
            self._remove(parent, name)
            os.link(parts[-1], name, src_dir_fd=there, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError as error:
            raise UnpackRefused(f"'{shown}' replaces what it is a hard link to") from error
        finally:
            os.close(there)

    def _white_out(self, parent: int, name: bytes, shown: str) -> None:
        if name in (b"", b".", b".."):
            raise UnpackRefused(f"'{shown}' is a whiteout of nothing")
        found = _look(parent, name)
        if found is not None and found.st_ino not in self._this_layer:
            self._remove(parent, name)

    def _clear(self, directory: int) -> None:
        """Remove below `directory` whatever the layers before this one have left there."""
        for name in os.listdir(directory):
            found = _look(directory, os.fsencode(name))
            if found is None:
                continue
            if found.st_ino not in self._this_layer:
                self._remove(directory, os.fsencode(name))
            elif stat.S_ISDIR(found.st_mode):
                below = os.open(name, DIRECTORY, dir_fd=directory)
                try:
                    self._clear(below)
                finally:
                    os.close(below)

    def _enter(self, parts: list[bytes], shown: str, make: bool = True) -> int:
        """A descriptor of the directory that `parts` name, made where it is missing; no link is followed."""
        current = os.open(b".", DIRECTORY, dir_fd=self._directory)
        for part in parts:
            try:
                try:
                    below = os.open(part, DIRECTORY, dir_fd=current)
                except FileNotFoundError:
                    if not make:
                        raise
                    self._tally.entry()
                    os.mkdir(part, 0o755, dir_fd=current)
                    below = os.open(part, DIRECTORY, dir_fd=current)
                except OSError as error:
                    where = os.fsdecode(part)
                    raise UnpackRefused(
                        f"'{shown}' leads through '{where}', which is a link or no directory"
                    ) from error
            finally:
                os.close(current)
            current = below
            if make:
                self._this_layer.add(os.fstat(current).st_ino)
        return current

    def _make_directory(self, parent: int, name: bytes) -> int:
        found = _look(parent, name)
        if found is None or not stat.S_ISDIR(found.st_mode):
            self._remove(parent, name)
            self._tally.entry()
            os.mkdir(name, 0o755, dir_fd=parent)
        return os.open(name, DIRECTORY, dir_fd=parent)

    def _remove(self, parent: int, name: bytes) -> None:
        found = _look(parent, name)
        if found is None:
            return
        if stat.S_ISDIR(found.st_mode):
            shutil.rmtree(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)


def _look(parent: int, name: bytes) -> os.stat_result | None:
    try:
        return os.lstat(name, dir_fd=parent)
    except FileNotFoundError:
        return None


def _parts(name: str) -> list[bytes]:
    """The path of an entry, component by component, from the image's root: some builders write it with its slash.

    Raises `UnpackRefused`.
    """
    return parts_of(os.fsencode(name).lstrip(b"/"), name[:200], whole="image", depth=DEPTH)
