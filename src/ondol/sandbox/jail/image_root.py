"""The base root of a runtime that is an image: its layers laid over one another, and what every sandbox needs.

```
images/DIGEST/ image.json   written when all else is there; says which layers there are
               layers/0 ..  verified blobs, as they came; gone once the root is there
               root/        the tree, whole or not at all
```
The directory is made by whoever fetches images. What is decided here is the root alone.
"""

import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import msgspec

from ondol.sandbox.errors import SandboxError, UnpackRefused
from ondol.sandbox.jail.base_system import CONFIGURATION
from ondol.sandbox.jail.confinement import Budget, fill_confined
from ondol.sandbox.jail.layer_stream import LayerStream
from ondol.sandbox.jail.layer_tree import LayerTree
from ondol.sandbox.limits import UnpackLimits

LIMITS = UnpackLimits(bytes=10 << 30, entries=1_000_000)
"""AWS's for an image uncompressed (Lambda quotas), and room for more files than any has."""

BUDGET = Budget(file_bytes=LIMITS.bytes, memory_bytes=512 << 20, cpu_s=900, wall_s=1800)

MOUNT_POINTS = ("dev", "proc", "tmp", "opt", "var/task")
STANDARD_DIRECTORIES = ("etc", "var/runtime")
FILES = tuple((f"etc/{name}", CONFIGURATION[name]) for name in ("hosts", "resolv.conf"))
"""What a container engine writes into every container too."""


class _Image(msgspec.Struct, frozen=True):
    diff_ids: tuple[str, ...]


def build(image: Path, user: int | None) -> None:
    """Make `image`/root of `image`/layers, once, through a confined process: see `confinement.fill_confined`.

    Raises `UnpackRefused` for what the layers hold, else `SandboxError`.
    """
    root = image / "root"
    if root.is_dir():
        # A kill may have come between the two.
        shutil.rmtree(image / "layers", ignore_errors=True)
        return
    for leftover in image.glob(".root.*"):
        shutil.rmtree(leftover)
    try:
        described = msgspec.json.decode((image / "image.json").read_bytes(), type=_Image)
        with ExitStack() as stack:
            count = len(described.diff_ids)
            layers = [stack.enter_context((image / "layers" / str(number)).open("rb")) for number in range(count)]
            _fill(root, layers, described.diff_ids, user)
        shutil.rmtree(image / "layers")
    except UnpackRefused as refusal:
        raise UnpackRefused(f"the image cannot be unpacked: {refusal}") from refusal
    except (OSError, msgspec.MsgspecError) as error:
        raise SandboxError(f"the image in {image} cannot be unpacked: {error}; remove it to fetch it anew") from error


def _fill(root: Path, layers: Sequence[IO[bytes]], diff_ids: tuple[str, ...], user: int | None) -> None:
    def fill(directory: int) -> None:
        tree = LayerTree(directory, LIMITS)
        for layer, diff_id in zip(layers, diff_ids, strict=True):
            stream = LayerStream(layer)
            tree.lay(stream)  # type: ignore[arg-type]  # it is read, and no more
            stream.check(diff_id)
        tree.lay_directories((*STANDARD_DIRECTORIES, *MOUNT_POINTS))
        tree.lay_files(FILES)
        os.chmod("tmp", 0o1777, dir_fd=directory)

    fill_confined(root, fill, tuple(layer.fileno() for layer in layers), BUDGET, user)
