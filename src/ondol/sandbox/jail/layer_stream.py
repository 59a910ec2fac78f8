"""The uncompressed bytes of a layer, counted against their digest: gzip, zstd where this Python can, or neither.

How it is compressed the bytes themselves say: media types are words of whoever made the image.
"""

import contextlib
import gzip
import hashlib
import importlib
import io
import zlib
from collections.abc import Callable
from typing import IO, Any

from ondol.sandbox.errors import UnpackRefused

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
CHUNK_BYTES = 1 << 20

Open = Callable[[IO[bytes]], IO[bytes]]


def _zstd() -> tuple[Open, type[Exception]] | None:
    """How zstd is read, and what is raised for what is none: by Python's own module (3.14), or by `zstandard`."""
    with contextlib.suppress(ImportError):
        own: Any = importlib.import_module("compression.zstd")
        return own.ZstdFile, own.ZstdError
    with contextlib.suppress(ImportError):
        other: Any = importlib.import_module("zstandard")
        return lambda blob: other.ZstdDecompressor().stream_reader(blob, read_across_frames=True), other.ZstdError
    return None


zstd = _zstd()
"""Imported before any process is confined; None where there is none."""


class LayerStream(io.RawIOBase):
    """Reads one layer, once, from its start. Raises `UnpackRefused` for what cannot be decompressed."""

    def __init__(self, blob: IO[bytes]) -> None:
        super().__init__()
        self._digest = hashlib.sha256()
        start = blob.read(4)
        blob.seek(0)
        self._plain: IO[bytes]
        self._broken: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error)
        if start.startswith(GZIP):
            self._plain = gzip.GzipFile(fileobj=blob, mode="rb")  # type: ignore[assignment]  # as good as one
        elif start.startswith(ZSTD):
            if zstd is None:
                raise UnpackRefused(
                    "a layer is compressed with zstd, which this Python cannot read: "
                    "`pip install zstandard` beside ondol, or build the image with gzip"
                )
            opened, broken = zstd
            self._plain = opened(blob)
            self._broken = (*self._broken, broken)
        else:
            self._plain = blob

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            chunk = self._plain.read(size)
        except self._broken as error:
            raise UnpackRefused(f"a layer is broken: {error}") from error
        self._digest.update(chunk)
        return chunk

    def check(self, diff_id: str) -> None:
        """Read what is left; the whole must have this digest (`sha256:...`). Raises `UnpackRefused`."""
        while self.read(CHUNK_BYTES):
            pass
        found = f"sha256:{self._digest.hexdigest()}"
        if found != diff_id:
            raise UnpackRefused(f"a layer has the digest {found}, and its image says {diff_id}")
