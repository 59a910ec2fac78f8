"""Requests that ondol looks into on their way to another server."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import NamedTuple

from ondol.aws.identity import Caller
from ondol.aws.tracing import TRACE_HEADER
from ondol.frontend.forwarding import Forwarding, WholeAnswer
from ondol.http import Request, Response
from ondol.model.endpoint import Endpoint
from ondol.model.ids import RequestId
from ondol.triggers.api import Owner


class TooLong(Exception):
    """A body that ondol must look into has more bytes than it may."""


class Passing(NamedTuple):
    endpoint: Endpoint
    caller: Caller
    request_id: RequestId
    request: Request
    body: AsyncIterable[bytes]
    """The request's; to be read once."""

    response: Response
    sandboxed: bool
    """It came out of a function."""

    @property
    def trace(self) -> str | None:
        return self.request.headers.get(TRACE_HEADER)

    @property
    def owner(self) -> Owner:
        return Owner(self.caller.account, self.caller.region)

    async def read(self, limit: int) -> bytes:
        """All of the body. Raises `TooLong`."""
        whole = bytearray()
        async for piece in self.body:
            whole += piece
            if len(whole) > limit:
                raise TooLong
        return bytes(whole)

    async def gathered(self, forwarding: Forwarding, body: bytes | AsyncIterable[bytes] | None = None) -> WholeAnswer:
        """The server's answer; `body` is what was read, or what counts the body. Raises `EndpointFailed`."""
        sent = self.body if body is None else (once(body) if isinstance(body, bytes) else body)
        return await forwarding.gather(self.endpoint, self.request, sent)


async def once(piece: bytes) -> AsyncIterator[bytes]:
    yield piece
