"""Many small requests to one server, each sent and answered whole, over connections that are kept.

It decides when a connection is used again, and when a request is sent a second time: only over a new connection,
after a kept one turned out to be closed before a byte of the answer came. Whoever calls must be able to bear that a
request is done twice. It must not know what is asked.
"""

import asyncio
import ssl
from collections.abc import Iterable

from ondol.http.answer import AnswerHead, AnswerParser, ServerGone, ServerSlow

_PIECE = 262_144
_KEPT = 64
"""Connections that wait for the next request; more are closed."""


class _Connection:
    """A connection, and whether it has served a request before."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.used = False


class _Stale(Exception):
    """A kept connection was closed by the server before it answered."""


class Calls:
    """The connections to one server. `close` ends those that wait."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None, connect_s: float = 5.0) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._connect_s = connect_s
        self._kept: list[_Connection] = []

    async def call(
        self, method: str, target: str, fields: Iterable[tuple[str, str]], body: bytes, timeout_s: float
    ) -> tuple[AnswerHead, bytes]:
        """Raises `ServerGone` and `ServerSlow`. `fields` name the host and the length of the body."""
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
        bodiless = method == "HEAD"
        request = "\r\n".join(lines).encode("latin-1") + body
        while self._kept:
            connection = self._kept.pop()
            try:
                return await self._exchange(connection, request, timeout_s, bodiless)
            except _Stale:
                continue
        return await self._exchange(await self._connect(), request, timeout_s, bodiless)

    def close(self) -> None:
        for connection in self._kept:
            connection.writer.transport.abort()
        self._kept.clear()

    async def _connect(self) -> _Connection:
        try:
            async with asyncio.timeout(self._connect_s):
                streams = await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=_PIECE)
        except TimeoutError as error:
            raise ServerSlow(f"it did not take the connection within {self._connect_s:g} s") from error
        except OSError as error:
            raise ServerGone(f"it cannot be reached ({error})") from error
        return _Connection(*streams)

    async def _exchange(
        self, connection: _Connection, request: bytes, timeout_s: float, bodiless: bool
    ) -> tuple[AnswerHead, bytes]:
        parser = AnswerParser(bodiless)
        reusable = False
        try:
            connection.writer.write(request)
            async with asyncio.timeout(timeout_s):
                while not parser.complete:
                    await self._receive(connection, parser)
            reusable = parser.reusable and not connection.reader.at_eof()
        except TimeoutError as error:
            raise ServerSlow(f"it has not answered within {timeout_s:g} s") from error
        finally:
            self._done(connection, reusable)
        assert parser.head is not None
        return parser.head, b"".join(parser.pieces)

    async def _receive(self, connection: _Connection, parser: AnswerParser) -> None:
        try:
            data = await connection.reader.read(_PIECE)
        except OSError as error:
            if connection.used and parser.untouched:
                raise _Stale from error
            raise ServerGone(f"it broke the connection ({error})") from error
        if not data and connection.used and parser.untouched:
            raise _Stale
        parser.feed(data)

    def _done(self, connection: _Connection, reusable: bool) -> None:
        if reusable and len(self._kept) < _KEPT:
            connection.used = True
            self._kept.append(connection)
        else:
            connection.writer.transport.abort()
