"""What a request to S3 is about, as far as ondol looks into it: which object of which bucket becomes or goes.

Pure. A bucket is named in the path or by the host (`BUCKET.s3.localhost`, `BUCKET.localhost`).
Source: S3 API reference.
"""

from collections.abc import Mapping
from enum import Enum
from urllib.parse import parse_qsl, unquote

import msgspec

_LOCAL = ".localhost"
_OF_SIGNATURES = frozenset({"x-id", "awsaccesskeyid", "signature", "expires", "versionid"})
"""Parameters that leave a request what it is; those that begin with X-Amz- do so too. Any other names a part of an
object or bucket, as its tags."""


class S3Kind(Enum):
    PUT_OBJECT = "PutObject"
    COPY_OBJECT = "CopyObject"
    COMPLETE_UPLOAD = "CompleteMultipartUpload"
    DELETE_OBJECT = "DeleteObject"
    DELETE_OBJECTS = "DeleteObjects"
    PUT_NOTIFICATIONS = "PutBucketNotificationConfiguration"
    GET_NOTIFICATIONS = "GetBucketNotificationConfiguration"
    DELETE_BUCKET = "DeleteBucket"
    OTHER = ""


class S3Call(msgspec.Struct, frozen=True):
    kind: S3Kind
    bucket: str
    key: str
    version: str | None = None


def s3_call(method: str, host: str, path: str, query: str, headers: Mapping[str, str]) -> S3Call:
    """`path` and `query` as they came, percent-encoded; header names in lower case."""
    bucket, key = _names(host, path)
    named = {name.lower(): value for name, value in parse_qsl(query, keep_blank_values=True)}
    parts = {name for name in named if name not in _OF_SIGNATURES and not name.startswith("x-amz-")}
    kind = _kind(method, bool(key), parts, "x-amz-copy-source" in headers) if bucket else S3Kind.OTHER
    return S3Call(kind, bucket, key, named.get("versionid"))


def _kind(method: str, object_named: bool, parts: set[str], copies: bool) -> S3Kind:
    match method, object_named, parts:
        case "PUT", True, _ if not parts:
            return S3Kind.COPY_OBJECT if copies else S3Kind.PUT_OBJECT
        case "POST", True, _ if parts == {"uploadid"}:
            return S3Kind.COMPLETE_UPLOAD
        case "DELETE", True, _ if not parts:
            return S3Kind.DELETE_OBJECT
        case "POST", False, _ if parts == {"delete"}:
            return S3Kind.DELETE_OBJECTS
        case "PUT", False, _ if parts == {"notification"}:
            return S3Kind.PUT_NOTIFICATIONS
        case "GET", False, _ if parts == {"notification"}:
            return S3Kind.GET_NOTIFICATIONS
        case "DELETE", False, _ if not parts:
            return S3Kind.DELETE_BUCKET
    return S3Kind.OTHER


def _names(host: str, path: str) -> tuple[str, str]:
    """Bucket and key; empty where there is none."""
    name = host.lower().partition(":")[0]
    prefix = name.removesuffix(_LOCAL) if name.endswith(_LOCAL) else ""
    labels = prefix.split(".")
    if "s3" in labels:
        prefix = ".".join(labels[: labels.index("s3")])
    path = path.removeprefix("/")
    if prefix:
        return prefix, unquote(path)
    bucket, _, key = path.partition("/")
    return unquote(bucket), unquote(key)
