"""A guest that serves the Runtime and Extensions APIs in the fewest words, and remembers what it saw."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

from ondol.sandbox.driver import Exit


class Posted(NamedTuple):
    """What a runtime posted: `response` or `error` of an invocation, or `init/error`."""

    what: str
    body: bytes


class Probe:
    """The guest of one sandbox. What it waits for, it waits for at most `PATIENCE_S`."""

    PATIENCE_S = 30.0

    def __init__(self) -> None:
        self.written = bytearray()
        self.exits: list[Exit] = []
        self.written_at_exit = b""
        self._exited = asyncio.Event()
        self._changed = asyncio.Event()
        self._waiting: list[asyncio.Transport] = []
        self._posted: list[Posted] = []
        self._calls = 0
        self.extensions: list[str] = []
        self.refused: list[tuple[str, str]] = []
        self.extension_exits: dict[str, Exit] = {}
        self.registered: dict[str, list[str]] = {}
        """The events that extensions asked for; the identifiers of the probe's making are their names."""

        self._idle: dict[str, asyncio.Transport] = {}

    # Guest

    def extensions_found(self, names: Sequence[str]) -> None:
        self.extensions = list(names)
        self._changed.set()

    def extension_refused(self, name: str, reason: str) -> None:
        self.refused.append((name, reason))
        self._changed.set()

    def extension_exited(self, name: str, exit: Exit) -> None:
        self.extension_exits[name] = exit
        self._changed.set()

    def connected(self) -> asyncio.Protocol:
        return _Connection(self)

    def output(self, data: bytes) -> None:
        assert not self.exits or self.extensions, "output came after the exit"
        self.written += data
        self._changed.set()

    def exited(self, exit: Exit) -> None:
        self.written_at_exit = bytes(self.written)
        self.exits.append(exit)
        self._exited.set()
        self._changed.set()

    # From connections

    def extension_registers(self, name: str, events: list[str]) -> None:
        self.registered[name] = events
        self._changed.set()

    def extension_asked(self, name: str, transport: asyncio.Transport) -> None:
        self._idle[name] = transport
        self._changed.set()

    def asked(self, transport: asyncio.Transport) -> None:
        self._waiting.append(transport)
        self._changed.set()

    def posted(self, posted: Posted) -> None:
        self._posted.append(posted)
        self._changed.set()

    # For tests

    async def ready(self) -> None:
        """Wait until the runtime asks for an invocation."""
        await self.until(lambda: bool(self._waiting))

    def send(self, event: bytes) -> None:
        """Give the runtime that waits an invocation."""
        self._calls += 1
        fields = {
            "Content-Type": "application/json",
            "Content-Length": len(event),
            "Lambda-Runtime-Aws-Request-Id": f"00000000-0000-4000-8000-{self._calls:012}",
            "Lambda-Runtime-Deadline-Ms": 4_000_000_000_000,
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:000000000000:function:f",
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._waiting.pop().write(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + event)

    async def answer(self) -> Posted:
        """Wait for what the runtime posts next."""
        await self.until(lambda: bool(self._posted))
        return self._posted.pop(0)

    async def call(self, event: bytes = b"{}") -> Posted:
        await self.ready()
        self.send(event)
        return await self.answer()

    async def extension_waits(self, name: str) -> None:
        """Wait until this extension asks for an event."""
        await self.until(lambda: name in self._idle)

    def tell(self, name: str, event: str) -> None:
        """Give an extension that waits an event."""
        body = json.dumps({"eventType": event}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._idle.pop(name).write(head.encode() + body)

    async def said(self, text: bytes) -> None:
        """Wait until the runtime has written this."""
        await self.until(lambda: text in self.written)

    async def exit(self) -> Exit:
        async with asyncio.timeout(self.PATIENCE_S):
            await self._exited.wait()
        return self.exits[0]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(self.PATIENCE_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


class _Connection(asyncio.Protocol):
    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # What a driver connects has the interface, perhaps without the class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            line, *fields = self._received[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
            body_end = end + 4 + int(headers.get("content-length", 0))
            if len(self._received) < body_end:
                return
            body = bytes(self._received[end + 4 : body_end])
            del self._received[:body_end]
            if "/2020-01-01/extension/" in line:
                self._extension(line, headers, body)
            else:
                self._request(line, body)

    def _extension(self, line: str, headers: dict[str, str], body: bytes) -> None:
        if line.startswith("GET"):
            self._probe.extension_asked(headers["lambda-extension-identifier"], self._transport)
        else:
            name = headers["lambda-extension-name"]
            self._probe.extension_registers(name, json.loads(body)["events"])
            fields = f"Lambda-Extension-Identifier: {name}\r\nContent-Length: 2\r\n"
            self._transport.write(f"HTTP/1.1 200 OK\r\n{fields}\r\n{{}}".encode())

    def _request(self, line: str, body: bytes) -> None:
        method, path, _ = line.split(" ")
        if method == "GET":
            assert path == "/2018-06-01/runtime/invocation/next"
            self._probe.asked(self._transport)
        else:
            parts = path.split("/")
            self._probe.posted(Posted("init/error" if parts[3] == "init" else parts[-1], body))
            self._transport.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
