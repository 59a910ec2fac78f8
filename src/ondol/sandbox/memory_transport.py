"""A connection inside one process: two asyncio transports, what is written to one is received from the other.

Only the loop's `call_soon` is used, so it works on a loop whose time is not real. Flow control is that of a socket: a
reader that pauses makes the writer's buffer grow, and the writer is told to pause above the high-water mark.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

HIGH_WATER_BYTES = 65_536
LOW_WATER_BYTES = 16_384


class MemoryTransport(asyncio.Transport):
    """One end. Made by `connect`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol, extra: dict[str, Any]) -> None:
        super().__init__(extra)
        self._loop = loop
        self._protocol = protocol
        self._peer: MemoryTransport
        self._unread: deque[bytes] = deque()
        self._unread_bytes = 0
        self._reading = True
        self._delivering = False
        self._ended_by_peer = False
        self._sent_end = False
        self._writer_paused = False
        self._closing = False
        self._lost = False

    # Writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._sent_end:
            raise RuntimeError("write after write_eof")
        if self._closing or not data:
            return
        peer = self._peer
        peer._unread.append(bytes(data))
        peer._unread_bytes += len(data)
        peer._deliver_soon()
        if peer._unread_bytes > HIGH_WATER_BYTES and not self._writer_paused:
            self._writer_paused = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._sent_end and not self._closing:
            self._sent_end = True
            self._peer._ended_by_peer = True
            self._peer._deliver_soon()

    def get_write_buffer_size(self) -> int:
        return self._peer._unread_bytes

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return LOW_WATER_BYTES, HIGH_WATER_BYTES

    # Reading

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._deliver_soon()

    def _deliver_soon(self) -> None:
        if not self._delivering and self._reading:
            self._delivering = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._delivering = False
        while self._unread and self._reading and not self._closing:
            data = self._unread.popleft()
            self._unread_bytes -= len(data)
            self._protocol.data_received(data)
            self._peer._drained(self._unread_bytes)
        if self._ended_by_peer and self._reading and not self._unread and not self._closing:
            self._ended_by_peer = False
            if not self._protocol.eof_received():
                self.close()

    def _drained(self, left: int) -> None:
        if self._writer_paused and left <= LOW_WATER_BYTES and not self._lost:
            self._writer_paused = False
            self._protocol.resume_writing()

    # The end

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """What was written is still received by the other end; then both are told."""
        if not self._closing:
            self._closing = True
            self._lose_soon(None)
            self._peer._ended_by_peer = True
            self._peer._deliver_soon()

    def abort(self) -> None:
        """Both ends are told at once; what was under way is lost."""
        if not self._lost:
            self._closing = True
            self._lose_soon(None)
            self._peer._reset()

    def _reset(self) -> None:
        if not self._closing:
            self._closing = True
            self._unread.clear()
            self._lose_soon(ConnectionResetError("the other end is gone"))

    def _lose_soon(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._loop.call_soon(self._protocol.connection_lost, error)


def connect(loop: asyncio.AbstractEventLoop, client: asyncio.Protocol, server: asyncio.Protocol) -> None:
    """Join two protocols; both have had `connection_made` when this returns, the server's first."""
    near = MemoryTransport(loop, client, {"sockname": ("127.0.0.1", 50_000), "peername": ("127.0.0.1", 9001)})
    far = MemoryTransport(loop, server, {"sockname": ("127.0.0.1", 9001), "peername": ("127.0.0.1", 50_000)})
    near._peer, far._peer = far, near
    server.connection_made(far)
    client.connection_made(near)
