"""How an image is named: `oci:` and a path on this machine, or a registry's host, a repository and a tag or digest."""

import os
import re
from pathlib import Path

import msgspec
from msgspec.structs import replace

from ondol.model.network import is_server
from ondol.runtimes.oci.errors import ImageError

PREFIX = "oci:"
URI_LENGTH = 2048

_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PINNED = re.compile(r"@sha256:[0-9a-f]{64}\Z")


class LocalImage(msgspec.Struct, frozen=True):
    path: Path
    """An image layout, as a directory or a tar, or what `docker save` writes."""

    name: str | None = None
    """Which of its images, by the name that it has there."""

    digest: str | None = None
    """`sha256:...`: that very image, whatever its name."""

    beneath: Path | None = None
    """A folder above the path: nothing outside of it is read, whichever links there are."""


class RegistryImage(msgspec.Struct, frozen=True):
    host: str
    repository: str
    tag: str | None
    digest: str | None
    """`sha256:...`; it is what counts where there is one."""

    @property
    def manifest(self) -> str:
        """As the registry's address of the manifest ends."""
        return self.digest or self.tag or "latest"


def parse(text: str) -> LocalImage | RegistryImage:
    """What `oci:...` names. Raises `ImageError`."""
    if not text.startswith(PREFIX) or len(text) == len(PREFIX):
        raise ImageError(f"'{text}' names no image: write oci:/path/to/layout or oci:registry.example/name:tag")
    rest = text.removeprefix(PREFIX)
    if rest.startswith(("/", "./", "../", "~")):
        return _local(rest)
    host, slash, path = rest.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        raise ImageError(
            f"'{text}' names no registry: write the whole name (oci:registry.example/{rest}), "
            "or the path of an image with its slash in front"
        )
    path, at, digest = path.partition("@")
    repository, colon, tag = path.partition(":")
    if not (
        is_server(host)
        and _REPOSITORY.fullmatch(repository)
        and (not colon or _TAG.fullmatch(tag))
        and (not at or _DIGEST.fullmatch(digest))
    ):
        raise ImageError(f"'{text}' is not how an image is named: oci:HOST[:PORT]/NAME[:TAG][@sha256:DIGEST]")
    return RegistryImage(host, repository, tag or None, digest or None)


def parse_uri(uri: str) -> LocalImage | RegistryImage:
    """What the `ImageUri` of a function names: as `parse`, a name in a registry without its `oci:`, and no path but a
    whole one. Raises `ImageError`.
    """
    if len(uri) > URI_LENGTH or not uri.isprintable():
        raise ImageError(f"no image is named with more than {URI_LENGTH} characters, or with such that cannot be seen")
    if not uri.startswith(PREFIX):
        if uri.startswith(("/", ".", "~")):
            raise ImageError(f"'{uri}' names no registry; an image on this machine is written oci:/path/to/layout")
        return parse(PREFIX + uri)
    if uri.removeprefix(PREFIX).startswith((".", "~")):
        raise ImageError(f"'{uri}' is no whole path: write oci:/path/to/layout")
    return parse(uri)


def beneath(reference: LocalImage | RegistryImage, folder: str) -> LocalImage | RegistryImage:
    """The same, a path of it read beneath this folder alone; an empty text: wherever it is."""
    if isinstance(reference, LocalImage) and folder:
        return replace(reference, beneath=Path(folder))
    return reference


def pinned(reference: LocalImage | RegistryImage, digest: str) -> str:
    """The same image for ever, written so that `parse` reads it."""
    if isinstance(reference, LocalImage):
        return written(replace(reference, name=None, digest=digest))
    return written(replace(reference, tag=None, digest=digest))


def written(reference: LocalImage | RegistryImage) -> str:
    """As `parse` reads it."""
    if isinstance(reference, LocalImage):
        text, tag = str(reference.path), reference.name
    else:
        text, tag = f"{reference.host}/{reference.repository}", reference.tag
    return f"{PREFIX}{text}" + (f":{tag}" if tag else "") + (f"@{reference.digest}" if reference.digest else "")


def _local(text: str) -> LocalImage:
    text, at, digest = text.rpartition("@") if _PINNED.search(text) else (text, "", "")
    path = Path(text).expanduser().absolute()
    if at:
        return LocalImage(path, digest=digest)
    if ":" in path.name and not os.path.exists(path):  # noqa: PTH110 - what may not be looked at is not there
        whole, _, name = str(path).rpartition(":")
        return LocalImage(Path(whole), name)
    return LocalImage(path)
