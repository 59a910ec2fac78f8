"""One request to another server, on a connection of its own, and its answer; both bodies streamed.

It decides how a message is framed for that server, and when the server counts as gone or as too slow. It must not know
what is asked. A connection is never used twice: what was lost on a stale one could not be sent again once its body has
been streamed, and servers of this kind are near.
"""

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterable

from ondol.http.answer import AnswerHead, AnswerParser, Patience, ServerGone, ServerSlow

_PIECE = 65_536


class Exchange:
    """Begin it with `open`; then `head` once and the pieces of the body, to their end; `close` in any case."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: Patience) -> None:
        self._reader = reader
        self._writer = writer
        self._patience = patience
        self._sending: asyncio.Task[None] | None = None
        self._moved = False
        self._parser = AnswerParser(False)

    @classmethod
    async def open(
        cls, host: str, port: int, tls: ssl.SSLContext | None = None, patience: Patience | None = None
    ) -> "Exchange":
        """Connect. Raises `ServerGone` and `ServerSlow`."""
        patience = patience or Patience()
        try:
            async with asyncio.timeout(patience.connect_s):
                reader, writer = await asyncio.open_connection(host, port, ssl=tls, limit=_PIECE)
        except TimeoutError as error:
            raise ServerSlow(f"it did not take the connection within {patience.connect_s:g} s") from error
        except OSError as error:
            raise ServerGone(f"it cannot be reached ({error})") from error
        return cls(reader, writer, patience)

    def send(
        self, method: str, target: str, fields: Iterable[tuple[str, str]], body: AsyncIterable[bytes], *, chunked: bool
    ) -> None:
        """Send the request while the answer is awaited, for it may come early.

        `fields` name the host and, unless the body goes in chunks, its length if it has one. An error that `body`
        raises is raised where the answer is awaited.
        """
        self._parser = AnswerParser(method == "HEAD")
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "Connection: close"]
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        self._sending = asyncio.get_running_loop().create_task(self._send_body(body, chunked))

    async def head(self) -> AnswerHead:
        """Raises `ServerGone` and `ServerSlow`, and what the request's body raised."""
        while self._parser.head is None:
            await self._receive()
        return self._parser.head

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body of the answer. Raises as `head` does."""
        parser = self._parser
        while True:
            pieces, parser.pieces = parser.pieces, []
            for piece in pieces:
                yield piece
            if parser.complete:
                return
            await self._receive()

    async def close(self) -> None:
        """End the connection, whatever still goes over it."""
        self._writer.transport.abort()
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait({self._sending})
            if not self._sending.cancelled():
                # Told already where the answer was awaited, or of no interest to an answer that is complete.
                self._sending.exception()

    async def _send_body(self, body: AsyncIterable[bytes], chunked: bool) -> None:
        writer = self._writer
        try:
            async for piece in body:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                await writer.drain()
                self._moved = True
            if chunked:
                writer.write(b"0\r\n\r\n")
            await writer.drain()
        except ConnectionError:
            pass  # The server takes no more: its answer, or the lack of one, says why.
        except BaseException:
            # Whoever awaits the answer is woken by the end of the connection, and told of this.
            writer.transport.abort()
            raise

    async def _receive(self) -> None:
        """Take what the server has sent next. A server that takes the request is not slow."""
        data = None
        while data is None:
            self._moved = False
            try:
                async with asyncio.timeout(self._patience.stall_s):
                    data = await self._reader.read(_PIECE)
            except TimeoutError as error:
                if not self._moved:
                    raise ServerSlow(f"it has not answered within {self._patience.stall_s:g} s") from error
            except OSError as error:
                self._raise_if_unsent()
                raise ServerGone(f"it broke the connection ({error})") from error
        if not data:
            self._raise_if_unsent()
        self._parser.feed(data)

    def _raise_if_unsent(self) -> None:
        sending = self._sending
        if sending is not None and sending.done() and not sending.cancelled():
            error = sending.exception()
            if error is not None:
                raise error
