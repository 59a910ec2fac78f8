"""Closes what may take seconds to close, in a process that has nothing else to do.

Whoever closes the last descriptor of a disk waits until all that was written to it is on the disk below.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import NoReturn

from ondol.linux import process
from ondol.sandbox.jail import channel
from ondol.sandbox.jail.spawner.events import EventLoop

_PAUSE_S = 0.001
"""By then, whoever gave a descriptor away has closed its own."""


class Closer:
    """One such process, forked from this one, with which it ends."""

    def __init__(self) -> None:
        self._orders, theirs = channel.pair()
        if os.fork() == 0:
            _close_for_ever(theirs)
        theirs.close()
        self._orders.setblocking(False)

    def close(self, descriptor: int) -> None:
        """Have it closed, and wait for nothing, unless some hundred others are waited for already."""
        with contextlib.suppress(OSError):
            channel.send(self._orders, {}, (descriptor,))
        os.close(descriptor)


def _close_for_ever(orders: socket.socket) -> NoReturn:
    try:
        EventLoop.leave()
        process.set_name("ondol-closer")
        process.close_all_but(orders.fileno())
        while (received := channel.receive(orders)) is not None:
            time.sleep(_PAUSE_S)
            channel.close_all(received[1])
    finally:
        os._exit(0)
