"""HTTP/1.1 to the platform over one kept-alive connection, written for few system calls.

The answer to an invocation and the request for the next one leave in one send, so a warm invocation costs one send and
one or two receives. It knows nothing of handlers or JSON.
"""

from __future__ import annotations

import os
import socket
import sys
import time

RECEIVE_BYTES = 65536
JOIN_BYTES = 65536
"""Up to this size a body is copied behind its head, which is cheaper than a second system call."""


class Invocation:
    """One answer of `invocation/next`. Header texts are as sent; a header that was not sent is None."""

    __slots__ = (
        "body",
        "client_context",
        "cognito_identity",
        "content_type",
        "deadline_ms",
        "function_arn",
        "request_id",
        "tenant_id",
        "trace_id",
    )

    def __init__(self, headers: dict[str, str], body: bytes) -> None:
        get = headers.get
        self.request_id = headers["lambda-runtime-aws-request-id"]
        self.deadline_ms = int(get("lambda-runtime-deadline-ms") or 0)
        self.function_arn = get("lambda-runtime-invoked-function-arn", "")
        self.trace_id = get("lambda-runtime-trace-id")
        self.client_context = get("lambda-runtime-client-context")
        self.cognito_identity = get("lambda-runtime-cognito-identity")
        self.tenant_id = get("lambda-runtime-aws-tenant-id")
        self.content_type = get("content-type")
        self.body = body


class RuntimeApiError(Exception):
    """The platform refused a request, or its answer could not be read."""


class _Pipes:
    """A connection that was there before the function was known: what comes and what goes, a pipe each."""

    __slots__ = ("_coming", "_going")

    def __init__(self, coming: int, going: int) -> None:
        self._coming = coming
        self._going = going

    def recv(self, size: int) -> bytes:
        return os.read(self._coming, size)

    def recv_into(self, view: memoryview) -> int:
        return os.readv(self._coming, [view])

    def sendall(self, data: bytes) -> None:
        written = os.write(self._going, data)
        while written < len(data):
            # A signal came in between.
            written += os.write(self._going, data[written:])

    def close(self) -> None:
        os.close(self._coming)
        os.close(self._going)


class RuntimeApi:
    """The runtime's side of the Runtime API at `address` ("host:port").

    It begins on `pipes`, the descriptors to read from and to write to, where there are any. Raises `OSError` when the
    platform is gone: the runtime has nobody to work for and ends.
    """

    def __init__(self, address: str, pipes: tuple[int, int] | None) -> None:
        host, _, port = address.rpartition(":")
        self._target = (host, int(port))
        self._fixed = f"Host: {address}\r\n"
        self._next = f"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n{self._fixed}\r\n".encode()
        self._buffer = b""
        self._accepted = b""
        """The head of the last acknowledgement, and its fields."""

        self._of_accepted: dict[str, str] = {}
        self._connection = _Pipes(*pipes) if pipes is not None else self._connect()

    def next(self) -> Invocation:
        """Wait for the first invocation."""
        self._connection.sendall(self._next)
        return self._read_next()

    def respond(self, request_id: str, body: bytes, content_type: str) -> Invocation:
        """Answer an invocation with its result, and wait for the next."""
        path = f"invocation/{request_id}/response"
        return self._answer(self._post(path, len(body), f"Content-Type: {content_type}\r\n"), body, "success")

    def fail(self, request_id: str, body: bytes, cause: bytes) -> Invocation:
        """Answer an invocation with an error; `cause` is X-Ray's view of it, empty where there is none."""
        headers = "Content-Type: application/json\r\n"
        if cause:
            headers += f"Lambda-Runtime-Function-XRay-Error-Cause: {cause.decode('ascii')}\r\n"
        return self._answer(self._post(f"invocation/{request_id}/error", len(body), headers), body, "failure")

    def fail_init(self, body: bytes, error_type: str) -> None:
        """Say that there is no function to invoke. Raises `RuntimeApiError` unless it is accepted."""
        headers = f"Lambda-Runtime-Function-Error-Type: {error_type}\r\n"
        self._connection.sendall(self._post("init/error", len(body), headers) + body)
        status, _, answer = self._read()
        if status != 202:
            raise RuntimeApiError(f"init error was answered {status}: {answer!r}")

    def _post(self, path: str, length: int, headers: str) -> bytes:
        head = f"POST /2018-06-01/runtime/{path} HTTP/1.1\r\n{self._fixed}{headers}Content-Length: {length}\r\n\r\n"
        return head.encode("ascii")

    def _answer(self, head: bytes, body: bytes, kind: str) -> Invocation:
        try:
            if len(body) <= JOIN_BYTES:
                self._connection.sendall(b"".join((head, body, self._next)))
            else:
                self._connection.sendall(head)
                self._connection.sendall(body)
                self._connection.sendall(self._next)
            status, headers, answer = self._read()
        except ConnectionError:
            # Refused half-way through a body: the answer may be lost with the connection.
            status, headers, answer = 0, {"connection": "close"}, b""
        if status != 202:
            now_ms = int(time.time() * 1000)
            shown = answer.decode("utf-8", "backslashreplace")
            reason = f"Http response code: {status}. {shown}" if status else "No Response from endpoint."
            sys.stderr.write(f"[ERROR] [{now_ms}] LAMBDA_RUNTIME Failed to post handler {kind} response. {reason}\n")
        if headers.get("connection", "").lower() == "close":
            self._reconnect()
            return self.next()
        return self._read_next()

    def _connect(self) -> socket.socket:
        made = socket.create_connection(self._target)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def _reconnect(self) -> None:
        self._connection.close()
        self._buffer = b""
        self._connection = self._connect()

    def _read_next(self) -> Invocation:
        status, headers, body = self._read()
        if status != 200:
            raise RuntimeApiError(f"invocation/next was answered {status}: {body!r}")
        return Invocation(headers, body)

    def _read(self) -> tuple[int, dict[str, str], bytes]:
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n")
        while end < 0:
            received = self._connection.recv(RECEIVE_BYTES)
            if not received:
                raise ConnectionResetError("the Runtime API closed the connection")
            buffer += received
            end = buffer.find(b"\r\n\r\n")
        head = buffer[:end]
        if head == self._accepted:
            # As before, which is how nearly every result is acknowledged.
            status, headers = 202, self._of_accepted
        else:
            status, headers = _parsed(head)
            if status == 202:
                self._accepted, self._of_accepted = head, headers
        start = end + 4
        stop = start + int(headers.get("content-length", 0))
        if len(buffer) >= stop:
            self._buffer = buffer[stop:]
            return status, headers, buffer[start:stop]
        self._buffer = b""
        return status, headers, self._receive_rest(buffer[start:], stop - start)

    def _receive_rest(self, begun: bytes, length: int) -> bytes:
        body = bytearray(length)
        body[: len(begun)] = begun
        view, filled = memoryview(body), len(begun)
        while filled < length:
            count = self._connection.recv_into(view[filled:])
            if not count:
                raise ConnectionResetError("the Runtime API closed the connection")
            filled += count
        return bytes(body)


def _parsed(head: bytes) -> tuple[int, dict[str, str]]:
    """The status of an answer, and its fields by their names in lower case."""
    first, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return int(first[9:12]), headers
