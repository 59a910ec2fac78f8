"""A process of a simulated sandbox: what it does, phase by phase, and the HTTP that it speaks to its guest.

Only the loop's timers are used: see `simulated.py`.
"""

import asyncio
from collections.abc import Callable

import msgspec

from ondol.sandbox import memory_transport
from ondol.sandbox.driver import Exit, Guest


class Answer(msgspec.Struct, frozen=True):
    """The phase ends well; of an invocation, with this result, which may be larger than is allowed."""

    body: bytes = b"null"


class Raise(msgspec.Struct, frozen=True):
    """The function raises: an invocation is answered with an error, init is reported failed and the runtime ends."""

    error_type: str
    message: str


class Die(msgspec.Struct, frozen=True):
    """The runtime process ends without a word: a crash, `sys.exit`, out of memory."""

    exit: Exit


class Hang(msgspec.Struct, frozen=True):
    """The phase never ends by itself."""


class Phase(msgspec.Struct, frozen=True):
    """What a function does in its init or in one invocation."""

    ending: Answer | Raise | Die | Hang = Answer()
    duration_s: float = 0.0
    """Time that passes before the ending, while the sandbox is not frozen."""

    output: bytes = b""
    """Written to stdout just before the ending; by a phase that hangs, at once."""

    memory_bytes: int = 0
    cpu_time_ns: int = 0


class Process(asyncio.Protocol):
    """Acts out one phase after the other, while it is not frozen, and is a client of the APIs at 127.0.0.1:9001."""

    def __init__(self, guest: Guest, exited: Callable[[Exit], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._guest = guest
        self._exited = exited
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._left_s = 0.0
        self._phase = Phase()
        self._finish: Callable[[], None] = self.connect
        self._frozen = False
        self.alive = True
        self.memory_peak_bytes = 0
        self.cpu_time_ns = 0

    def begin(self, phase: Phase, finish: Callable[[], None]) -> None:
        """Act out a phase; `finish` is called at its end, unless that is the end of the process."""
        self._phase, self._finish = phase, finish
        self.memory_peak_bytes = max(self.memory_peak_bytes, phase.memory_bytes)
        if isinstance(phase.ending, Hang):
            self._write(phase.output)
        else:
            self._timer = self._loop.call_later(phase.duration_s, self._ended)

    def freeze(self) -> None:
        if self.alive and not self._frozen:
            self._frozen = True
            if self._timer is not None:
                self._left_s = max(0.0, self._timer.when() - self._loop.time())
                self._timer.cancel()
            if self._transport is not None:
                self._transport.pause_reading()

    def thaw(self) -> None:
        if self.alive and self._frozen:
            self._frozen = False
            if self._timer is not None:
                self._timer = self._loop.call_later(self._left_s, self._ended)
            if self._transport is not None:
                self._transport.resume_reading()

    def end(self, exit: Exit) -> None:
        """The process ends now, and with it its connection; the guest is told last."""
        if not self.alive:
            return
        self.alive = False
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._exited(exit)

    def connect(self) -> None:
        memory_transport.connect(self._loop, self, self._guest.connected())

    def send(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def heard(self, headers: dict[str, str], body: bytes) -> None:
        """One whole response; names of fields are in lower case."""
        raise NotImplementedError

    def _ended(self) -> None:
        self._timer = None
        self.cpu_time_ns += self._phase.cpu_time_ns
        self._write(self._phase.output)
        if isinstance(self._phase.ending, Die):
            self.end(self._phase.ending.exit)
        else:
            self._finish()

    def _write(self, output: bytes) -> None:
        if output:
            self._guest.output(output)

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received.clear()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self.alive and (head_end := self._received.find(b"\r\n\r\n")) >= 0:
            lines = self._received[:head_end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            body_end = head_end + 4 + int(headers.get("content-length", 0))
            if len(self._received) < body_end:
                return
            body = bytes(self._received[head_end + 4 : body_end])
            del self._received[:body_end]
            self.heard(headers, body)


def request(method: str, path: str, body: bytes = b"", **fields: str) -> bytes:
    """One request, as bytes; underscores in the names of fields stand for hyphens."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1:9001"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    if method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
