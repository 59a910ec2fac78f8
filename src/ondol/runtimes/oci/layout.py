"""Images on this machine: an OCI image layout, as a directory or in a tar, and what `docker save` writes."""

import contextlib
import hashlib
import os
import re
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

import msgspec

from ondol.linux.beneath import open_beneath
from ondol.runtimes.oci.choice import (
    DOCUMENT_BYTES,
    Descriptor,
    Image,
    Platform,
    checked,
    choose,
    decode_config,
    verified,
)
from ondol.runtimes.oci.errors import ImageAbsent, ImageError
from ondol.runtimes.oci.reference import LocalImage

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
UNVERIFIED = ""
"""In place of a layer's digest where its archive knows none; the config's `diff_ids` vouch for it when unpacked."""


class _Files(Protocol):
    """Files by name, in a directory or in a tar."""

    def open(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Raises `FileNotFoundError`."""
        ...


class _Tar:
    def __init__(self, file: IO[bytes]) -> None:
        self._archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 - closed by `close`
        self._members = {_plain(member.name): member for member in self._archive}

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        member = self._members.get(_plain(name))
        # Old archives of docker's have a layer that was there already as a link to it.
        for _ in range(2):
            if member is not None and (member.issym() or member.islnk()):
                above = name.rpartition("/")[0] if member.issym() else ""
                member = self._members.get(_normal(f"{above}/{member.linkname}"))
        opened = self._archive.extractfile(member) if member is not None and member.isreg() else None
        if opened is None:
            raise FileNotFoundError(name)
        with opened:
            yield opened

    def close(self) -> None:
        self._archive.close()


class _Place:
    """Where an image is, and its files if it is a directory. No link leads out of a folder that it must be beneath."""

    def __init__(self, reference: LocalImage) -> None:
        self._path, self._inner, self._root = reference.path, Path(), -1
        if reference.beneath is not None:
            self._inner = reference.path.relative_to(reference.beneath)
            self._root = os.open(reference.beneath, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def open(self, name: str = "") -> IO[bytes]:
        """A regular file. Raises `OSError`, `IsADirectoryError` among them."""
        opened = self._open(name)
        kind = os.fstat(opened).st_mode
        if stat.S_ISREG(kind):
            return os.fdopen(opened, "rb")
        os.close(opened)
        raise (IsADirectoryError if stat.S_ISDIR(kind) else FileNotFoundError)(self._path / name)

    def _open(self, name: str) -> int:
        if self._root < 0:
            return os.open(self._path / name, _READ)
        return open_beneath(self._root, str(self._inner / name), _READ)

    def close(self) -> None:
        if self._root >= 0:
            os.close(self._root)


class _Saved(msgspec.Struct, frozen=True, rename="pascal"):
    """One image in the `manifest.json` of `docker save`."""

    config: str
    layers: tuple[str, ...]
    repo_tags: tuple[str, ...] | None = None


class LocalSource:
    """One path, opened. Close it. Raises `ImageError` if there is nothing to open."""

    def __init__(self, reference: LocalImage) -> None:
        self._reference = reference
        self._saved: dict[str, str] = {}
        path = reference.path
        try:
            with contextlib.ExitStack() as opening:
                self._files = self._open(_Place(reference), opening)
                self._opened = opening.pop_all()
        except FileNotFoundError as error:
            raise ImageAbsent(f"there is no image at {path}") from error
        except (OSError, tarfile.TarError, EOFError) as error:
            raise ImageError(f"{path} is no image: neither a directory nor a tar that can be read ({error})") from error

    def image(self, wanted: Platform) -> Image:
        """The image for this machine. Raises `ImageError`."""
        if self._reference.digest is not None and (top := self._read(_blob(self._reference.digest))) is not None:
            return choose(verified(top, Descriptor(self._reference.digest, len(top))), self, wanted)
        index = self._read("index.json")
        if index is not None:
            return choose(index, self, wanted, self._reference.name)
        saved = self._read("manifest.json")
        if saved is None:
            raise ImageError(f"{self._reference.path} is no image: it has neither an index.json nor a manifest.json")
        return self._saved_image(saved, wanted)

    def document(self, descriptor: Descriptor) -> bytes:
        found = self._read(_blob(descriptor.digest))
        if found is None:
            raise ImageError(f"{self._reference.path} lacks the document {descriptor.digest}")
        return found

    @contextlib.contextmanager
    def layer(self, number: int, descriptor: Descriptor) -> Iterator[IO[bytes]]:
        """The bytes of a layer as they are kept. Raises `ImageError`."""
        name = self._saved.get(str(number)) or _blob(descriptor.digest)
        try:
            with self._files.open(name) as file:
                yield file
        except FileNotFoundError as error:
            raise ImageError(f"{self._reference.path} lacks the layer {name}") from error

    def close(self) -> None:
        self._opened.close()

    @staticmethod
    def _open(place: _Place, opening: contextlib.ExitStack) -> _Files:
        opening.callback(place.close)
        try:
            file = opening.enter_context(place.open())
        except IsADirectoryError:
            return place
        tar = _Tar(file)
        opening.callback(tar.close)
        return tar

    def _saved_image(self, manifest: bytes, wanted: Platform) -> Image:
        try:
            images = msgspec.json.decode(manifest, type=list[_Saved])
        except msgspec.MsgspecError as error:
            raise ImageError(f"its manifest.json is not what docker writes: {error}") from error
        name = self._reference.name
        found = [one for one in images if name is None or any(_called(tag, name) for tag in one.repo_tags or ())]
        if len(found) != 1:
            tags = sorted(tag for one in images for tag in one.repo_tags or ())
            raise ImageError(f"it holds {len(found)} such images: say which by ending the path in :TAG ({tags})")
        saved = found[0]
        document = self._read(saved.config)
        if document is None:
            raise ImageError(f"it lacks the config {saved.config}")
        digest = hashlib.sha256(document).hexdigest()
        if digest not in saved.config:
            raise ImageError(f"its config {saved.config} is really {digest}")
        self._saved = {str(number): layer for number, layer in enumerate(saved.layers)}
        layers = tuple(Descriptor(UNVERIFIED, -1) for _ in saved.layers)
        return checked(Image(f"sha256:{digest}", decode_config(document), layers), wanted)

    def _read(self, name: str) -> bytes | None:
        """A document, or None if it is not there."""
        try:
            with self._files.open(name) as file:
                found = file.read(DOCUMENT_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ImageError(f"{self._reference.path} cannot be read: {error}") from error
        if len(found) > DOCUMENT_BYTES:
            raise ImageError(f"its {name} has more than {DOCUMENT_BYTES} bytes")
        return found


def _blob(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise ImageError(f"it names something by '{digest}', which is no sha256")
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _called(tag: str, name: str) -> bool:
    return name in (tag, tag.rpartition(":")[2])


def _plain(name: str) -> str:
    return name.removeprefix("./").rstrip("/")


def _normal(name: str) -> str:
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
