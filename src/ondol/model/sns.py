"""Messages of SNS, as whoever delivers them sees them."""

from collections.abc import Mapping

import msgspec


class MessageAttribute(msgspec.Struct, frozen=True):
    type: str
    """As `String` or `Number.int`."""

    value: str
    """Base64 of what is binary."""


class Message(msgspec.Struct, frozen=True):
    id: str
    body: str
    subject: str | None = None
    attributes: Mapping[str, MessageAttribute] = {}
    structured: bool = False
    """The body is JSON with a text for each protocol."""

    trace: str | None = None
    """The X-Ray trace header that it came with, by which endless loops are noticed."""
