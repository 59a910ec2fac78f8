"""A listener: its handler, its limits, its connections, and its graceful end.

It decides how many connections there may be and when the last of them is over. It must not know how one works.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Protocol, cast

import msgspec

from ondol.http.commons import HttpCommons
from ondol.http.connection import HttpProtocol
from ondol.http.limits import HttpLimits
from ondol.http.request import Request
from ondol.http.response import Response
from ondol.http.tls import Certificate
from ondol.http.tls_listener import TlsListener

Handler = Callable[[Request, Response], Awaitable[None] | None]
"""Called on the loop as soon as a request's head is here and those before it on its connection are answered.

It answers at once or has somebody answer later; an awaitable that it returns is run. What either raises becomes a 500
and goes to the loop's exception handler; `Refused` becomes its status. A client that goes away cancels nothing: see
`Request.when_client_gone`.
"""


_BACKLOG = 1024


class _Listener(Protocol):
    def close(self) -> None: ...


class Spans(msgspec.Struct, frozen=True):
    """The times of the limits, ready to be added to the sweep's clock."""

    header: int
    keep_alive: int
    stall: int
    linger: int


class Server:
    """Serves with one handler on any number of sockets, or on transports made by somebody else (`protocol`).

    Made and used on one running loop.
    """

    def __init__(self, handler: Handler, limits: HttpLimits, commons: HttpCommons) -> None:
        self.handler = handler
        self.limits = limits
        sweep = self.sweep = commons.sweep
        self.outbox = commons.outbox
        self.spans = Spans(
            header=sweep.span(limits.header_s),
            keep_alive=sweep.span(limits.keep_alive_s),
            stall=sweep.span(limits.stall_s),
            linger=sweep.span(limits.linger_s),
        )
        self.loop = asyncio.get_running_loop()
        self.draining = False
        """Every response is the last of its connection."""

        self._listeners: list[_Listener] = []
        self._connections: set[HttpProtocol] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._all_over: asyncio.Future[None] | None = None

    def protocol(self) -> HttpProtocol:
        """A protocol for one new connection."""
        return HttpProtocol(self)

    async def listen(self, host: str, port: int) -> list[tuple[str, int]]:
        """Accept connections at the addresses of `host`; 0 takes a free port. Returns what was bound.

        Raises OSError if the address is in use or not ours.
        """
        listener = await self.loop.create_server(self.protocol, host, port, backlog=_BACKLOG)
        self._listeners.append(listener)
        return [each.getsockname()[:2] for each in listener.sockets]

    async def listen_tls(
        self, host: str, port: int, certificate: Certificate, plain: "Server"
    ) -> list[tuple[str, int]]:
        """As `listen`, for TLS; who does not speak it is served by `plain`, which is to say so."""
        found = await self.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            listening = socket.create_server(address, family=family, backlog=_BACKLOG)
            self._listeners.append(TlsListener(listening, certificate.context, self, plain))
        return [each.address for each in self._listeners if isinstance(each, TlsListener)]

    def present(self, certificate: Certificate) -> None:
        """Show this certificate to who connects from now on."""
        for each in self._listeners:
            if isinstance(each, TlsListener):
                each.context = certificate.context

    async def drain(self, timeout_s: float) -> None:
        """Stop accepting, close idle connections, let requests in flight end; after `timeout_s` cut what is left."""
        self.draining = True
        for listener in self._listeners:
            listener.close()
        for connection in list(self._connections):
            connection.close_if_idle()
        if self._is_over():
            return
        self._all_over = self.loop.create_future()
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._all_over)
        except TimeoutError:
            for connection in list(self._connections):
                connection.cut()
            await self._cancel(self._running)
            await self._all_over

    async def _cancel(self, tasks: set[asyncio.Task[None]]) -> None:
        if tasks:
            for task in tasks:
                task.cancel()
            await asyncio.wait(set(tasks))
            # One that was cancelled before its first step could not say that it ended.
            tasks.clear()
            self._note_end()

    # ---- for its connections

    def admit(self, connection: HttpProtocol) -> bool:
        """Count a new connection; False if there are too many."""
        self._connections.add(connection)
        return len(self._connections) <= self.limits.connections and not self.draining

    def forget(self, connection: HttpProtocol) -> None:
        self._connections.discard(connection)
        self._note_end()

    def run(self, answer: Coroutine[None, None, None]) -> None:
        """Run an asynchronous handler to its end, whether or not its client stays."""
        self._running.add(self.loop.create_task(answer))

    def ran(self) -> None:
        """The task that calls this has come to its end."""
        self._running.discard(cast("asyncio.Task[None]", asyncio.current_task()))
        self._note_end()

    def _is_over(self) -> bool:
        return not self._connections and not self._running

    def _note_end(self) -> None:
        if self._all_over is not None and not self._all_over.done() and self._is_over():
            self._all_over.set_result(None)
