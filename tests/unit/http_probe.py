"""What the tests of `ondol.http` share: a server on loopback with short times, and a client that sends raw bytes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from ondol.http import Handler, HttpCommons, HttpLimits, Request, Response, Server
from ondol.model.time import Instant, WallTime


class MonotonicClock:
    def now(self) -> Instant:
        return Instant(time.monotonic_ns())

    def wall(self) -> WallTime:
        return WallTime(time.time_ns() // 1_000_000)


def _within_seconds(run: Callable[[Coroutine[Any, Any, None]], None]) -> Callable[[Coroutine[Any, Any, None]], None]:
    async def bounded(scenario: Coroutine[Any, Any, None]) -> None:
        async with asyncio.timeout(20):
            await scenario

    return lambda scenario: run(bounded(scenario))


on_both_loops = pytest.mark.parametrize(
    "run", [_within_seconds(asyncio.run), _within_seconds(uvloop.run)], ids=["asyncio", "uvloop"]
)


class Reply:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, dict[str, str]]:
        text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = text[:-4].split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, "a repeated field"
            headers[name.lower()] = value
        return int(status_line.split(" ")[1]), headers

    async def chunk(self) -> bytes:
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        data = await self.reader.readexactly(size + 2)
        assert data.endswith(b"\r\n")
        return data[:-2]

    async def reply(self, to_head: bool = False) -> Reply:
        status, headers = await self.head()
        body = b""
        if to_head or status in {204, 304}:
            pass
        elif "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            while piece := await self.chunk():
                body += piece
        else:
            body = await self.reader.read()
        return Reply(status, headers, body)

    async def at_end(self) -> bool:
        """Wait for the server to close; true if it sent nothing more, and said so by closing rather than by reset."""
        return await self.reader.read() == b""

    async def was_cut(self) -> bool:
        """Wait for the server to close, by reset or not; true if it sent nothing more."""
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return


class Serving:
    """A running server and what reached its loop's exception handler."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self.port = port
        self.errors: list[BaseException | str] = []
        self._clients: list[Client] = []

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20))
        self._clients.append(client)
        return client

    async def ask(self, data: bytes) -> Reply:
        client = await self.connect()
        client.send(data)
        return await client.reply()

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        await self.server.drain(5)


@asynccontextmanager
async def serving(handler: Handler, sweep_s: float = 0.02, errors: int = 0, **limits: Any) -> AsyncIterator[Serving]:
    """Serve on a free port of loopback; at the end, exactly `errors` exceptions must have been reported."""
    server = Server(handler, HttpLimits(**limits), HttpCommons(MonotonicClock(), sweep_s))
    [(_, port)] = await server.listen("127.0.0.1", 0)
    running = Serving(server, port)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: running.errors.append(context.get("exception") or context["message"]))
    try:
        yield running
    finally:
        await running.close()
    assert len(running.errors) == errors, running.errors


def echo(request: Request, response: Response) -> object:
    """Answers with the body that came; at once if it is here."""
    body = request.body.whole
    if body is not None:
        response.send(200, (), body)
        return None
    return _echo_later(request, response)


async def _echo_later(request: Request, response: Response) -> None:
    response.send(200, (), await request.body.read())


def post(body: bytes, fields: str = "", path: str = "/") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body


def get(path: str = "/", fields: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n".encode()
