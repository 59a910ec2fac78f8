"""The relay process: takes sockets that sandboxes have bound, and connects them to what they lead to outside.

Started by `ondol.sandbox.jail.relay.handle` with one socket, on which it is told what to open and close, and tells
what was refused. It ends with the platform.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from typing import Any

import msgspec

from ondol.linux import capabilities, process
from ondol.model.network import Relayed
from ondol.sandbox.jail import channel
from ondol.sandbox.jail.relay import Bound
from ondol.sandbox.jail.relay.joining import join
from ondol.sandbox.jail.relay.refusals import Rate, Refusals, Tell
from ondol.sandbox.jail.relay.resolver import Resolver, by_stream

CONNECTIONS = 256
"""Of one sandbox at one time; one more is closed at once."""

PAUSE_S = 1.0
"""Before another connection is taken when this process has no descriptor left for one."""


class Opened:
    """What one sandbox has open."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._listeners: list[socket.socket] = []
        self._joined: set[asyncio.Task[None]] = set()
        self._resolver: Resolver | None = None
        self._refusals: Refusals | None = None

    def serve(self, listener: socket.socket, target: Relayed | None) -> None:
        """Join what connects here to `target`, or, without one, to the host's name server."""
        listener.setblocking(False)
        self._listeners.append(listener)
        self._loop.add_reader(listener.fileno(), self._accept, listener, target)

    def resolve(self, asked: socket.socket) -> None:
        """Answer questions for names."""
        self._resolver = Resolver(asked)

    def watch(self, watching: list[socket.socket], rate: Rate, tell: Tell, *, resolves: bool) -> None:
        """Tell of ports of its own at which only the host has a server, and of names that nobody answers for."""
        self._refusals = Refusals(watching, rate, tell, resolves=resolves)

    def begin(self) -> None:
        """The function's code is at work from now on."""
        if self._refusals is not None:
            self._refusals.begin()

    def close(self) -> None:
        for listener in self._listeners:
            self._loop.remove_reader(listener.fileno())
            listener.close()
        for task in self._joined:
            task.cancel()
        if self._resolver is not None:
            self._resolver.close()
        if self._refusals is not None:
            self._refusals.close()

    def _accept(self, listener: socket.socket, target: Relayed | None) -> None:
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:
            self._loop.remove_reader(listener.fileno())
            self._loop.call_later(PAUSE_S, self._accept_again, listener, target)
            return
        if len(self._joined) >= CONNECTIONS:
            connection.close()
            return
        connection.setblocking(False)
        task = self._loop.create_task(join(connection, target or by_stream()))
        self._joined.add(task)
        task.add_done_callback(self._joined.discard)

    def _accept_again(self, listener: socket.socket, target: Relayed | None) -> None:
        if listener.fileno() >= 0:
            self._loop.add_reader(listener.fileno(), self._accept, listener, target)


class Relay:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._sandboxes: dict[str, Opened] = {}
        self._rate = Rate()
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
            self._open(order, [socket.socket(fileno=descriptor) for descriptor in descriptors])
        elif "begin" in order:
            if (begun := self._sandboxes.get(order["begin"])) is not None:
                begun.begin()
        elif (closed := self._sandboxes.pop(order["close"], None)) is not None:
            closed.close()

    def _open(self, order: dict[str, Any], sockets: list[socket.socket]) -> None:
        name = order["open"]
        bound = msgspec.convert(order["bound"], Bound)
        if len(sockets) != bound.count:
            # The kernel leaves out those for which this process has no room.
            print(f"the relay has no descriptors left for sandbox {name}", file=sys.stderr, flush=True)
            for each in sockets:
                each.close()
            return
        opened = self._sandboxes[name] = Opened()
        if bound.refusals:
            watching, sockets = sockets[-3:], sockets[:-3]
            opened.watch(watching, self._rate, lambda *found: self._tell(name, *found), resolves=bound.resolver)
        if bound.resolver:
            opened.resolve(sockets.pop())
            opened.serve(sockets.pop(), None)
        for listener, target in zip(sockets, msgspec.convert(order["targets"], list[Relayed]), strict=True):
            opened.serve(listener, target)

    def _tell(self, sandbox: str, port: int, host: str | None) -> None:
        with contextlib.suppress(OSError):  # the platform is on its way out
            channel.send(self._control, {"refused": sandbox, "port": port, "host": host})


def main() -> None:
    process.die_with_parent(signal.SIGKILL)
    control = socket.socket(fileno=int(sys.argv[1]))
    process.set_name("ondol-relay")
    process.close_all_but(0, 1, 2, control.fileno())
    process.open_as_many_files_as_allowed()
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
