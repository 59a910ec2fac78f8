"""Objects of S3, as requests name them."""

import msgspec


class S3Object(msgspec.Struct, frozen=True):
    bucket: str
    key: str
    version: str | None = None
    """None: the latest."""
