"""Passes a request on to the server of its service, and that server's answer back, both as they are.

It decides which fields belong to a connection and stay behind, and what the client is told when the server fails. It
must not know what is asked, nor change what a signature covers: method, path, query, host and fields.
"""

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import cached_property

import msgspec

from ondol.http import AnswerHead, Exchange, InvalidResponse, Patience, Request, Response, ServerGone, ServerSlow
from ondol.model.endpoint import Endpoint

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""RFC 9110, 7.6.1."""

_SAID_ANEW = frozenset({"content-length", "expect"})
"""The frame, and who asks a client to go on."""

_KEPT = frozenset({"host", "content-length", "authorization"})
"""What a Connection field can not take away."""

_GATHERED_BYTES = 8_388_608


class EndpointFailed(Exception):
    """The server did not answer as it should; nothing of an answer has been sent to the client."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class WholeAnswer(msgspec.Struct, frozen=True):
    """A server's answer, all of it."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300

    def field(self, name: str) -> str | None:
        """By its name in lower case."""
        return next((value for field, value in self.fields if field.lower() == name), None)

    def send(self, response: Response) -> None:
        response.send(self.status, self.fields, self.body)


class Forwarding:
    """Forwards requests, each by an exchange of its own."""

    def __init__(self, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()

    async def forward(
        self, endpoint: Endpoint, request: Request, body: AsyncIterable[bytes], response: Response
    ) -> None:
        """Answer with what `endpoint` answers. Raises `EndpointFailed`, and what `body` raises.

        A client that goes away ends the exchange; an answer that breaks off cuts the client's connection.
        """
        exchanging = asyncio.current_task()
        assert exchanging is not None
        request.when_client_gone(exchanging.cancel)
        try:
            async with self._exchange(endpoint, request, body) as (head, pieces):
                response.start(head.status, _response_fields(head), head.length)
                async for piece in pieces:
                    response.write(piece)
                    await response.drain()
                response.end()
        except (ServerGone, ServerSlow, InvalidResponse) as error:
            if response.started:
                response.abort()
                return
            raise _failed(endpoint, error) from error
        finally:
            request.when_client_gone(None)

    async def gather(self, endpoint: Endpoint, request: Request, body: AsyncIterable[bytes]) -> WholeAnswer:
        """What `endpoint` answers, for whoever has something to do before the client has it.

        Only where answers are small. A client that goes away does not end it: what it asked for may have been done.
        Raises `EndpointFailed`, and what `body` raises.
        """
        try:
            async with self._exchange(endpoint, request, body) as (head, pieces):
                whole = bytearray()
                async for piece in pieces:
                    whole += piece
                    if len(whole) > _GATHERED_BYTES:
                        raise ServerGone(f"its answer has more than {_GATHERED_BYTES} bytes")
                return WholeAnswer(head.status, tuple(_response_fields(head)), bytes(whole))
        except (ServerGone, ServerSlow, InvalidResponse) as error:
            raise _failed(endpoint, error) from error

    @asynccontextmanager
    async def _exchange(
        self, endpoint: Endpoint, request: Request, body: AsyncIterable[bytes]
    ) -> AsyncIterator[tuple[AnswerHead, AsyncIterable[bytes]]]:
        """The head of the server's answer, and its pieces as they come. Raises what an `Exchange` raises."""
        tls = self._tls if endpoint.tls else None
        exchange = await Exchange.open(endpoint.host, endpoint.port, tls, self._patience)
        try:
            chunked = request.body.length is None
            exchange.send(request.method, _target(request), _request_fields(request), body, chunked=chunked)
            head = await exchange.head()
            if not 200 <= head.status <= 599:
                raise ServerGone(f"its answer has the status {head.status}")
            yield head, exchange.pieces()
        finally:
            await exchange.close()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()


def _failed(endpoint: Endpoint, error: Exception) -> EndpointFailed:
    what = f"The server at {endpoint} that is configured for this service failed: {error}."
    if isinstance(error, ServerSlow):
        return EndpointFailed(504, "EndpointTimeout", what)
    return EndpointFailed(502, "EndpointUnavailable", what)


def _target(request: Request) -> str:
    """As sent, but for an absolute URI, whose path and query these are."""
    if request.target.startswith("/"):
        return request.target
    return f"{request.path}?{request.query}" if request.query else request.path


def _request_fields(request: Request) -> Iterable[tuple[str, str]]:
    headers = request.headers
    dropped = _HOP_BY_HOP | _SAID_ANEW | (_named_by(headers.get("connection", "")) - _KEPT)
    yield from ((name, value) for name, value in headers.items() if name not in dropped)
    if "content-length" in headers and request.body.length is not None:
        yield "content-length", str(request.body.length)


def _response_fields(head: AnswerHead) -> list[tuple[str, str]]:
    connection = next((value for name, value in head.fields if name.lower() == "connection"), "")
    # Our listener dates its answers itself.
    dropped = _HOP_BY_HOP | _SAID_ANEW | _named_by(connection) | {"date"}
    return [(name, value) for name, value in head.fields if name.lower() not in dropped]


def _named_by(connection: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in connection.split(","))
