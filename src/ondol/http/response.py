"""The response to one request: sent whole, or started, written and ended."""

from typing import Protocol

import msgspec

from ondol.http.errors import ClientGone, InvalidResponse
from ondol.http.head import Fields, response_head
from ondol.http.request import Request

Bytes = bytes | bytearray | memoryview

JOINED = 16_384
"""Bytes of a body up to which copying it is cheaper than handing the system two pieces."""


class Sink(Protocol):
    """The connection, as a response sees it."""

    alive: bool

    def head_fields(self, response: "Response") -> str:
        """The server's own field lines: date, and what becomes of the connection."""
        ...

    def answer(self, response: "Response", head: bytes, body: bytes, with_next: bool) -> None:
        """Send the whole response soon; with `with_next`, together with the next one if its request is here."""
        ...

    def write(self, data: Bytes) -> None:
        """Send this at once, after what is to be sent soon."""
        ...

    async def drain(self) -> None: ...

    def ended(self, response: "Response") -> None:
        """All of a response that was written in pieces has been."""
        ...

    def abort(self) -> None: ...


class Response(msgspec.Struct, eq=False):
    """Give it to whoever answers. To answer a client that has gone does nothing and is no error."""

    request: Request
    _sink: Sink
    started: bool = False
    ended: bool = False
    closes: bool = False
    """The connection ends with this response."""

    _chunked: bool = False
    _bodiless: bool = False
    _remaining: int | None = None

    def send(self, status: int, fields: Fields = (), body: bytes = b"", *, with_next: bool = False) -> None:
        """Answer at once and completely. Raises `InvalidResponse`, and then nothing was sent.

        `with_next`: to a client that has sent its next request already, it is enough if both responses come together.
        """
        if self.started:
            raise InvalidResponse("the response has already been started")
        if status in {204, 304}:
            length = ""
            if body:
                raise InvalidResponse(f"a response of status {status} has no body")
        else:
            length = f"Content-Length: {len(body)}\r\n"
        head = response_head(status, fields, length + self._sink.head_fields(self))
        self.started = self.ended = True
        self._sink.answer(self, head, body, with_next)

    def start(self, status: int, fields: Fields = (), length: int | None = None) -> None:
        """Send the head; the body follows by `write`. Without a length it is chunked, or to a client that speaks
        only HTTP/1.0 it ends with the connection. Raises `InvalidResponse`, and then nothing was sent."""
        if self.started:
            raise InvalidResponse("the response has already been started")
        without_body = status in {204, 304}
        framing = ""
        if length is not None and not without_body:
            framing = f"Content-Length: {length}\r\n"
        elif not without_body:
            if self.request.version == "1.1":
                self._chunked = True
                framing = "Transfer-Encoding: chunked\r\n"
            else:
                self.closes = True
        head = response_head(status, fields, framing + self._sink.head_fields(self))
        self._bodiless = without_body or self.request.method == "HEAD"
        self._remaining = None if self._bodiless else length
        self.started = True
        if self._sink.alive:
            self._sink.write(head)

    def write(self, data: Bytes) -> None:
        """Send a piece of the body, which must not change afterwards. Raises `InvalidResponse` beyond the declared
        length.

        It is the caller's to `await drain()` between pieces: what is written faster than the client reads piles up.
        """
        if not self.started or self.ended:
            raise InvalidResponse("the response is not being written")
        size = len(data) if isinstance(data, bytes) else memoryview(data).nbytes
        if self._remaining is not None:
            if size > self._remaining:
                raise InvalidResponse(f"{size - self._remaining} bytes more than the length that was declared")
            self._remaining -= size
        if not size or self._bodiless or not self._sink.alive:
            return
        if not self._chunked:
            self._sink.write(data)
        elif size <= JOINED:
            self._sink.write(b"".join((b"%x\r\n" % size, data, b"\r\n")))
        else:
            self._sink.write(b"%x\r\n" % size)
            self._sink.write(data)
            self._sink.write(b"\r\n")

    async def drain(self) -> None:
        """Wait until the client has read enough of what was written. Raises `ClientGone`."""
        if not self._sink.alive:
            raise ClientGone
        await self._sink.drain()

    def end(self) -> None:
        """The body is complete. Raises `InvalidResponse` if it is shorter than declared; the connection is then cut,
        so that the client does not take it for whole."""
        if self.ended:
            return
        if not self.started:
            raise InvalidResponse("the response was not started")
        if self._remaining and self._sink.alive:
            self.abort()
            raise InvalidResponse(f"{self._remaining} bytes less than the length that was declared")
        self.ended = True
        if self._chunked and not self._bodiless and self._sink.alive:
            self._sink.write(b"0\r\n\r\n")
        self._sink.ended(self)

    def abort(self) -> None:
        """Cut the connection: the client sees that the response is incomplete."""
        if not self.ended:
            self.ended = True
            self._sink.abort()
