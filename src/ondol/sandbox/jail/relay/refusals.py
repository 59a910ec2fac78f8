"""Notices when code in a sandbox looks on its own loopback for a server that only the host's has.

What it tells lets that code learn that the host listens at a port, so it tells little: each port of a sandbox once, of
few ports, and of all sandboxes together not often.
"""

import asyncio
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ondol.linux import refusals
from ondol.model.rate import TokenBucket
from ondol.model.time import Instant

MOST_PORTS = 32
"""Of one sandbox that are looked up; from then on it is not watched."""

MOST_PACKETS = 2_000
BURST = 20
REFILL_PER_S = 1

_LISTENING = "0A"
_ANY_IPV4, _ANY_IPV6 = "00000000", "0" * 32
_MAPPED = "0000000000000000FFFF0000"
_BYTES = 65_536

Tell = Callable[[int, str], None]
"""Called with a port and the host's address at which something listens there."""


class Rate:
    """How often all sandboxes together are told something."""

    def __init__(self) -> None:
        self._bucket = TokenBucket(BURST, REFILL_PER_S, Instant(time.monotonic_ns()))

    def take(self) -> bool:
        return self._bucket.take(Instant(time.monotonic_ns()))


class Refusals:
    """Watches one sandbox, by sockets that hear of each port that refused."""

    def __init__(self, sockets: list[socket.socket], rate: Rate, tell: Tell) -> None:
        self._sockets = sockets
        self._rate = rate
        self._tell = tell
        self._seen: set[int] = set()
        self._packets = 0
        self._loop = asyncio.get_running_loop()
        for each in sockets:
            each.setblocking(False)
            self._loop.add_reader(each.fileno(), self._hear, each)

    def close(self) -> None:
        while self._sockets:
            closed = self._sockets.pop()
            self._loop.remove_reader(closed.fileno())
            closed.close()

    def _hear(self, heard: socket.socket) -> None:
        try:
            port = refusals.port_of(heard.recv(_BYTES))
        except OSError:
            return
        self._packets += 1
        if port not in self._seen:
            self._seen.add(port)
            found = host_listener(port)
            if found is not None and self._rate.take():
                self._tell(port, found)
        if self._packets == MOST_PACKETS or len(self._seen) == MOST_PORTS:
            self.close()


def host_listener(port: int) -> str | None:
    """Where on this machine's loopback something listens at `port`; an address as in a URL."""
    found = {*_listening("tcp", port), *_listening("tcp6", port)}
    return min(found, default=None)


def _listening(table: str, port: int) -> list[str]:
    """See proc_pid_net(5): local address and port in hexadecimal, each word of an address in the machine's order."""
    file = Path("/proc/net", table)
    lines = file.read_text().splitlines()[1:] if file.exists() else []
    addresses = []
    for line in lines:
        _, local, _, state, *_ = line.split(None, 4)
        address, _, hexadecimal = local.partition(":")
        if state == _LISTENING and int(hexadecimal, 16) == port:
            addresses.append(address)
    return [named for address in addresses if (named := _on_loopback(address)) is not None]


def _on_loopback(address: str) -> str | None:
    address = address.removeprefix(_MAPPED)
    if address in {_ANY_IPV4, _ANY_IPV6}:
        return "127.0.0.1"
    words = (bytes.fromhex(address[at : at + 8]) for at in range(0, len(address), 8))
    packed = b"".join(int.from_bytes(word, "big").to_bytes(4, sys.byteorder) for word in words)
    if len(packed) == 4:
        return socket.inet_ntoa(packed) if packed[0] == 127 else None
    return "[::1]" if packed == bytes(15) + b"\1" else None
