"""Messages between the parts of a jail: one JSON object and some descriptors in one packet of a local socket.

The sender is always the more trusted or the more exposed side of a wall, so nothing is read that could run code.
"""

from __future__ import annotations

import array
import json
import os
import socket
from collections.abc import Iterable
from typing import Any

MAX_BYTES = 128 * 1024
"""Of one message; an environment has 4 KB of the function's own variables (AWS) and a little more."""

MAX_DESCRIPTORS = 64
_DESCRIPTOR_BYTES = array.array("i").itemsize


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends that keep the boundaries of messages."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(end: socket.socket, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
    """Send one message. Raises `OSError`: the other side is gone, or a non-blocking end is full."""
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    end.sendmsg([json.dumps(message).encode()], ancillary)


def receive(end: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next message and the descriptors that came with it, or None when the other side is gone."""
    room = socket.CMSG_SPACE(MAX_DESCRIPTORS * _DESCRIPTOR_BYTES)
    try:
        data, ancillary, _, _ = end.recvmsg(MAX_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        return None
    if not data:
        return None
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(content[: len(content) - len(content) % _DESCRIPTOR_BYTES])
    message: dict[str, Any] = json.loads(data)
    return message, descriptors.tolist()


def close_all(descriptors: Iterable[int]) -> None:
    """Close what came with a message, or what was sent with one."""
    for descriptor in descriptors:
        os.close(descriptor)
