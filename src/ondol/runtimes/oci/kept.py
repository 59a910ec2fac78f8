"""What the data directory has of images, and in which form.

```
images/DIGEST/image.json      what the image is, and which layers it has
              layers/0 ..     as they came, each of the digest that the manifest names
              root/           made of them by whoever makes base roots, which removes the layers
images/names/...              what each reference meant when it was last asked
```
"""

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

import msgspec

from ondol.runtimes.oci.choice import Execution

STAGING = ".fetching"
"""How the directory of an image ends that is not whole yet."""

_NAMES = "names"


class FetchedImage(msgspec.Struct, frozen=True):
    """`image.json`."""

    digest: str
    diff_ids: tuple[str, ...]
    execution: Execution


class _Known(msgspec.Struct, frozen=True):
    reference: str
    image: str


def load(images: Path, digest: str) -> FetchedImage | None:
    """An image that was fetched earlier and can still be used."""
    directory = images / digest.removeprefix("sha256:")
    if not (directory / "root").is_dir() and not (directory / "layers").is_dir():
        return None
    try:
        return msgspec.json.decode((directory / "image.json").read_bytes(), type=FetchedImage)
    except (OSError, msgspec.MsgspecError):
        return None


def fetched(images: Path) -> frozenset[str]:
    """The images that are there, unpacked or not: hexadecimal digits of their digests."""
    return frozenset(path.parent.name for path in images.glob("[0-9a-f]*/image.json"))


def named(images: Path) -> frozenset[str]:
    """Of them, what references of the configuration meant when they were last asked."""
    found = set()
    for file in (images / _NAMES).glob("[0-9a-f]*"):
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            found.add(msgspec.json.decode(file.read_bytes(), type=_Known).image.removeprefix("sha256:"))
    return frozenset(found)


def prepare(images: Path) -> None:
    """Have the directory, without what fetches have left in it that were killed. Call it while none runs."""
    images.mkdir(mode=0o700, exist_ok=True)
    for leftover in images.glob(f"*{STAGING}"):
        shutil.rmtree(leftover, ignore_errors=True)


def recall(images: Path, reference: str) -> FetchedImage | None:
    """The image that this reference meant when it was last asked, if it can still be used."""
    try:
        known = msgspec.json.decode(_name_file(images, reference).read_bytes(), type=_Known)
    except (OSError, msgspec.MsgspecError):
        return None
    return load(images, known.image) if known.reference == reference else None


def remember(images: Path, reference: str, digest: str) -> None:
    """Keep what this reference means."""
    file = _name_file(images, reference)
    file.parent.mkdir(exist_ok=True, mode=0o700)
    written = file.with_name(f".{file.name}.{os.getpid()}")
    written.write_bytes(msgspec.json.encode(_Known(reference, digest)))
    written.replace(file)


def _name_file(images: Path, reference: str) -> Path:
    return images / _NAMES / hashlib.sha256(reference.encode()).hexdigest()
