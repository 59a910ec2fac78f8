"""One connection: reads on or not, serves its requests in order, and closes it when its time has come.

It decides back-pressure in both directions, the order of requests, and which deadline counts when. It must not know
what a request means, nor how it is spelled.

```
            first byte                head complete             body complete
  IDLE ──────────────────▶ HEAD ──────────────────▶ BODY ──────────────────▶ (only the handler's time)
   ▲  keep_alive_s          header_s                 stall_s                          │
   └──────────────────────────────────────────────────────────────── response ended ──┘
                                      an early answer, or a refusal ──▶ LINGER (linger_s)
```
"""

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, cast

from ondol.http.errors import ClientGone, Refused
from ondol.http.head import response_head
from ondol.http.parser import RequestParser
from ondol.http.request import Request
from ondol.http.response import JOINED, Bytes, Response
from ondol.model.time import Instant

if TYPE_CHECKING:
    from ondol.http.server import Server

_SLICE = 8_192
"""Input is parsed in pieces of this size, so that a flood of tiny requests is held back between two of them."""

_BODY_SLICE = 65_536

_TURN = 16
"""Requests of one connection that are served in one turn of the loop before others have theirs."""

_PLAIN = (("Content-Type", "text/plain; charset=utf-8"),)


class HttpProtocol(asyncio.Protocol):
    """The connection of one client to one `Server`. Made by `Server.protocol`."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._limits = server.limits
        self._spans = server.spans
        self._sweep = server.sweep
        self._loop = server.loop
        self._transport: asyncio.Transport
        self._parser: RequestParser
        self.alive = False
        """Bytes can still be written to the client."""

        self.deadline = 0
        self._backlog: memoryview | None = None
        self._serving: Response | None = None
        self._refusal: Refused | None = None
        self._reading = True
        self._deaf = False
        self._ended_by_client = False
        self._pumping = False
        self._pump_scheduled = False
        self._write_paused = False
        self._drainers: list[asyncio.Future[None]] = []
        self._progress_mark = 0
        self._outbox = server.outbox
        self._outgoing = b""
        self._departing = False

    # ---- called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the interface without the class.
        self._transport = cast(asyncio.Transport, transport)
        self.alive = True
        peer = transport.get_extra_info("peername")
        encrypted = transport.get_extra_info("sslcontext") is not None
        self._parser = RequestParser(self, self._limits, peer[:2] if isinstance(peer, tuple) else None, encrypted)
        self.deadline = self._sweep.now + self._spans.header
        self._sweep.add(self)
        if not self._server.admit(self):
            self._refusal = Refused(503, "too many connections")
            self._deaf = True
            self._answer_refusal()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._backlog is not None:
            self._backlog = memoryview(bytes(self._backlog) + data)
        elif len(data) > _SLICE:
            self._backlog = memoryview(data)
        else:
            self._parse(data)
        self._pump()

    @property
    def at_rest(self) -> bool:
        """Nothing has been received that is not answered."""
        parser = self._parser
        return (
            self._serving is None
            and not parser.in_head
            and parser.receiving is None
            and not parser.requests
            and self._backlog is None
            and not self._deaf
        )

    @property
    def date(self) -> str:
        """The `Date` field line."""
        return self._sweep.date

    def serve_known(self, request: Request) -> Response:
        """For a subclass that has understood by itself what was received at rest: what answers this request."""
        response = self._serving = Response(request, self)
        return response

    def eof_received(self) -> bool:
        """The client sends no more. What it has sent whole is still answered: it may have closed one direction only."""
        self._ended_by_client = True
        self._fail_body(ClientGone())
        if self._serving is None and not self._parser.requests:
            return False
        if self._serving is not None:
            self._serving.request.lose_client()
        # A TLS transport cannot stay half open.
        return self._transport.can_write_eof()

    def connection_lost(self, error: Exception | None) -> None:
        self._outgoing = b""
        self._stop_serving()
        self._sweep.discard(self)
        self._server.forget(self)
        for drainer in self._drainers:
            if not drainer.done():
                drainer.set_exception(ClientGone())
        if self._serving is not None:
            self._serving.request.lose_client()

    def pause_writing(self) -> None:
        self._write_paused = True
        self._progress_mark = self._transport.get_write_buffer_size()
        self.deadline = self._sweep.now + self._spans.stall

    def resume_writing(self) -> None:
        self._write_paused = False
        for drainer in self._drainers:
            if not drainer.done():
                drainer.set_result(None)
        self._schedule_pump()

    # ---- from bytes to requests

    def _parse(self, data: bytes | memoryview) -> None:
        parser = self._parser
        began = parser.in_head
        try:
            parser.feed(data)
        except Refused as refusal:
            self._refusal = refusal
            self._deaf = True
            self._fail_body(refusal)
        if parser.in_head:
            if not began:
                self.deadline = self._sweep.now + self._spans.header
        elif parser.receiving is not None and parser.requests:
            self._watch_body(parser.receiving)
        if parser.finished:
            self._deaf = True

    def _parse_slice(self, backlog: memoryview) -> None:
        receiving = self._parser.receiving
        size = _SLICE if receiving is None else max(_SLICE, min(receiving.body.remaining, _BODY_SLICE))
        self._backlog = backlog[size:] if len(backlog) > size else None
        self._parse(backlog[:size])
        if self._deaf:
            self._backlog = None

    def _held(self) -> bool:
        """The handlers have enough for now."""
        parser = self._parser
        receiving = parser.receiving
        return len(parser.requests) >= self._limits.pipelined or (receiving is not None and receiving.body.overfull)

    def _regulate(self) -> None:
        """Read from the socket, or leave it to the client's own send buffer to fill up."""
        read = self._deaf or (self._backlog is None and not self._held())
        if read != self._reading and not self._transport.is_closing():
            self._reading = read
            if read:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    # ---- from requests to responses

    def _pump(self) -> None:
        """Serve what waits and parse what was held back, as far as the handlers keep up, one turn's worth."""
        self._pumping = True
        requests = self._parser.requests
        turn = _TURN
        while self.alive:
            while requests and self._serving is None and not self._write_paused:
                if not turn:
                    self._pump_later()
                    break
                turn -= 1
                self._serve(requests.popleft())
            if self._backlog is None or self._held():
                break
            self._parse_slice(self._backlog)
        self._pumping = False
        if self._refusal is not None and self._serving is None and not requests:
            self._answer_refusal()
        if self._backlog is not None or self._parser.receiving is not None or requests or not self._reading:
            self._regulate()

    def _schedule_pump(self) -> None:
        """See to it that what waits is served: by the pump that runs now, if one does."""
        if not self._pumping and self.alive:
            self._pump_later()

    def _pump_later(self) -> None:
        if not self._pump_scheduled:
            self._pump_scheduled = True
            self._loop.call_soon(self._pump_now)

    def _pump_now(self) -> None:
        self._pump_scheduled = False
        self._pump()

    def _serve(self, request: Request) -> None:
        response = Response(request, self)
        self._serving = response
        if self._ended_by_client:
            request.lose_client()
        if request.body.error is not None and request.body.error is self._refusal:
            # Found malformed before a handler saw it: the refusal is its answer.
            self._serving = None
            return
        try:
            awaitable = self._server.handler(request, response)
        except Exception as error:  # noqa: BLE001 - the supervisor of synchronous handlers
            self._settle(response, error)
        else:
            if awaitable is not None:
                self._server.run(self._finish(awaitable, response))

    async def _finish(self, awaitable: Awaitable[None], response: Response) -> None:
        try:
            await awaitable
        except asyncio.CancelledError:
            response.abort()
            raise
        except Exception as error:  # noqa: BLE001 - the supervisor of asynchronous handlers
            self._settle(response, error)
        finally:
            self._server.ran()

    def _settle(self, response: Response, error: Exception) -> None:
        """A handler has raised: the client gets a status if it still can, the operator gets the error."""
        if isinstance(error, ClientGone):
            response.abort()
            return
        status, text = 500, "Internal Server Error"
        if isinstance(error, Refused):
            status, text = error.status, error.reason
        else:
            self._loop.call_exception_handler(
                {"message": "a handler of HTTP requests failed", "exception": error, "protocol": self}
            )
        if response.started:
            response.abort()
        else:
            response.send(status, _PLAIN, f"{text}\n".encode())

    # ---- asked for by the body (Source)

    def wanted(self) -> None:
        serving = self._serving
        if serving is None or not self.alive:
            return
        body = serving.request.body
        if body.expects_continue and not serving.started:
            body.expects_continue = False
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._watch_body(serving.request)
        if self._backlog is not None or not self._reading:
            self._schedule_pump()

    def _watch_body(self, request: Request) -> None:
        self._progress_mark = request.body.received
        self.deadline = self._sweep.now + self._spans.stall

    def _fail_body(self, error: Refused | ClientGone) -> None:
        if self._parser.receiving is not None:
            self._parser.receiving.body.fail(error)

    # ---- asked for by the response (Sink)

    def head_fields(self, response: Response) -> str:
        request = response.request
        if not request.keep_alive or not request.body.complete or self._server.draining or self._ended_by_client:
            response.closes = True
        if response.closes:
            return f"{self._sweep.date}Connection: close\r\n"
        if request.version == "1.0":
            return f"{self._sweep.date}Connection: keep-alive\r\n"
        return self._sweep.date

    def answer(self, response: Response, head: bytes, body: bytes, with_next: bool) -> None:
        request = response.request
        if self.alive:
            if request.method == "HEAD":
                body = b""
            if len(body) > JOINED:
                self.write(head)
                self._transport.write(body)
            elif with_next and self._parser.requests:
                self.hold(head + body)
            else:
                self._outgoing += head + body
                if not self._departing:
                    self._departing = True
                    self._outbox.add(self)
        self.ended(response)

    def hold(self, data: bytes) -> None:
        """Send this together with whatever is sent next."""
        self._outgoing += data

    def write(self, data: Bytes) -> None:
        self._send_outgoing()
        self._transport.write(data)

    def depart(self) -> None:
        """Called by the outbox."""
        self._departing = False
        self._send_outgoing()

    def _send_outgoing(self) -> None:
        if self._outgoing:
            data, self._outgoing = self._outgoing, b""
            self._transport.write(data)

    async def drain(self) -> None:
        if not self._write_paused:
            return
        drainer = self._loop.create_future()
        self._drainers.append(drainer)
        try:
            await drainer
        finally:
            self._drainers.remove(drainer)

    def ended(self, response: Response) -> None:
        self._serving = None
        request = response.request
        # What it would call holds the response, and that the request: nothing of either is to wait for the collector.
        request.gone = None
        if not self.alive:
            return
        if not request.body.complete:
            self._linger()
        elif response.closes:
            self._close()
        else:
            spans = self._spans
            self.deadline = self._sweep.now + (spans.header if self._parser.in_head else spans.keep_alive)
            if self._parser.requests or self._backlog is not None or self._refusal is not None:
                self._schedule_pump()
            elif self._server.draining or self._ended_by_client:
                self._close()

    def abort(self) -> None:
        self._serving = None
        self._stop_serving()
        self.cut()

    # ---- ends

    def _answer_refusal(self) -> None:
        refusal = self._refusal
        if refusal is None or not self.alive:
            return
        body = f"{refusal.reason}\n".encode("latin-1", "replace")
        framing = f"Content-Length: {len(body)}\r\n{self._sweep.date}Connection: close\r\n"
        self.write(response_head(refusal.status, _PLAIN, framing) + body)
        self._linger()

    def _linger(self) -> None:
        """Close our side; read and drop a while, for to close with unread input would reset the connection and could
        take the answer from the client (RFC 9112, 9.6)."""
        if self._ended_by_client or not self._transport.can_write_eof():
            self._close()
            return
        self._stop_serving()
        self._send_outgoing()
        self._transport.write_eof()
        self.deadline = self._sweep.now + self._spans.linger
        self._regulate()

    def _close(self) -> None:
        self._stop_serving()
        self._send_outgoing()
        self._transport.close()

    def _stop_serving(self) -> None:
        self.alive = False
        self._deaf = True
        self._backlog = None
        self._refusal = None
        self._fail_body(ClientGone())
        self._parser.requests.clear()

    def close_if_idle(self) -> None:
        """The server drains: end what serves nobody now; the rest ends with its response."""
        if self._serving is None and not self._parser.requests and not self._parser.in_head:
            self._close()

    def cut(self) -> None:
        self._outgoing = b""
        self._transport.abort()

    def expire(self, now: Instant) -> None:
        """The deadline has passed: see whether anybody is late."""
        serving = self._serving
        receiving = self._parser.receiving
        if self._write_paused:
            left = self._transport.get_write_buffer_size()
            self._close_unless(left <= self._progress_mark - self._limits.stall_bytes, left)
        elif receiving is not None and not self._deaf:
            late = receiving.body.awaited and receiving.body.received < self._progress_mark + self._limits.stall_bytes
            if late:
                self._time_out("the request's body stalled")
            else:
                self._watch_body(receiving)
        elif serving is not None or self._parser.requests:
            self.deadline = self._sweep.now + self._spans.stall
        elif self._parser.in_head and not self._deaf:
            self._time_out("the request's header took too long")
        else:
            self._transport.abort()

    def _close_unless(self, moved: bool, mark: int) -> None:
        if moved:
            self._progress_mark = mark
            self.deadline = self._sweep.now + self._spans.stall
        else:
            self._transport.abort()

    def _time_out(self, reason: str) -> None:
        self._refusal = Refused(408, reason)
        self._deaf = True
        self._fail_body(self._refusal)
        self._pump()
