"""Which image of an index is this machine's, and what it says of itself. Where documents come from, this does not know.

A document is believed when it has the digest and the size by which it was named.
"""

import hashlib
import platform
from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

from ondol.runtimes.oci.errors import ImageAbsent, ImageError

DOCUMENT_BYTES = 4 << 20
"""What a manifest may have (the distribution specification's own bound); a config hardly has more."""

LAYERS = 127
"""What container engines take at most."""

NESTED_INDEXES = 3
NAME_ANNOTATION = "org.opencontainers.image.ref.name"
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)

Document = TypeVar("Document")

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Platform(msgspec.Struct, frozen=True):
    architecture: str
    os: str

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}"


class Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    """How one document or layer is named by another."""

    digest: str
    size: int
    media_type: str = ""
    platform: Platform | None = None
    annotations: dict[str, str] | None = None


class _Index(msgspec.Struct, frozen=True):
    manifests: tuple[Descriptor, ...]


class _Manifest(msgspec.Struct, frozen=True):
    config: Descriptor
    layers: tuple[Descriptor, ...]


class _Kind(msgspec.Struct, frozen=True, rename="camel"):
    media_type: str = ""
    manifests: msgspec.Raw = msgspec.Raw()


class _RootFileSystem(msgspec.Struct, frozen=True):
    diff_ids: tuple[str, ...]


class Execution(msgspec.Struct, frozen=True, rename="pascal"):
    """What `docker run` would do with the image."""

    env: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str = ""
    user: str = ""


class ImageConfig(msgspec.Struct, frozen=True):
    architecture: str
    os: str
    rootfs: _RootFileSystem
    config: Execution | None = None


class Image(msgspec.Struct, frozen=True):
    """One image, chosen and understood."""

    digest: str
    """Of its manifest, or, where there is none, of its config; `sha256:...`."""

    config: ImageConfig
    layers: tuple[Descriptor, ...]
    """From the bottom up, one for each of the config's `diff_ids`."""


class Documents(Protocol):
    """A place that has documents."""

    def document(self, descriptor: Descriptor) -> bytes:
        """Whatever is kept under this name. Raises `ImageError`."""
        ...


def this_machine() -> Platform:
    machine = platform.machine()
    return Platform(_ARCHITECTURES.get(machine, machine), "linux")


def choose(top: bytes, documents: Documents, wanted: Platform, name: str | None = None) -> Image:
    """The image for a machine that is `wanted`, from the document at the top of all others; `name` as it is called.

    Raises `ImageError`.
    """
    current = top
    for _ in range(NESTED_INDEXES):
        kind = _decode(current, _Kind, "manifest")
        if kind.media_type not in INDEX_TYPES and not bytes(kind.manifests):
            break
        found = _of_platform(_decode(current, _Index, "index").manifests, wanted, name)
        current = _document(documents, found)
        name = None
    manifest = _decode(current, _Manifest, "manifest")
    config = _decode(_document(documents, manifest.config), ImageConfig, "config")
    return checked(Image(f"sha256:{hashlib.sha256(current).hexdigest()}", config, manifest.layers), wanted)


def checked(image: Image, wanted: Platform) -> Image:
    """The image, if this machine can run it. Raises `ImageError`."""
    config = image.config
    if (config.os, config.architecture) != (wanted.os, wanted.architecture):
        raise ImageError(f"it is made for {config.os}/{config.architecture}, and this machine is {wanted}")
    if len(image.layers) != len(config.rootfs.diff_ids):
        raise ImageError(f"it has {len(image.layers)} layers, and its config knows {len(config.rootfs.diff_ids)}")
    if not 0 < len(image.layers) <= LAYERS:
        raise ImageError(f"it has {len(image.layers)} layers; from 1 to {LAYERS} can be used")
    return image


def verified(document: bytes, descriptor: Descriptor) -> bytes:
    """The document, if it is the one that was named. Raises `ImageError`."""
    digest = f"sha256:{hashlib.sha256(document).hexdigest()}"
    if (digest, len(document)) != (descriptor.digest, descriptor.size):
        raise ImageError(
            f"its document {descriptor.digest} of {descriptor.size} bytes is really {digest} of {len(document)}"
        )
    return document


def decode_config(document: bytes) -> ImageConfig:
    """Raises `ImageError`."""
    return _decode(document, ImageConfig, "config")


def _of_platform(manifests: Sequence[Descriptor], wanted: Platform, name: str | None) -> Descriptor:
    named = [one for one in manifests if name is None or (one.annotations or {}).get(NAME_ANNOTATION) == name]
    if not named:
        there = sorted({(one.annotations or {}).get(NAME_ANNOTATION, "one without a name") for one in manifests})
        raise ImageAbsent(f"it holds no image called '{name}', but {', '.join(there) or 'nothing at all'}")
    fitting = [one for one in named if one.platform == wanted] or [one for one in named if one.platform is None]
    if not fitting:
        there = sorted({str(one.platform) for one in named})
        raise ImageError(f"it is made for {', '.join(there)}, and this machine is {wanted}")
    if len({one.digest for one in fitting}) > 1:
        there = sorted({(one.annotations or {}).get(NAME_ANNOTATION, one.digest) for one in fitting})
        raise ImageError(f"it holds several images: say which by ending the path in :NAME ({', '.join(there)})")
    return fitting[0]


def _document(documents: Documents, descriptor: Descriptor) -> bytes:
    if descriptor.size > DOCUMENT_BYTES:
        raise ImageError(f"its document {descriptor.digest} has {descriptor.size} bytes, more than any needs")
    return verified(documents.document(descriptor), descriptor)


def _decode(text: bytes, kind: type[Document], name: str) -> Document:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise ImageError(f"its {name} is not what the specification says: {error}") from error
