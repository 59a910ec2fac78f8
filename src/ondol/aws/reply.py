"""An answer that is ready to be framed."""

from collections.abc import Mapping

import msgspec

JSON = "application/json"
JSON_RPC = "application/x-amz-json-1.1"


class WireReply(msgspec.Struct, frozen=True):
    """Status, headers in the order in which AWS sends them (without those of the connection), and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
