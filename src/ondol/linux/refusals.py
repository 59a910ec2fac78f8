"""Sees which ports of a network namespace's loopback refuse connections, without being in anybody's way.

A port where nobody listens answers with a TCP segment that resets what never was: RST, with the number 0. Raw sockets
(raw(7)) whose filter lets only those through hear of them; while that of IPv4 is armed, every segment on the loopback
costs some 150 ns more. What costs nothing is the kernel's word on each TCP socket that is gone (sock_diag(7)). It names
the port too, unless the program had waited in `connect`: then it tells at least that it is time to arm. Of UDP the
kernel tells that a socket is gone which had asked for names.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from ondol.linux import bpf

UNKNOWN = 0
"""A port that refused, and the kernel does not say which."""

_DIAGNOSIS = 4
_GONE = 0x1 | 0x2 | 0x4  # the groups SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET_UDP_DESTROY and SKNLGRP_INET6_TCP_DESTROY
_ANYWHERE, _NOWHERE = ("0.0.0.0", 0), ("127.255.255.254", 0)
_ATTACH_FILTER, _BIND_TO_DEVICE = 26, 25

# After the header of the message: struct inet_diag_msg, then attributes, of which one is a struct tcp_info.
_IDENTITY = struct.Struct(">16x 4x 2xH 16x 16s 32x")
_ATTRIBUTE = struct.Struct("=HH")
_TCP_INFO, _PROTOCOL = 2, 10
_SEGMENTS = struct.Struct("=136x II")
_NAMES = 53
_IPV6_LOOPBACK = bytes(15) + b"\1"

_NUMBER_AT, _FLAGS_AT, _RESET = 4, 13, 0x04
_KEPT = 64
"""Bytes of a segment that are kept: as far as the ports."""


def watch() -> tuple[socket.socket, socket.socket, socket.socket]:
    """Sockets that hear of segments of IPv4, armed, and of IPv6, and of sockets that are gone. Raises `OSError`."""
    gone = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _DIAGNOSIS)
    gone.bind((0, _GONE))
    return _watch(socket.AF_INET, _FILTER_IPV4), _watch(socket.AF_INET6, _FILTER_IPV6), gone


def arm(ipv4: socket.socket) -> None:
    ipv4.bind(_ANYWHERE)


def disarm(ipv4: socket.socket) -> None:
    """Hear of nothing, at no cost: nobody sends anything to the address that it then has."""
    ipv4.bind(_NOWHERE)


def port_of(segment: bytes, family: int) -> int:
    """The port that refused, from what one of the first two sockets has received."""
    header = (segment[0] & 0xF) * 4 if family == socket.AF_INET else 0
    port: int = struct.unpack_from(">H", segment, header)[0]
    return port


def port_of_gone(message: bytes) -> int | None:
    """The port that refused the socket that is gone, or `UNKNOWN`; None if it was not refused on the loopback."""
    port, address = _IDENTITY.unpack_from(message)
    if address[:1] != b"\x7f" and address != _IPV6_LOOPBACK:
        return None
    if port == 0:
        return UNKNOWN
    for kind, at in _attributes(message):
        if kind == _TCP_INFO:
            sent, received = _SEGMENTS.unpack_from(message, at)
            # It asked once, and the one segment that came was the refusal.
            return port if (sent, received) == (1, 1) else None
    return None


def asked_for_names(message: bytes) -> bool:
    """Whether the socket that is gone was one of UDP that asked a name server on the loopback."""
    port, address = _IDENTITY.unpack_from(message)
    return (
        port == _NAMES
        and address[:1] == b"\x7f"
        and any(kind == _PROTOCOL and message[at] == socket.IPPROTO_UDP for kind, at in _attributes(message))
    )


def _attributes(message: bytes) -> Iterator[tuple[int, int]]:
    """The kind of each attribute, and where its value begins."""
    at = _IDENTITY.size
    while at + _ATTRIBUTE.size < len(message):
        size, kind = _ATTRIBUTE.unpack_from(message, at)
        yield kind, at + _ATTRIBUTE.size
        at += max(size + 3 & ~3, _ATTRIBUTE.size)


def _watch(family: int, program: bytes) -> socket.socket:
    watching = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_TCP)
    watching.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, bpf.Program(program))
    watching.setsockopt(socket.SOL_SOCKET, _BIND_TO_DEVICE, b"lo")
    return watching


# Made once, for each sandbox has its own two sockets. Of IPv4 a raw socket sees the header too.
_FILTER_IPV4 = b"".join(
    (
        bpf.step(bpf.SKIP_HEADER, 0),
        bpf.step(bpf.LOAD_BYTE_AFTER, _FLAGS_AT),
        bpf.step(bpf.ANY_BIT, _RESET, 0, 3),
        bpf.step(bpf.LOAD_AFTER, _NUMBER_AT),
        bpf.step(bpf.EQUAL, 0, 0, 1),
        bpf.step(bpf.RETURN, _KEPT),
        bpf.step(bpf.RETURN, 0),
    )
)
_FILTER_IPV6 = b"".join(
    (
        bpf.step(bpf.LOAD_BYTE, _FLAGS_AT),
        bpf.step(bpf.ANY_BIT, _RESET, 0, 3),
        bpf.step(bpf.LOAD, _NUMBER_AT),
        bpf.step(bpf.EQUAL, 0, 0, 1),
        bpf.step(bpf.RETURN, _KEPT),
        bpf.step(bpf.RETURN, 0),
    )
)
