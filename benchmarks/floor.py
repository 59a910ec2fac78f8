"""The floor: the least that a whole path can be. `floor.py PORT PROCESSES` serves it, with no platform in it.

HTTP comes in (uvloop and httptools, a bare protocol), goes to an idle Python process over a unix socket, and out as
HTTP. No authentication, no counting, no isolation, no log, no limits: what ondol takes above this is what it does.
"""

import asyncio
import json
import os
import signal
import socket
import struct
import sys

import httptools
import uvloop

LENGTH = struct.Struct("!I")


def serve_function(connection: socket.socket) -> None:
    """An idle Python process: takes an event, answers with it, and so asks for the next."""
    while True:
        head = connection.recv(65536)
        if not head:
            return
        (length,) = LENGTH.unpack_from(head)
        body = head[LENGTH.size :]
        while len(body) < length:
            body += connection.recv(65536)
        event = json.loads(body)
        answer = json.dumps(event).encode()
        connection.sendall(LENGTH.pack(len(answer)) + answer)


class Function(asyncio.Protocol):
    """The near end of one such process."""

    def __init__(self, idle: list["Function"]) -> None:
        self._idle = idle
        self._client: Client | None = None
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = transport.write  # type: ignore[attr-defined]
        self._idle.append(self)

    def invoke(self, event: bytes, client: "Client") -> None:
        self._client = client
        self._write(LENGTH.pack(len(event)) + event)

    def data_received(self, data: bytes) -> None:
        held = self._held + data if self._held else data
        if len(held) - LENGTH.size < LENGTH.unpack_from(held)[0]:
            self._held = held
            return
        self._held = b""
        client, self._client = self._client, None
        assert client is not None
        self._idle.append(self)
        client.answer(held[LENGTH.size :])


class Client(asyncio.Protocol):
    """One connection of a client, which has at most one request under way."""

    def __init__(self, idle: list[Function]) -> None:
        self._idle = idle
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""
        self._gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = transport.write  # type: ignore[attr-defined]

    def connection_lost(self, error: Exception | None) -> None:
        self._gone = True

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._idle.pop().invoke(self._body, self)

    def answer(self, body: bytes) -> None:
        if self._gone:
            return
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._write(head % len(body) + body)


async def main(port: int, connections: list[socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    idle: list[Function] = []
    for connection in connections:
        await loop.create_unix_connection(lambda: Function(idle), sock=connection)
    server = await loop.create_server(lambda: Client(idle), "127.0.0.1", port)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.close()


def fork_functions(count: int) -> list[socket.socket]:
    """So many idle processes, which end when their near end closes."""
    near_ends: list[socket.socket] = []
    for _ in range(count):
        near, far = socket.socketpair()
        if os.fork() == 0:
            for each in (*near_ends, near):
                each.close()
            serve_function(far)
            os._exit(0)
        far.close()
        near_ends.append(near)
    return near_ends


if __name__ == "__main__":
    near_ends = fork_functions(int(sys.argv[2]))
    for each in near_ends:
        each.setblocking(False)
    uvloop.run(main(int(sys.argv[1]), near_ends))
