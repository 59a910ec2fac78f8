"""Two pipes as one connection: how ondol's own runtime, forked into a sandbox, and the platform speak to each other.

On either side half of what a connection over TCP costs. A local socket would cost less than that too, but it carries
descriptors: whoever reads has to close what a stranger sent, which can take as long as the stranger wants
(`SO_LINGER`, socket(7)).
"""

import asyncio
import os
from typing import IO, Any, cast

Ends = tuple[int, int]
"""The descriptors of one side: to read from, and to write to."""


class PipePair:
    """A transport. The protocol hears that it is lost when nothing more can be read; what cannot be written any more
    is dropped until then, for what the other side said before it ended is to be read."""

    def __init__(self, protocol: asyncio.Protocol, reading: asyncio.Transport, writing: asyncio.Transport) -> None:
        self._protocol = protocol
        self._reading = reading
        self._writing = writing
        self._paused = False
        self._unread = False
        """Nobody is at the other end of what is written."""

        # Called for each invocation: no function of ours stands between.
        self.write = writing.write
        self.is_closing = reading.is_closing
        self.pause_reading = reading.pause_reading
        self.resume_reading = reading.resume_reading
        self.get_write_buffer_size = writing.get_write_buffer_size
        if writing.is_closing():
            self.writing_lost()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Nothing is known of who is at the other end."""
        return default

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Nothing more follows what was written."""
        self._writing.close()

    def close(self) -> None:
        """Read no more, and write what waits to be written."""
        self._reading.close()
        self._writing.close()

    def abort(self) -> None:
        self._reading.close()
        if not self._unread:
            self._writing.abort()

    # From its halves

    def writing_paused(self) -> None:
        self._paused = True
        self._protocol.pause_writing()

    def writing_resumed(self) -> None:
        self._paused = False
        self._protocol.resume_writing()

    def writing_lost(self) -> None:
        self._unread = True
        self.write = _drop
        self.get_write_buffer_size = _nothing
        if self._paused:
            self.writing_resumed()

    def reading_lost(self, error: Exception | None) -> None:
        self._writing.close()
        self._protocol.connection_lost(error)


def _drop(data: Any) -> None:
    """Nobody reads it."""


def _nothing() -> int:
    return 0


class End:
    """A descriptor as a loop takes it.

    asyncio closes this, and so the descriptor. uvloop closes the descriptor, and then this: by then the number may be
    that of a file which another thread has opened.
    """

    def __init__(self, descriptor: int, loop: asyncio.AbstractEventLoop) -> None:
        self._descriptor = descriptor
        self._ours_to_close = isinstance(loop, asyncio.BaseEventLoop)

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        if self._ours_to_close:
            self._ours_to_close = False
            os.close(self._descriptor)


class _Writing(asyncio.Protocol):
    """The half that is there first."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.pair: PipePair | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the interface without the class.
        self.transport = cast(asyncio.Transport, transport)

    def pause_writing(self) -> None:
        if self.pair is not None:
            self.pair.writing_paused()

    def resume_writing(self) -> None:
        if self.pair is not None:
            self.pair.writing_resumed()

    def connection_lost(self, error: Exception | None) -> None:
        if self.pair is not None:
            self.pair.writing_lost()


class _Reading(asyncio.BaseProtocol):
    """The half that makes the pair, before there is anything to read."""

    def __init__(self, protocol: asyncio.Protocol, writing: _Writing) -> None:
        self._protocol = protocol
        self._writing = writing
        self.pair: PipePair
        self.data_received = protocol.data_received
        self.eof_received = protocol.eof_received

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.pair = self._writing.pair = PipePair(
            self._protocol, cast(asyncio.Transport, transport), self._writing.transport
        )
        self._protocol.connection_made(cast(asyncio.Transport, self.pair))

    def connection_lost(self, error: Exception | None) -> None:
        self.pair.reading_lost(error)


async def connect(protocol: asyncio.Protocol, ends: Ends) -> PipePair:
    """Have the protocol serve the other side of these pipes, which are the pair's from now on."""
    loop = asyncio.get_running_loop()
    writing = _Writing()
    reading = _Reading(protocol, writing)
    # Neither loop looks for more in what it calls a file.
    await loop.connect_write_pipe(lambda: writing, cast(IO[bytes], End(ends[1], loop)))
    await loop.connect_read_pipe(lambda: reading, cast(IO[bytes], End(ends[0], loop)))
    return reading.pair
