"""Notices when code in a sandbox looks on its own loopback for a server that only the host's has, or for names.

What it tells lets that code learn that the host listens at a port, so it tells little: each port of a sandbox once, of
few ports, and of all sandboxes together not often.
"""

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ondol.linux import refusals
from ondol.model.network import NAMES_PORT
from ondol.model.rate import TokenBucket
from ondol.model.time import Instant

MOST_PORTS = 32
"""Of one sandbox that are looked up; from then on it is not watched."""

MOST_HEARD = 10_000
"""Words of the kernel on one sandbox; likewise."""

START_S = 10.0
ARMED_S = 60.0
BURST = 20
REFILL_PER_S = 1

_LISTENING = "0A"
_ANY_IPV4, _ANY_IPV6 = "00000000", "0" * 32
_MAPPED = "0000000000000000FFFF0000"
_BYTES = 65_536

Tell = Callable[[int, str | None], None]
"""Called with a port and the host's address at which something listens there; None for names, of which nobody tells."""


class Rate:
    """How often all sandboxes together are told something."""

    def __init__(self) -> None:
        self._bucket = TokenBucket(BURST, REFILL_PER_S, Instant(time.monotonic_ns()))

    def take(self) -> bool:
        return self._bucket.take(Instant(time.monotonic_ns()))


class Refusals:
    """Watches one sandbox, by the sockets of `ondol.linux.refusals.watch`. `resolves`: names are answered there."""

    def __init__(self, sockets: list[socket.socket], rate: Rate, tell: Tell, *, resolves: bool) -> None:
        ipv4, ipv6, gone = sockets
        self._ipv4 = ipv4
        self._sockets: tuple[socket.socket, ...] = (ipv4, ipv6, gone)
        self._told_of_names = resolves
        self._rate = rate
        self._tell = tell
        self._seen: set[int] = set()
        self._heard = 0
        self._loop = asyncio.get_running_loop()
        for each, hear in ((ipv4, self._hear_segment), (ipv6, self._hear_segment), (gone, self._hear_gone)):
            each.setblocking(False)
            self._loop.add_reader(each.fileno(), hear, each)

    def begin(self) -> None:
        """The function's code is at work: what it needs at its start it asks for soon."""
        self._loop.call_later(START_S, self._disarm)

    def close(self) -> None:
        for each in self._sockets:
            self._loop.remove_reader(each.fileno())
            each.close()
        self._sockets = ()

    def _hear_segment(self, heard: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self._look_up(refusals.port_of(heard.recv(_BYTES), heard.family))

    def _hear_gone(self, heard: socket.socket) -> None:
        with contextlib.suppress(OSError):
            message = heard.recv(_BYTES)
            if not self._told_of_names and refusals.asked_for_names(message):
                self._told_of_names = True
                self._tell(NAMES_PORT, None)
            port = refusals.port_of_gone(message)
            if port == refusals.UNKNOWN:
                refusals.arm(self._ipv4)
                self._loop.call_later(ARMED_S, self._disarm)
            self._look_up(port)

    def _look_up(self, port: int | None) -> None:
        self._heard += 1
        if port and port not in self._seen:
            self._seen.add(port)
            found = host_listener(port)
            if found is not None and self._rate.take():
                self._tell(port, found)
        if self._heard == MOST_HEARD or len(self._seen) == MOST_PORTS:
            self.close()

    def _disarm(self) -> None:
        if self._sockets:
            refusals.disarm(self._ipv4)


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
