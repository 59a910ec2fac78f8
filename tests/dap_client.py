"""A client of the Debug Adapter Protocol, as an editor is one: just enough to stop a function and let it go on.

The protocol: https://microsoft.github.io/debug-adapter-protocol/specification
"""

import json
import socket
from types import TracebackType
from typing import Any

ANSWER_S = 60.0


class DapClient:
    """One connection to a debugger that is attached to; use it as a context manager."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), ANSWER_S)
        self._buffer = b""
        self._number = 0
        self._events: list[dict[str, Any]] = []
        self._answers: dict[int, dict[str, Any]] = {}

    def attach(self, breakpoints: dict[str, list[int]]) -> None:
        """Attach, with breakpoints at these lines of files as the function sees them."""
        self.ask("initialize", adapterID="test", pathFormat="path", linesStartAt1=True, columnsStartAt1=True)
        attaching = self._send("attach", {"justMyCode": False})
        self.event("initialized")
        for path, lines in breakpoints.items():
            points = [{"line": line} for line in lines]
            told = self.ask("setBreakpoints", source={"path": path}, breakpoints=points)
            assert all(point["verified"] for point in told["breakpoints"]), told
        self.ask("configurationDone")
        self._answer(attaching)

    def go_on(self, thread: int) -> None:
        """Let a thread that has stopped go on; nothing is waited for."""
        self._send("continue", {"threadId": thread})

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for its answer's body."""
        return self._answer(self._send(command, arguments))

    def event(self, name: str) -> dict[str, Any]:
        """Wait for the next event of this name; its body."""
        while True:
            for event in self._events:
                if event["event"] == name:
                    self._events.remove(event)
                    body: dict[str, Any] = event.get("body", {})
                    return body
            self._take(self._receive())

    def stopped_in(self) -> tuple[str, int, int]:
        """Wait until the code stops: function, line and thread."""
        thread = self.event("stopped")["threadId"]
        frame = self.ask("stackTrace", threadId=thread)["stackFrames"][0]
        return frame["name"], frame["line"], thread

    def __enter__(self) -> "DapClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def _send(self, command: str, arguments: dict[str, Any]) -> int:
        self._number += 1
        body = {"seq": self._number, "type": "request", "command": command, "arguments": arguments}
        content = json.dumps(body).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(content), content))
        return self._number

    def _answer(self, number: int) -> dict[str, Any]:
        while number not in self._answers:
            self._take(self._receive())
        message = self._answers.pop(number)
        assert message["success"], message
        body: dict[str, Any] = message.get("body") or {}
        return body

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "event":
            self._events.append(message)
        elif message["type"] == "response":
            self._answers[message["request_seq"]] = message

    def _receive(self) -> dict[str, Any]:
        head, content = self._until(b"\r\n\r\n"), b""
        length = int(head.removeprefix(b"Content-Length:"))
        while len(self._buffer) < length:
            self._read()
        content, self._buffer = self._buffer[:length], self._buffer[length:]
        message: dict[str, Any] = json.loads(content)
        return message

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._read()
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _read(self) -> None:
        piece = self._socket.recv(65536)
        if not piece:
            raise ConnectionResetError("the debugger hung up")
        self._buffer += piece
