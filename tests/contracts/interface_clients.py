"""Runs one function under an interface client, ours or AWS's, against a Runtime API, and tells all that came of it.

AWS's client is `awslambdaric` as it is published, in the peers' environment, and it is run as AWS's managed runtimes
run it: its log records leave through a descriptor, each in a frame, so that a record of several lines is one event.
"""

import contextlib
import json
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any, NamedTuple

from ondol.runtimes.catalog import PYTHON_BOOTSTRAP

ROOT = Path(__file__).resolve().parent.parent.parent
PYTHON = ROOT / ".venvs" / "peers" / "bin" / "python"
"""Runs both clients, so that whatever differs is of their making."""

OURS = (str(PYTHON), str(PYTHON_BOOTSTRAP / "bootstrap.py"))
AWS = (str(PYTHON), "-m", "awslambdaric")

PATIENCE_S = 30
LARGEST_RESULT = 6291556
REQUEST_ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:f:live"
TRACE = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1"
API = "/2018-06-01/runtime"
TOLD = ("content-type", "lambda-runtime-function-error-type", "lambda-runtime-function-xray-error-cause")
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


class Outcome(NamedTuple):
    answers: list[Answer]
    events: list[str]
    """What the log would hold, one event each."""

    exit: int | None
    """None: it asked for one more invocation than there were."""


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
                headers = {}
                while field := self.rfile.readline().decode().strip():
                    name, _, text = field.partition(":")
                    headers[name.lower()] = text.strip()
                body = self.rfile.read(int(headers.get("content-length", 0)))
                if method == "POST":
                    self._keep(path, headers, body)
                elif self.server.waiting:
                    self._invoke(self.server.waiting.pop(0))
                else:
                    self._end()
                    return

    def _keep(self, path: str, headers: Mapping[str, str], body: bytes) -> None:
        self.server.answers.append(Answer(path, {name: headers[name] for name in TOLD if name in headers}, body))
        self._send("202 Accepted" if len(body) <= LARGEST_RESULT else "413 Too Large", {}, b'{"status":"OK"}\n')

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


def run(client: Sequence[str], function: Function) -> Outcome:
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
        events = list(_events(written, task))
        answers = [_strip_answer(answer, task) for answer in api.answers]
        return Outcome(answers, events, None if api.exhausted else api.process.returncode)


def _run_process(client: Sequence[str], function: Function, task: str, api: _RuntimeApi) -> bytes:
    output, entrance = os.pipe()
    environment = {
        "_HANDLER": function.handler,
        "_LAMBDA_TELEMETRY_LOG_FD": str(entrance),
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_address[1]}",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_VERSION": "7",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2024/01/02/[7]0123",
        "LAMBDA_TASK_ROOT": task,
        "PYTHONDONTWRITEBYTECODE": "1",
        # What en_US.UTF-8 makes of the streams, where that locale is not installed.
        "PYTHONIOENCODING": "utf-8:strict",
        "PYTHONUTF8": "1",
        **function.variables,
    }
    try:
        command = [*client, function.handler] if client is AWS else client
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


_FRAME = re.compile(rb"\xa5\x5a\x00[\x02-\x1b]")


def _events(written: bytes, task: str) -> Iterator[str]:
    """Lines, and between them whole frames: type, length and microseconds, 4, 4 and 8 bytes, then the text."""
    while found := _FRAME.search(written):
        yield from _lines(written[: found.start()], task)
        begin = found.start() + 16
        end = begin + int.from_bytes(written[begin - 12 : begin - 8], "big")
        yield _event(written[begin:end].decode(), task)
        written = written[end:]
    yield from _lines(written, task)


def _lines(written: bytes, task: str) -> Iterator[str]:
    # Python's own last words are one line per event, of which a client's frame takes several.
    text = _OWN_FRAME.sub("", written.decode())
    return (_event(line, task) for line in text.removesuffix("\n").split("\n") if text)


def _event(text: str, task: str) -> str:
    # In a line a record keeps together by carriage returns, which in a frame are line feeds.
    return _strip(text.removesuffix("\n").replace("\r", "\n"), task)


OWN_FILES = (str(PYTHON_BOOTSTRAP), "/awslambdaric/", "<frozen runpy>")
"""Marks of the files that are a client's own, or that start it."""

_OWN = "|".join(map(re.escape, OWN_FILES))
_OWN_FRAME = re.compile(
    rf'^([ \xa0|]*)File "[^"\n]*(?:{_OWN})[^"\n]*", line \d+, in .*\n?(?:^\1[ \xa0]{{2}}.*\n?)*', re.MULTILINE
)
_OWN_JSON_FRAME = re.compile(rf'(?:, )?"  File \\"[^"]*(?:{_OWN})[^"]*", line \d+, in (?:[^"\\]|\\.)*"')
_REPEATED = re.compile(r"\[Previous line repeated \d+ more times\]")
_STAMP = re.compile(r"\[\d{13}\]")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")


def _strip(text: str, task: str) -> str:
    """A text without what two runs of the same client would not share either, and without the client's own frames.

    The function's directory becomes /var/task, a time and an address lose their digits, and a frame goes, with its
    lines of source, when its file is the client's. So goes the number of frames that fit below a client's own before
    recursion is too deep. All else stays, to the last space.
    """
    text = _OWN_FRAME.sub("", text.replace(task, "/var/task"))
    text = _OWN_JSON_FRAME.sub("", text).replace('"stackTrace": [, ', '"stackTrace": [')
    text = _STAMP.sub("[<ms>]", _REPEATED.sub("[Previous line repeated]", text))
    return _ADDRESS.sub("0x", _TIME.sub(lambda time: "<time.ms>" if time[1] else "<time>", text))


def _strip_answer(answer: Answer, task: str) -> Answer:
    """An answer in which an error object and its cause are stripped as texts are, and written in one order of keys."""
    if answer.path.endswith("/response"):
        return answer
    headers = dict(answer.headers)
    cause = "lambda-runtime-function-xray-error-cause"
    if cause in headers:
        headers[cause] = _strip_cause(headers[cause], task)
    error = json.loads(answer.body)
    frames = [_strip(frame, task) for frame in error["stackTrace"]]
    error["stackTrace"] = [frame for frame in frames if frame]
    return Answer(answer.path, headers, json.dumps(error).encode())


def _strip_cause(header: str, task: str) -> str:
    cause: dict[str, Any] = json.loads(header.replace(task, "/var/task"))
    for exception in cause["exceptions"]:
        exception["stack"] = [frame for frame in exception["stack"] if not _is_own(frame["path"])]
    # AWS's client takes them from a set.
    cause["paths"] = sorted(path for path in cause["paths"] if not _is_own(path))
    return json.dumps(cause)


def _is_own(path: str) -> bool:
    return any(mark in path for mark in OWN_FILES)
