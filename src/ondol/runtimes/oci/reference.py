"""How an image is named: `oci:` and a path on this machine, or a registry's host, a repository and a tag or digest."""

import re
from pathlib import Path

import msgspec

from ondol.runtimes.oci.errors import ImageError

PREFIX = "oci:"

_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOST = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?|\[[0-9a-fA-F:]+\](?::[0-9]{1,5})?")


class LocalImage(msgspec.Struct, frozen=True):
    path: Path
    """An image layout, as a directory or a tar, or what `docker save` writes."""

    name: str | None = None
    """Which of its images, by the name that it has there."""


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
        _HOST.fullmatch(host)
        and _REPOSITORY.fullmatch(repository)
        and (not colon or _TAG.fullmatch(tag))
        and (not at or _DIGEST.fullmatch(digest))
    ):
        raise ImageError(f"'{text}' is not how an image is named: oci:HOST[:PORT]/NAME[:TAG][@sha256:DIGEST]")
    return RegistryImage(host, repository, tag or None, digest or None)


def _local(text: str) -> LocalImage:
    path = Path(text).expanduser().absolute()
    if not path.exists() and ":" in path.name:
        whole, _, name = str(path).rpartition(":")
        return LocalImage(Path(whole), name)
    return LocalImage(path)
