"""Sees which ports of a network namespace's loopback refuse connections, without being in anybody's way.

A port where nobody listens answers with a TCP segment that resets what never was: RST, with the number 0. Packet
sockets (packet(7)) whose filter lets only those through hear of them; every other packet costs some 100 ns.
"""

from __future__ import annotations

import ctypes
import socket
import struct

_IPV4, _IPV6 = 0x0800, 0x86DD
"""Protocols of Ethernet frames, which is what packet sockets tell apart."""

_ATTACH_FILTER = 26
_LOAD_BYTE, _LOAD_WORD, _LOAD_BYTE_AFTER, _LOAD_WORD_AFTER = 0x30, 0x20, 0x50, 0x40
_SKIP_HEADER, _IF_EQUAL, _IF_ANY_BIT, _RETURN = 0xB1, 0x15, 0x45, 0x06
_TCP, _RESET = 6, 0x04
_NUMBER_AT, _FLAGS_AT = 4, 13
_IPV6_HEADER = 40
_KEPT = 64
"""Bytes of a packet that are kept: both headers as far as the ports."""


def watch() -> tuple[socket.socket, socket.socket]:
    """Sockets that receive a packet for each refusal on `lo`, of IPv4 and of IPv6. Raises `OSError`."""
    return _watch(_IPV4, _filter_ipv4()), _watch(_IPV6, _filter_ipv6())


def port_of(packet: bytes) -> int:
    """The port that refused."""
    header = (packet[0] & 0xF) * 4 if packet[0] >> 4 == 4 else _IPV6_HEADER
    port: int = struct.unpack_from(">H", packet, header)[0]
    return port


def _watch(protocol: int, program: list[bytes]) -> socket.socket:
    # Of no protocol until it is bound, so that nothing comes in before the filter is there.
    watching = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
    steps = ctypes.create_string_buffer(b"".join(program))
    watching.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(steps)))
    watching.bind(("lo", protocol))
    return watching


def _filter_ipv4() -> list[bytes]:
    return [
        _step(_LOAD_BYTE, 9),
        _step(_IF_EQUAL, _TCP, 0, 6),
        _step(_SKIP_HEADER, 0),
        _step(_LOAD_BYTE_AFTER, _FLAGS_AT),
        _step(_IF_ANY_BIT, _RESET, 0, 3),
        _step(_LOAD_WORD_AFTER, _NUMBER_AT),
        _step(_IF_EQUAL, 0, 0, 1),
        _step(_RETURN, _KEPT),
        _step(_RETURN, 0),
    ]


def _filter_ipv6() -> list[bytes]:
    return [
        _step(_LOAD_BYTE, 6),
        _step(_IF_EQUAL, _TCP, 0, 5),
        _step(_LOAD_BYTE, _IPV6_HEADER + _FLAGS_AT),
        _step(_IF_ANY_BIT, _RESET, 0, 3),
        _step(_LOAD_WORD, _IPV6_HEADER + _NUMBER_AT),
        _step(_IF_EQUAL, 0, 0, 1),
        _step(_RETURN, _KEPT),
        _step(_RETURN, 0),
    ]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
