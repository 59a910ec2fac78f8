"""Brings an image's layers to the data directory: verified, whole or not at all, once.

Blocks, and takes as long as a network takes: it runs in a process of its own.
"""

import ctypes
import hashlib
import http.client
import os
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import IO, Protocol

import msgspec

from ondol.runtimes.oci.choice import Descriptor, Execution, Image, Platform, this_machine
from ondol.runtimes.oci.errors import ImageAbsent, ImageError, ImageNotKept, RegistryUnreachable
from ondol.runtimes.oci.kept import STAGING, FetchedImage, load, recall, remember
from ondol.runtimes.oci.layout import UNVERIFIED, LocalSource
from ondol.runtimes.oci.reference import LocalImage, RegistryImage, parse
from ondol.runtimes.oci.registry import RegistrySource

IMAGE_BYTES = 10 << 30
"""All layers of an image together, as they come; AWS's bound for one uncompressed."""

CHUNK_BYTES = 1 << 20
PROGRESS_EVERY_S = 2.0

Say = Callable[[str], None]


class Source(Protocol):
    """Where an image comes from."""

    def image(self, wanted: Platform) -> Image: ...
    def layer(self, number: int, descriptor: Descriptor) -> AbstractContextManager[IO[bytes]]: ...
    def close(self) -> None: ...


def open_source(reference: LocalImage | RegistryImage) -> Source:
    """Raises `ImageError` where nothing is."""
    return LocalSource(reference) if isinstance(reference, LocalImage) else RegistrySource(reference)


def fetch(text: str, images: Path, say: Say) -> FetchedImage:
    """Have the image that the reference `text` names below `images`; `say` hears of progress. Raises `ImageError`.

    What a digest names is never asked for twice. What a tag names is asked anew each time; where the registry cannot
    be reached, what it meant before is used.
    """
    reference = parse(text)
    before = recall(images, text)
    if before is not None and isinstance(reference, RegistryImage) and reference.digest is not None:
        return before
    try:
        with closing(open_source(reference)) as source:
            image = source.image(this_machine())
            fetched = load(images, image.digest) or _fetch(source, image, images, say)
    except RegistryUnreachable as error:
        if before is None:
            raise
        say(f"{error}; using what was fetched before")
        return before
    except OSError as error:
        raise ImageNotKept(f"it cannot be read or kept: {error}") from error
    remember(images, text, fetched.digest)
    return fetched


def resolve(reference: LocalImage | RegistryImage) -> str:
    """The digest of the image that is meant now. Raises `ImageError`."""
    try:
        with closing(open_source(reference)) as source:
            return source.image(this_machine()).digest
    except OSError as error:
        raise ImageError(f"it cannot be read: {error}") from error


def fetch_exactly(reference: LocalImage | RegistryImage, digest: str, images: Path, say: Say) -> FetchedImage:
    """Have this very image below `images`, from where the reference says. Raises `ImageError`."""
    there = load(images, digest)
    if there is not None:
        return there
    try:
        with closing(open_source(reference)) as source:
            image = source.image(this_machine())
            if image.digest != digest:
                raise ImageAbsent(f"it is another image by now: {image.digest}")
            return _fetch(source, image, images, say)
    except OSError as error:
        raise ImageNotKept(f"it cannot be read or kept: {error}") from error


def look(text: str, images: Path) -> str:
    """What would be used for the reference `text`, in a few words; nothing is fetched. Raises `ImageError`."""
    reference = parse(text)
    before = recall(images, text)
    try:
        with closing(open_source(reference)) as source:
            image = source.image(this_machine())
    except RegistryUnreachable as error:
        if before is None:
            raise
        return f"{before.digest[:19]}, fetched before; {error}"
    except OSError as error:
        raise ImageError(f"it cannot be read: {error}") from error
    state = "fetched" if load(images, image.digest) is not None else "not fetched yet"
    return f"{image.digest[:19]}, {len(image.layers)} layers, {state}"


def _fetch(source: Source, image: Image, images: Path, say: Say) -> FetchedImage:
    total = sum(max(0, layer.size) for layer in image.layers)
    if total > IMAGE_BYTES:
        raise ImageError(f"its layers have {total} bytes; more than {IMAGE_BYTES} cannot be used")
    name = image.digest.removeprefix("sha256:")
    staging = images / f".{name}.{os.getpid()}{STAGING}"
    (staging / "layers").mkdir(parents=True, mode=0o700)
    try:
        progress = _Progress(total, say)
        for number, descriptor in enumerate(image.layers):
            with source.layer(number, descriptor) as blob, (staging / "layers" / str(number)).open("wb") as file:
                _copy(blob, file, descriptor, progress)
        fetched = FetchedImage(image.digest, image.config.rootfs.diff_ids, image.config.config or Execution())
        (staging / "image.json").write_bytes(msgspec.json.encode(fetched))
        _publish(staging, images / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    say(f"fetched {progress.done >> 20} MB in {len(image.layers)} layers ({image.digest[:19]})")
    return fetched


def _copy(blob: IO[bytes], file: IO[bytes], descriptor: Descriptor, progress: "_Progress") -> None:
    """Write a layer as it arrives; it is the one that was named, or `ImageError` is raised."""
    digest = hashlib.sha256()
    size = 0
    while chunk := _read(blob):
        size += len(chunk)
        if size > (IMAGE_BYTES if descriptor.digest == UNVERIFIED else descriptor.size):
            raise ImageError(f"its layer {descriptor.digest} is longer than the {descriptor.size} bytes it should have")
        digest.update(chunk)
        file.write(chunk)
        progress.more(len(chunk))
    if size < descriptor.size:
        raise ImageError(f"its layer {descriptor.digest} ends after {size} of {descriptor.size} bytes")
    found = f"sha256:{digest.hexdigest()}"
    if descriptor.digest not in (UNVERIFIED, found):
        raise ImageError(f"its layer {descriptor.digest} is really {found}")


def _read(blob: IO[bytes]) -> bytes:
    try:
        return blob.read(CHUNK_BYTES)
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise RegistryUnreachable(f"a layer broke off: {error!r}") from error


class _Progress:
    def __init__(self, total: int, say: Say) -> None:
        self.done = 0
        self._total = total
        self._say = say
        self._next = time.monotonic() + PROGRESS_EVERY_S

    def more(self, count: int) -> None:
        self.done += count
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + PROGRESS_EVERY_S
            whole = f" of {self._total >> 20}" if self._total else ""
            self._say(f"fetching: {self.done >> 20}{whole} MB")


def _publish(staging: Path, target: Path) -> None:
    """Put a whole image in its place, on disk. Another fetch may have been faster: then its work stays."""
    directory = os.open(staging, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(directory) != 0:
            raise ImageNotKept(f"{target} could not be written to disk: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(directory)
    if target.exists() and load(target.parent, target.name) is None:
        shutil.rmtree(target)
    try:
        staging.rename(target)
    except OSError:
        if load(target.parent, target.name) is None:
            raise
