"""The relay process: takes sockets that listen in sandboxes, and joins each connection to its target on the host.

Started by `ondol.sandbox.jail.relay.handle` with one socket, on which it is told what to open and close. It ends with
the platform.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys

from ondol.linux import capabilities, process
from ondol.sandbox.jail import channel

CONNECTIONS = 256
"""Of one sandbox at one time; one more is closed at once."""

PIECE = 65_536
CONNECT_S = 5.0


class Opened:
    """What one sandbox has open."""

    def __init__(self) -> None:
        self.servers: list[asyncio.Server] = []
        self.joined: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        for server in self.servers:
            server.close()
        for task in self.joined:
            task.cancel()


class Relay:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._sandboxes: dict[str, Opened] = {}
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Obey until the platform is gone."""
        asyncio.get_running_loop().add_reader(self._control.fileno(), self._heard)
        await self._ended.wait()

    def _heard(self) -> None:
        received = channel.receive(self._control)
        if received is None:
            self._ended.set()
            return
        order, descriptors = received
        if "open" in order:
            opened = self._sandboxes[order["open"]] = Opened()
            for descriptor, (host, port) in zip(descriptors, order["targets"], strict=True):
                listener = socket.socket(fileno=descriptor)
                listener.setblocking(False)
                task = asyncio.get_running_loop().create_task(self._serve(opened, listener, host, port))
                opened.joined.add(task)
                task.add_done_callback(opened.joined.discard)
        elif (closed := self._sandboxes.pop(order["close"], None)) is not None:
            closed.close()

    async def _serve(self, opened: Opened, listener: socket.socket, host: str, port: int) -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            if len(opened.joined) >= CONNECTIONS:
                writer.transport.abort()
                return
            opened.joined.add(task)
            try:
                await _join(reader, writer, host, port)
            finally:
                opened.joined.discard(task)

        opened.servers.append(await asyncio.start_server(connected, sock=listener, limit=PIECE))


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    """Carry bytes both ways until both have ended, or one is cut."""
    try:
        async with asyncio.timeout(CONNECT_S):
            target_reader, target_writer = await asyncio.open_connection(host, port, limit=PIECE)
    except (OSError, TimeoutError):
        writer.transport.abort()  # as refused as a connection can be once it was accepted
        return
    try:
        await asyncio.gather(_carry(reader, target_writer), _carry(target_reader, writer))
    except OSError:
        pass
    finally:
        writer.transport.abort()
        target_writer.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, no faster than it is taken, and then the end."""
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def main() -> None:
    process.die_with_parent(signal.SIGKILL)
    control = socket.socket(fileno=int(sys.argv[1]))
    process.set_name("ondol-relay")
    process.close_all_but(0, 1, 2, control.fileno())
    capabilities.drop_all()
    process.set_no_new_privileges()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's; the platform drains first
    with contextlib.suppress(OSError):
        os.chdir("/")
    asyncio.run(_obey(control))


async def _obey(control: socket.socket) -> None:
    await Relay(control).run()


if __name__ == "__main__":
    main()
