"""The body of one request on its way from the parser to the handler.

It decides how much is held for whom: everything, for a handler that reads the body whole; `buffer_bytes`, for one
that takes it piece by piece or has not asked yet. It must not know the transport.
"""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import msgspec

from ondol.http.errors import BodyTooLarge, HttpError


class Source(Protocol):
    """The connection, as a body sees it."""

    def wanted(self) -> None:
        """The handler waits for more of the body, or has made room for more."""
        ...


class Body(msgspec.Struct, eq=False):
    """Read it in one of three ways: `whole` if it is all here, `await read()`, or `async for piece in body`."""

    source: Source
    limit: int
    """It is not read beyond this many bytes."""

    buffer_bytes: int
    length: int | None
    """As declared; None for a chunked body."""

    expects_continue: bool
    """The client waits for `100 Continue` before it sends any of it."""

    error: HttpError | None = None
    complete: bool = False
    received: int = 0
    whole: bytes | None = None
    """The body, if all of it has arrived and none was taken piece by piece."""

    trailers: Mapping[str, str] = MappingProxyType({})
    """Fields that followed a chunked body; filled in when it is complete."""

    _buffer: bytes | bytearray = b""
    _collecting: bool = False
    _taken: bool = False
    _waiter: asyncio.Future[None] | None = None

    # ---- for the handler

    async def read(self, limit: int | None = None) -> bytes:
        """All of the body, once it is here.

        Raises `BodyTooLarge` as soon as it is known to exceed `limit` bytes, `Refused` if it is malformed or the
        client stalls, `ClientGone` if the client does not finish it.
        """
        if limit is not None and limit < self.limit:
            self._lower_limit(limit)
        self._collecting = True
        while not self.complete and self.error is None:
            await self._arrival()
        if self.error is not None:
            raise self.error
        if self.whole is None:
            raise RuntimeError("a part of this body was already taken")
        return self.whole

    def __aiter__(self) -> "Body":
        return self

    async def __anext__(self) -> bytes:
        """The next piece, of whatever size it came in. Raises as `read` does."""
        while not self._buffer and not self.complete and self.error is None:
            await self._arrival()
        if self.error is not None:
            raise self.error
        if not self._buffer:
            raise StopAsyncIteration
        piece = bytes(self._buffer)
        self._buffer = b""
        self._taken = True
        self.whole = None
        if not self.complete:
            self.source.wanted()
        return piece

    def _lower_limit(self, limit: int) -> None:
        self.limit = limit
        if max(self.received, self.length or 0) > limit:
            self.fail(BodyTooLarge(limit))

    async def _arrival(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        self.source.wanted()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # ---- for the connection

    @property
    def overfull(self) -> bool:
        """More of it is held than the handler has asked for."""
        return len(self._buffer) > self.buffer_bytes and not self._collecting

    @property
    def awaited(self) -> bool:
        """It is the client's turn: nothing on our side keeps it from sending."""
        return not self.complete and not self.expects_continue and not self.overfull

    @property
    def remaining(self) -> int:
        """Bytes that are sure to follow: none for a chunked body."""
        return 0 if self.length is None else self.length - self.received

    def feed(self, data: bytes) -> None:
        self.received += len(data)
        if self.error is not None:
            return
        if self.received > self.limit:
            self.fail(BodyTooLarge(self.limit))
            return
        buffer = self._buffer
        if not buffer:
            self._buffer = data
        elif type(buffer) is bytearray:
            buffer += data
        else:
            # One growing buffer rather than a list: two-byte chunks would cost thirty times their size.
            self._buffer = bytearray(buffer)
            self._buffer += data
        if self._waiter is not None and not self._collecting:
            self._wake()

    def finish(self) -> None:
        self.complete = True
        if not self._taken and self.error is None:
            self.whole = self._buffer = bytes(self._buffer)
        if self._waiter is not None:
            self._wake()

    def fail(self, error: HttpError) -> None:
        """The rest will not come, or is not wanted: whoever reads is told."""
        if self.error is None:
            self.error = error
            self._buffer = b""
            self.whole = None
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
