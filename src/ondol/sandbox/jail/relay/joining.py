"""Joins a connection out of a sandbox to a server: carries bytes both ways, and knows nothing of them."""

import asyncio
import socket
import ssl
from functools import cache

from ondol.model.network import Relayed

PIECE = 65_536
CONNECT_S = 5.0


async def join(connection: socket.socket, target: Relayed) -> None:
    """Carry bytes until both sides have ended, or one is cut; the connection is closed then."""
    reader, writer = await asyncio.open_connection(sock=connection, limit=PIECE)
    try:
        async with asyncio.timeout(CONNECT_S):
            target_reader, target_writer = await asyncio.open_connection(
                target.host, target.port, ssl=_tls() if target.tls else None, limit=PIECE
            )
    except (OSError, TimeoutError):
        writer.transport.abort()  # as refused as a connection can be once it was accepted
        return
    try:
        await asyncio.gather(_carry(reader, target_writer), _carry(target_reader, writer))
    except OSError:
        pass
    finally:
        writer.transport.abort()
        target_writer.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, no faster than it is taken, and then the end."""
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
    else:
        writer.close()  # TLS has no half of an end


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
