"""A runtime process, and a Runtime API for it in a thread: what it posts is kept, `next` is answered by `invoke`."""

import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from queue import Queue
from typing import BinaryIO, NamedTuple

from ondol.model.runtime import Runtime

REQUEST_ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:f:live"
TRACE = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1"
PATIENCE_S = 10


class Posted(NamedTuple):
    path: str
    headers: Mapping[str, str]
    body: bytes
    trailers: Mapping[str, str]
    head: bytes
    """As it came."""

    @property
    def json(self) -> dict[str, object]:
        loaded: dict[str, object] = json.loads(self.body)
        return loaded


class Platform:
    """Serves one runtime process."""

    def __init__(self) -> None:
        self.posted: Queue[Posted] = Queue()
        self.refuse_with: bytes | None = None
        """An answer to give once to what is posted next."""

        self._events: Queue[tuple[dict[str, str], bytes]] = Queue()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._closing = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def invoke(self, event: bytes = b"{}", **headers: str) -> None:
        self._events.put(({name.replace("_", "-"): value for name, value in headers.items()}, event))

    def close(self) -> None:
        self._closing = True
        # Wakes the thread, wherever it waits.
        self._events.put(({"stop": "yes"}, b""))
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE_S)
        self._listener.close()

    def _serve(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(ConnectionError), connection, connection.makefile("rb") as received:
                if not self._serve_connection(connection, received):
                    return

    def _serve_connection(self, connection: socket.socket, received: BinaryIO) -> bool:
        """False when the runtime is to be left alone for good."""
        while line := received.readline():
            head, headers = _fields(received)
            if line.startswith(b"GET"):
                given, event = self._events.get()
                if given.get("stop"):
                    return False
                connection.sendall(next_answer(given, event))
                continue
            trailers: Mapping[str, str] = {}
            if headers.get("transfer-encoding") == "chunked":
                body, trailers = _chunked(received)
            else:
                body = received.read(int(headers["content-length"]))
            answer, self.refuse_with = self.refuse_with, None
            self.posted.put(Posted(line.decode().split()[1], headers, body, trailers, line + head))
            connection.sendall(answer or b'HTTP/1.1 202 Accepted\r\nContent-Length: 16\r\n\r\n{"status":"OK"}\n')
            if answer is not None and b"Connection: close" in answer:
                return True
        return True


def _fields(received: BinaryIO) -> tuple[bytes, dict[str, str]]:
    head = b""
    fields = {}
    while (line := received.readline()).strip():
        head += line
        name, _, value = line.decode().strip().partition(": ")
        fields[name.lower()] = value
    return head + line, fields


def _chunked(received: BinaryIO) -> tuple[bytes, dict[str, str]]:
    body = b""
    while size := int(received.readline(), 16):
        body += received.read(size)
        assert received.readline() == b"\r\n"
    return body, _fields(received)[1]


def next_answer(headers: dict[str, str], event: bytes) -> bytes:
    """How an invocation reaches the runtime."""
    fields = {
        "Content-Type": "application/json",
        "Lambda-Runtime-Aws-Request-Id": REQUEST_ID,
        "Lambda-Runtime-Deadline-Ms": "4000000000000",
        "Lambda-Runtime-Invoked-Function-Arn": ARN,
        "Lambda-Runtime-Trace-Id": TRACE,
        **headers,
        "Content-Length": str(len(event)),
    }
    return ("HTTP/1.1 200 OK\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items()) + "\r\n").encode() + event


class RuntimeProcess:
    """A runtime process that serves the function in one directory by our own bootstrap."""

    def __init__(
        self, runtime: Runtime, bootstrap: str, directory: Path, handler: str, variables: Mapping[str, str]
    ) -> None:
        self.directory = directory
        self.platform = Platform()
        environment = {
            "_HANDLER": handler,
            "AWS_LAMBDA_RUNTIME_API": self.platform.address,
            "LAMBDA_TASK_ROOT": str(directory),
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{runtime.name}",
            "AWS_LAMBDA_FUNCTION_NAME": "f",
            "AWS_LAMBDA_FUNCTION_VERSION": "7",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2024/01/02/[7]0123",
            **variables,
        }
        self._process = subprocess.Popen(
            [str(runtime.interpreter), f"{runtime.bootstrap_dir}/{bootstrap}"],
            env=environment,
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def call(self, event: object = None, **headers: str) -> Posted:
        self.platform.invoke(json.dumps(event).encode(), **headers)
        return self.posted()

    def posted(self) -> Posted:
        return self.platform.posted.get(timeout=PATIENCE_S)

    def ended(self) -> tuple[int, str]:
        """Exit status and all that was written, once the process has ended by itself."""
        output, _ = self._process.communicate(timeout=PATIENCE_S)
        return self._process.returncode, output.decode()

    def output(self) -> str:
        """All that was written; the function is not needed any more."""
        self.platform.invoke(stop="yes")
        return self.ended()[1]

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self.platform.close()
