"""Objects of S3, as requests name them."""

import msgspec


class S3Object(msgspec.Struct, frozen=True):
    bucket: str
    key: str
    version: str | None = None
    """None: the latest."""


class FunctionNotification(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of which events of a bucket's objects a function is told."""

    id: str
    function: str
    """An ARN."""

    events: tuple[str, ...]
    """As `s3:ObjectCreated:*`."""

    prefix: str | None = None
    suffix: str | None = None
