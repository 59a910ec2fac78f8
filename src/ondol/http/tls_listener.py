"""A listening socket where TLS is spoken: what comes first on a connection decides what becomes of it.

```
 accepted ─▶ first byte ─▶ of a handshake ─▶ handshake ─▶ the server's protocol, on a TLS transport
     │  opening_s   │           handshake_s
     └─▶ closed     └─▶ anything else ─▶ the plain server's: it says that this port speaks TLS
```
It decides how many connections may be so far and no further, and for how long. It must not know what is asked.
"""

import asyncio
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ondol.http.server import Server

_HANDSHAKE_RECORD = b"\x16"
_TURN = 64
"""Connections accepted in one turn of the loop."""

_REST_S = 0.5
"""How long accepting rests when the process has no descriptor left."""


class TlsListener:
    """Accepts at one socket, which it owns, until `close`. Made and used on one running loop."""

    def __init__(self, listening: socket.socket, context: ssl.SSLContext, server: "Server", plain: "Server") -> None:
        self.context = context
        """For whoever comes from now on."""

        self._listening = listening
        self._server = server
        self._plain = plain
        self._limits = server.limits
        self._loop = server.loop
        self._silent: dict[socket.socket, asyncio.TimerHandle] = {}
        self._handshakes: set[asyncio.Task[None]] = set()
        self._rest: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        self._loop.add_reader(listening, self._accept)

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._listening.getsockname()[:2]
        return host, port

    def close(self) -> None:
        """Accept no more, and give up what has not come to a request yet. A second time is no error."""
        if self._listening.fileno() == -1:
            return
        if self._rest is not None:
            self._rest.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()
        for connection in list(self._silent):
            self._give_up(connection)
        for handshake in self._handshakes:
            handshake.cancel()

    def _accept(self) -> None:
        for _ in range(_TURN):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                # No descriptor is left. Those who wait are let in when some have left.
                self._loop.remove_reader(self._listening)
                self._rest = self._loop.call_later(_REST_S, self._go_on)
                return
            if len(self._silent) + len(self._handshakes) >= self._limits.handshakes:
                connection.close()
                continue
            connection.setblocking(False)
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._silent[connection] = self._loop.call_later(self._limits.handshake_s, self._give_up, connection)
            self._loop.add_reader(connection, self._begun, connection)

    def _go_on(self) -> None:
        self._rest = None
        self._loop.add_reader(self._listening, self._accept)

    def _begun(self, connection: socket.socket) -> None:
        """The first byte is here, and stays for whoever reads on."""
        try:
            first = connection.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            first = b""
        if not first:
            self._give_up(connection)
            return
        self._silent.pop(connection).cancel()
        self._loop.remove_reader(connection)
        handshake = self._loop.create_task(self._take(connection, first == _HANDSHAKE_RECORD))
        self._handshakes.add(handshake)
        handshake.add_done_callback(self._handshakes.discard)

    def _give_up(self, connection: socket.socket) -> None:
        self._silent.pop(connection).cancel()
        self._loop.remove_reader(connection)
        connection.close()

    async def _take(self, connection: socket.socket, encrypted: bool) -> None:
        try:
            if encrypted:
                await self._loop.connect_accepted_socket(
                    self._server.protocol,
                    connection,
                    ssl=self.context,
                    ssl_handshake_timeout=self._limits.handshake_s,
                    ssl_shutdown_timeout=self._limits.linger_s,
                )
            else:
                await self._loop.connect_accepted_socket(self._plain.protocol, connection)
        except OSError:
            # A client that does not trust the certificate, is too old, too slow, or has gone. Nobody is to be told.
            connection.close()
