"""Netlink: messages of nested attributes to a part of the kernel, and its word on each (netlink(7))."""

from __future__ import annotations

import os
import socket
import struct
from typing import NamedTuple

ROUTE, NETFILTER = 0, 12
"""Parts of the kernel to speak to."""

ACKNOWLEDGE, CREATE, EXCLUSIVE, APPEND = 0x4, 0x400, 0x200, 0x800

_REQUEST = 0x1
_DUMP = 0x300
_ERROR, _DONE = 2, 3
_NESTED = 0x8000
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_BUFFER_BYTES = 65_536
_CAP_ACK = 10  # NETLINK_CAP_ACK: refusals without the message that they refuse
_SOL_NETLINK = 270


class Message(NamedTuple):
    """One order; `what` says in words what it is to do, for the error if it cannot be done."""

    what: str
    kind: int
    flags: int
    body: bytes


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    size = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + bytes(-size % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute made of others."""
    return attribute(kind | _NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def attributes_of(data: bytes) -> dict[int, bytes]:
    """Attributes by kind, as they came."""
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(data)
        found[kind & ~_NESTED] = data[_ATTRIBUTE.size : size]
        data = data[max(size + 3 & ~3, _ATTRIBUTE.size) :]
    return found


class NetlinkSocket:
    """Speaks to one part of the kernel, in the network namespace in which it was made, for as long as it lives."""

    def __init__(self, part: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, part)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._number = 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def perform(self, *messages: Message) -> None:
        """Send orders together and hear what became of them. Raises `OSError` for the first that was refused."""
        first = self._number + 1
        packet = b""
        for message in messages:
            self._number += 1
            flags = message.flags | _REQUEST
            size = _HEADER.size + len(message.body)
            packet += _HEADER.pack(size, message.kind, flags, self._number, 0) + message.body + bytes(-size % 4)
        self._socket.sendto(packet, (0, 0))
        awaited = {first + index for index, message in enumerate(messages) if message.flags & ACKNOWLEDGE}
        refused: dict[int, int] = {}
        while awaited - refused.keys():
            for number, error in self._heard():
                if error == 0:
                    awaited.discard(number)
                else:
                    # The kernel need not say anything of what follows in a batch.
                    refused[number] = error
                    awaited = {each for each in awaited if each <= number}
        if refused:
            number = min(refused)
            raise OSError(refused[number], f"{messages[number - first].what}: {os.strerror(refused[number])}")

    def ask(self, what: str, kind: int, body: bytes) -> list[bytes]:
        """The bodies of all that the kernel has of this kind. Raises `OSError`."""
        self._number += 1
        self._socket.sendto(
            _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _DUMP, self._number, 0) + body, (0, 0)
        )
        bodies: list[bytes] = []
        while True:
            data = self._socket.recv(_BUFFER_BYTES)
            while data:
                size, answer, _, _, _ = _HEADER.unpack_from(data)
                if answer == _DONE:
                    return bodies
                if answer == _ERROR:
                    error = -struct.unpack_from("=i", data, _HEADER.size)[0]
                    raise OSError(error, f"{what}: {os.strerror(error)}")
                bodies.append(data[_HEADER.size : size])
                data = data[(size + 3) & ~3 :]

    def _heard(self) -> list[tuple[int, int]]:
        data = self._socket.recv(_BUFFER_BYTES)
        heard = []
        while data:
            size, kind, _, number, _ = _HEADER.unpack_from(data)
            if kind == _ERROR:
                heard.append((number, -struct.unpack_from("=i", data, _HEADER.size)[0]))
            data = data[(size + 3) & ~3 :]
        return heard
