"""Runs one function under an interface client, ours or AWS's, against a Runtime API, and tells all that came of it.

What a client's language adds is that client's: how it is started, what divides its log into events, and what of an
event or an error is the client's own.
"""

import contextlib
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 30
LARGEST_RESULT = 6291556
REQUEST_ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:f:live"
TRACE = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1"
API = "/2018-06-01/runtime"
TOLD = (
    "content-type",
    "lambda-runtime-function-error-type",
    "lambda-runtime-function-response-mode",
    "lambda-runtime-function-xray-error-cause",
    "trailer",
)
"""The headers of an answer that are the function's, not the connection's."""


class Invocation(NamedTuple):
    event: bytes = b"{}"
    headers: Mapping[str, str | None] = {}
    """Beside or instead of the usual ones; None leaves one out."""


class Function(NamedTuple):
    files: Mapping[str, str]
    handler: str = "app.handler"
    invocations: Sequence[Invocation] = (Invocation(),)
    variables: Mapping[str, str] = {}


class Answer(NamedTuple):
    path: str
    headers: Mapping[str, str]
    body: bytes
    trailers: Mapping[str, str] = {}


class Outcome(NamedTuple):
    answers: list[Answer]
    events: list[str]
    """What the log would hold, one event each."""

    exit: int | None
    """None: it asked for one more invocation than there were."""


class Client(NamedTuple):
    """A way to run functions of one language."""

    command: Callable[[str], Sequence[str]]
    """By the handler's name."""

    variables: Mapping[str, str]
    events: Callable[[bytes, str], Iterable[str]]
    """What was written, and the function's directory, to events without what is the client's own."""

    answer: Callable[[Answer, str], Answer]
    """An answer without what is the client's own."""

    framed: bool = False
    """Its log records leave through a descriptor, each in a frame, as where AWS runs it."""


class Difference(NamedTuple):
    """Why a case may differ, and what must be true of AWS's outcome and ours none the less."""

    reason: str
    holds: Callable[[Outcome, Outcome], bool]


def compare(aws: Client, own: Client, function: Function, difference: Difference | None) -> None:
    """Fails unless both clients come to the same, or to what the difference says."""
    expect_same(*run_both(aws, own, function), difference)


def run_both(aws: Client, own: Client, function: Function) -> tuple[Outcome, Outcome]:
    with ThreadPoolExecutor(2) as pool:
        theirs, ours = pool.map(run, (aws, own), (function, function))
    return theirs, ours


def expect_same(theirs: Outcome, ours: Outcome, difference: Difference | None) -> None:
    """Fails unless both are the same, or what the difference says."""
    if difference is None:
        for own, aws in zip(ours, theirs, strict=True):
            assert own == aws, f"ours:\n{own}\n\nAWS's:\n{aws}"
    else:
        assert ours != theirs, f"no difference any more: {difference.reason}"
        assert difference.holds(theirs, ours), difference.reason


class _RuntimeApi(ThreadingTCPServer):
    """Gives out the invocations and keeps the answers; whoever asks for more than there are is ended."""

    daemon_threads = True

    def __init__(self, invocations: Sequence[Invocation]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.waiting = list(invocations)
        self.answers: list[Answer] = []
        self.exhausted = False
        self.process: subprocess.Popen[bytes] | None = None
        self.started = threading.Event()


class _Connection(StreamRequestHandler):
    """No server of the standard library reads as long a header as AWS's client sends."""

    server: _RuntimeApi
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while line := self.rfile.readline().decode():
                method, path, _ = line.split()
                headers = self._fields()
                body, trailers = self._body(headers)
                if method == "POST":
                    self._keep(Answer(path, {name: headers[name] for name in TOLD if name in headers}, body, trailers))
                elif self.server.waiting:
                    self._invoke(self.server.waiting.pop(0))
                else:
                    self._end()
                    return

    def _fields(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        while field := self.rfile.readline().decode().strip():
            name, _, text = field.partition(":")
            fields[name.lower()] = f"{fields[name.lower()]}, {text.strip()}" if name.lower() in fields else text.strip()
        return fields

    def _body(self, headers: Mapping[str, str]) -> tuple[bytes, Mapping[str, str]]:
        if headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(headers.get("content-length", 0))), {}
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        return body, self._fields()

    def _keep(self, answer: Answer) -> None:
        self.server.answers.append(answer)
        fits = len(answer.body) <= LARGEST_RESULT
        self._send("202 Accepted" if fits else "413 Too Large", {}, b'{"status":"OK"}\n')

    def _invoke(self, invocation: Invocation) -> None:
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": REQUEST_ID,
            "Lambda-Runtime-Deadline-Ms": "4000000000000",
            "Lambda-Runtime-Invoked-Function-Arn": ARN,
            "Lambda-Runtime-Trace-Id": TRACE,
            **invocation.headers,
        }
        self._send("200 OK", headers, invocation.event)

    def _end(self) -> None:
        self.server.exhausted = True
        self.server.started.wait(PATIENCE_S)
        assert self.server.process is not None
        self.server.process.kill()

    def _send(self, status: str, headers: Mapping[str, str | None], body: bytes) -> None:
        shown = "".join(f"{name}: {text}\r\n" for name, text in headers.items() if text is not None)
        self.wfile.write(f"HTTP/1.1 {status}\r\n{shown}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def run(client: Client, function: Function) -> Outcome:
    """One process, from its start until it ends or waits for what does not come."""
    with tempfile.TemporaryDirectory() as task, _RuntimeApi(function.invocations) as api:
        for name, text in function.files.items():
            file = Path(task, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        serving = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            written = _run_process(client, function, task, api)
        finally:
            api.shutdown()
            serving.join()
        assert api.process is not None
        events = list(client.events(written, task))
        answers = [client.answer(answer, task) for answer in api.answers]
        return Outcome(answers, events, None if api.exhausted else api.process.returncode)


def _run_process(client: Client, function: Function, task: str, api: _RuntimeApi) -> bytes:
    output, entrance = os.pipe()
    environment = {
        "_HANDLER": function.handler,
        **({"_LAMBDA_TELEMETRY_LOG_FD": str(entrance)} if client.framed else {}),
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_address[1]}",
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_VERSION": "7",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2024/01/02/[7]0123",
        "LAMBDA_TASK_ROOT": task,
        **client.variables,
        **function.variables,
    }
    try:
        command = client.command(function.handler)
        api.process = subprocess.Popen(
            command, env=environment, cwd=task, stdout=entrance, stderr=entrance, pass_fds=(entrance,)
        )
    finally:
        os.close(entrance)
        api.started.set()
    with os.fdopen(output, "rb") as reading:
        overdue = threading.Timer(PATIENCE_S, api.process.kill)
        overdue.start()
        written = reading.read()
        api.process.wait()
        overdue.cancel()
    return written
