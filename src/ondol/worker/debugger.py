"""The door through which a debugger on this machine reaches the runtime in one sandbox.

```
 debugger ──▶ 127.0.0.1:PORT (the platform) ──▶ 127.0.0.1:9229 (in the sandbox, where the runtime listens)
```

It decides who is let in, and when the environment's time stands still: during its init, which waits for a debugger,
and while one is there. It carries bytes and understands none beyond the first words of a connection. A web page can
connect to a port of this machine too, and what it sends as HTTP a lenient debugger might take for its own protocol; so
whoever does not begin as a debugger does is cut off.
"""

import asyncio
import contextlib
from enum import Enum
from typing import Protocol

from msgspec.structs import replace

from ondol.background import Background
from ondol.model.errors import Outcome, PlatformError
from ondol.model.network import is_our_name
from ondol.model.runtime import Runtime
from ondol.sandbox.driver import Sandbox, StartSpec
from ondol.sandbox.errors import SandboxError
from ondol.worker.api import DebugObserver

INSIDE = ("127.0.0.1", 9229)
"""Where the runtime's side of a debugger listens, in its sandbox."""

VARIABLE = "ONDOL_DEBUGGER"
"""Of the runtime's environment, until our bootstrap has read it: where to listen for a debugger."""

ROOM_MB = 256
"""What a debugger may take beside the memory of the function; and it has a processor, whatever the function has."""

FIRST_WORDS_S = 10.0
CONNECT_S = 60.0
"""So long a debugger that came early waits for the runtime to listen."""

GOODBYE_S = 2.0
"""How long it may take a runtime to hear that its debugger has gone."""

_CONNECT_RETRY_S = 0.02
_PIECE = 65_536
_DAP_BEGINS = b"Content-Length:"
_DISCONNECT = b'{"seq":1,"type":"request","command":"disconnect","arguments":{"terminateDebuggee":false}}'
_GOODBYE = b"Content-Length: %d\r\n\r\n%b" % (len(_DISCONNECT), _DISCONNECT)
_DEVTOOLS = "devtools://"
"""The origin of the pages that a browser brings for debugging."""


class DebugProtocol(Enum):
    """What a runtime's debugger speaks, and the port at which its tools look for it."""

    DAP = 5678
    """The Debug Adapter Protocol: debugpy."""

    INSPECTOR = 9229
    """V8's, over HTTP and WebSockets: Node."""


def require_protocol(runtime: Runtime) -> DebugProtocol:
    """What our own bootstraps offer. Raises `PlatformError` where others run."""
    if runtime.bootstrap_dir is not None and runtime.name.startswith("python"):
        return DebugProtocol.DAP
    if runtime.bootstrap_dir is not None and runtime.name.startswith("nodejs"):
        return DebugProtocol.INSPECTOR
    raise PlatformError(
        "a debugger can be attached to functions in Python and Node.js that run on an interpreter of this machine, "
        f"and {runtime.name} is something else",
        Outcome.NOT_STARTED,
    )


def debuggable(spec: StartSpec) -> StartSpec:
    """The same, told to wait for a debugger, and with room for it beside the function's."""
    return replace(
        spec,
        environment={**spec.environment, VARIABLE: f"{INSIDE[0]}:{INSIDE[1]}"},
        memory_mb=spec.memory_mb + ROOM_MB,
        cpu_share=max(spec.cpu_share, 1.0),
    )


class Debugged(Protocol):
    """The environment behind a door."""

    def suspend_time(self) -> None: ...

    def resume_time(self) -> None: ...


class DebuggerDoor:
    """`open` it, then `lead_to` an environment before that starts; `close` in any case."""

    def __init__(self, protocol: DebugProtocol, observer: DebugObserver) -> None:
        self.protocol = protocol
        self._observer = observer
        self._server: asyncio.Server | None = None
        self._connections = Background("carrying a debugger's bytes")
        self._environment: Debugged | None = None
        self._sandbox: Sandbox | None = None
        self._attached = 0
        self._holding = 0
        """Reasons for which time stands still."""

        self._initializing = False

    @property
    def unwanted(self) -> bool:
        """Nobody waits for it any more."""
        return self._observer.gone

    async def open(self, port: int | None) -> None:
        """Listen on loopback: at this port (0: any free one), or at the protocol's own if that is free.

        Raises `OSError` if the port is taken.
        """
        if port is None:
            try:
                self._server = await self._listen(self.protocol.value)
                return
            except OSError:
                port = 0
        self._server = await self._listen(port)

    async def _listen(self, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._connected, "127.0.0.1", port, limit=_PIECE)

    def lead_to(self, environment: Debugged, sandbox: Sandbox) -> None:
        """From now on debuggers get there, and its time stands still until `initialized`."""
        self._environment = environment
        self._sandbox = sandbox
        self._initializing = True
        self._hold()
        assert self._server is not None
        self._observer.listening(self.protocol.name.lower(), self._server.sockets[0].getsockname()[1])

    def initialized(self) -> None:
        """Its init is over, however it went."""
        if self._initializing:
            self._initializing = False
            self._release()

    def close(self) -> None:
        """No debugger gets there any more; those that are there are cut off, and what they have stopped goes on."""
        if self._server is not None:
            self._server.close()
        self._connections.cancel()
        self.initialized()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.spawn(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            begun = await _first_words(reader, self.protocol)
            if begun is not None and self._environment is not None:
                await self._join(begun, reader, writer)
        except (OSError, EOFError, asyncio.LimitOverrunError, TimeoutError, SandboxError):
            pass  # one of the two sides is away: the other is told by the cut
        finally:
            writer.close()

    async def _join(self, begun: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._hold()
        attaches = self.protocol is DebugProtocol.DAP or b"\r\nupgrade: websocket" in begun.lower()
        try:
            async with asyncio.timeout(CONNECT_S):
                inner_reader, inner_writer = await self._enter()
            inner_writer.write(begun)
            if attaches:
                self._come()
            try:
                await _carry_both(reader, writer, inner_reader, inner_writer)
            finally:
                inner_writer.close()
                if attaches:
                    await self._say_goodbye()
                    self._leave()
        finally:
            self._release()

    async def _enter(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the runtime's side, as soon as that listens."""
        assert self._sandbox is not None
        loop = asyncio.get_running_loop()
        while True:
            made = await self._sandbox.reach()
            try:
                await loop.sock_connect(made, INSIDE)
                return await asyncio.open_connection(sock=made, limit=_PIECE)
            except ConnectionRefusedError:
                made.close()
                await asyncio.sleep(_CONNECT_RETRY_S)
            except BaseException:
                made.close()
                raise

    async def _say_goodbye(self) -> None:
        """For a debugger that was cut off: debugpy does not let the code go on unless it is told to; Node does."""
        if self.protocol is not DebugProtocol.DAP or self._attached > 1:
            return  # to debugpy one that came later has taken the place of this one
        with contextlib.suppress(OSError, TimeoutError, SandboxError):
            async with asyncio.timeout(GOODBYE_S):
                reader, writer = await self._enter()
                writer.write(_GOODBYE)
                await reader.read(_PIECE)
                writer.close()

    def _come(self) -> None:
        self._attached += 1
        if self._attached == 1:
            self._observer.attached()

    def _leave(self) -> None:
        self._attached -= 1
        if self._attached == 0:
            self._observer.detached()

    def _hold(self) -> None:
        self._holding += 1
        if self._holding == 1 and self._environment is not None:
            self._environment.suspend_time()

    def _release(self) -> None:
        self._holding -= 1
        if self._holding == 0 and self._environment is not None:
            self._environment.resume_time()


async def _first_words(reader: asyncio.StreamReader, protocol: DebugProtocol) -> bytes | None:
    """What a connection begins with, if a debugger begins so; None if not. Raises `EOFError`, `TimeoutError`."""
    async with asyncio.timeout(FIRST_WORDS_S):
        if protocol is DebugProtocol.DAP:
            begun = await reader.readexactly(len(_DAP_BEGINS))
            return begun if begun.lower() == _DAP_BEGINS.lower() else None
        head = await reader.readuntil(b"\r\n\r\n")
    return head if is_from_a_tool(head) else None


def is_from_a_tool(head: bytes) -> bool:
    """Whether this head of an HTTP request is not a web page's, nor for another machine's name (DNS rebinding)."""
    lines = head.decode("latin-1").split("\r\n")[1:]
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    origin = fields.get("origin", _DEVTOOLS)
    fetched = fields.get("sec-fetch-site", "none")
    return origin.startswith(_DEVTOOLS) and fetched == "none" and is_our_name(fields.get("host", ""))


async def _carry_both(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    inner_reader: asyncio.StreamReader,
    inner_writer: asyncio.StreamWriter,
) -> None:
    """Carry bytes both ways until one side ends: neither protocol has a use for half a connection."""
    carrying = [
        asyncio.ensure_future(_carry(reader, inner_writer)),
        asyncio.ensure_future(_carry(inner_reader, writer)),
    ]
    try:
        await asyncio.wait(carrying, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()
