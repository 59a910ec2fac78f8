"""What can be said of a package without unpacking it. Texts are AWS's."""

import base64
import hashlib
import io
import struct
import zipfile
import zlib

import msgspec

from ondol.model.errors import InvalidParameterValue, RequestEntityTooLarge
from ondol.model.ids import CodeDigest
from ondol.model.limits import UNZIPPED_BYTES, ZIPPED_BYTES

NOT_A_ZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."
EMPTY = "Uploaded file must be a non-empty zip"

_ENCRYPTED = 0x1


class Package(msgspec.Struct, frozen=True, gc=False):
    """A package that may be stored: its SHA-256, its size and that of its files, in bytes."""

    digest: CodeDigest
    size: int
    unzipped_size: int


def inspect(content: bytes, limit: int = ZIPPED_BYTES) -> Package:
    """Check a package of `limit` bytes at most, at about 1 ms per megabyte.

    Raises `InvalidParameterValue`, `RequestEntityTooLarge`.
    """
    if len(content) > limit:
        raise RequestEntityTooLarge(f"Zipped size must be smaller than {limit} bytes")
    if not content:
        raise InvalidParameterValue(EMPTY)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, zlib.error, struct.error, ValueError, NotImplementedError, EOFError, OSError):
        raise InvalidParameterValue(NOT_A_ZIP) from None
    if any(member.flag_bits & _ENCRYPTED for member in members):
        raise InvalidParameterValue(NOT_A_ZIP)
    if not members:
        raise InvalidParameterValue(EMPTY)
    unzipped_size = sum(member.file_size for member in members)
    if unzipped_size > UNZIPPED_BYTES:
        raise InvalidParameterValue(f"Unzipped size must be smaller than {UNZIPPED_BYTES} bytes")
    return Package(CodeDigest(hashlib.sha256(content).hexdigest()), len(content), unzipped_size)


def shown_sha256(digest: CodeDigest) -> str:
    """The digest as `CodeSha256` shows it."""
    return base64.b64encode(bytes.fromhex(digest)).decode()
