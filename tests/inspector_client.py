"""A client of V8's inspector protocol over a WebSocket of its own making (RFC 6455): enough to stop a function."""

import base64
import http.client
import json
import os
import socket
import struct
from types import TracebackType
from typing import Any

ANSWER_S = 60.0
_TEXT, _SHORT, _LONG = 0x81, 126, 127


class InspectorClient:
    """One connection to the first target that a Node process offers; use it as a context manager."""

    def __init__(self, port: int) -> None:
        target = targets(port)[0]["webSocketDebuggerUrl"]
        path = "/" + target.removeprefix("ws://").partition("/")[2]
        self._socket = socket.create_connection(("127.0.0.1", port), ANSWER_S)
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._buffer = b""
        while b"\r\n\r\n" not in self._buffer:
            self._read()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        self._number = 0
        self._events: list[dict[str, Any]] = []

    def attach(self, breakpoints: dict[str, list[int]]) -> None:
        """Let the code run, with breakpoints at these lines, counted from 1, of files as the function sees them."""
        self.ask("Runtime.enable")
        self.ask("Debugger.enable")
        for path, lines in breakpoints.items():
            for line in lines:
                self.ask("Debugger.setBreakpointByUrl", lineNumber=line - 1, url=f"file://{path}")
        self.ask("Runtime.runIfWaitingForDebugger")

    def stopped_in(self) -> int:
        """Wait until the code stops: the line."""
        number: int = self.event("Debugger.paused")["callFrames"][0]["location"]["lineNumber"]
        return number + 1

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._send(json.dumps({"id": self._number, "method": method, "params": parameters}).encode())
        while True:
            message = self._receive()
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._events.append(message)

    def event(self, method: str) -> dict[str, Any]:
        """Wait for the next event of this name."""
        while True:
            for event in self._events:
                if event.get("method") == method:
                    self._events.remove(event)
                    parameters: dict[str, Any] = event["params"]
                    return parameters
            self._events.append(self._receive())

    def __enter__(self) -> "InspectorClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def _send(self, text: bytes) -> None:
        """One masked frame; the mask is zero, which leaves the text as it is."""
        size = len(text)
        length = bytes([0x80 | size]) if size < _SHORT else bytes([0x80 | _SHORT]) + struct.pack("!H", size)
        self._socket.sendall(bytes([_TEXT]) + length + bytes(4) + text)

    def _receive(self) -> dict[str, Any]:
        kind, size = self._take(2)
        assert kind == _TEXT, kind
        if size == _SHORT:
            (size,) = struct.unpack("!H", self._take(2))
        elif size == _LONG:
            (size,) = struct.unpack("!Q", self._take(8))
        message: dict[str, Any] = json.loads(self._take(size))
        return message

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._read()
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _read(self) -> None:
        piece = self._socket.recv(65536)
        if not piece:
            raise ConnectionResetError("the inspector hung up")
        self._buffer += piece


def targets(port: int, **headers: str) -> list[dict[str, Any]]:
    """What a Node process offers to debug. Raises `OSError` and `HTTPException` where it is refused."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    try:
        connection.request(
            "GET", "/json/list", headers={name.replace("_", "-"): text for name, text in headers.items()}
        )
        found: list[dict[str, Any]] = json.loads(connection.getresponse().read())
        return found
    finally:
        connection.close()
