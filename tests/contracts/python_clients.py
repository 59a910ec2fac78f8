"""Our Python bootstrap and AWS's client, `awslambdaric` as it is published, and what of their texts is their own.

AWS's client is run as AWS's managed runtimes run it: its log records leave through a descriptor, each in a frame, so
that a record of several lines is one event.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from interface_clients import ROOT, Answer, Client

from ondol.runtimes.catalog import PYTHON_BOOTSTRAP

PYTHON = ROOT / ".venvs" / "peers" / "bin" / "python"
"""Runs both clients, so that whatever differs is of their making."""

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


_VARIABLES = {
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
    "PYTHONDONTWRITEBYTECODE": "1",
    # What en_US.UTF-8 makes of the streams, where that locale is not installed.
    "PYTHONIOENCODING": "utf-8:strict",
    "PYTHONUTF8": "1",
}

OURS = Client(
    lambda handler: (str(PYTHON), str(PYTHON_BOOTSTRAP / "bootstrap.py")),
    _VARIABLES,
    _events,
    _strip_answer,
    framed=True,
)
AWS = OURS._replace(command=lambda handler: (str(PYTHON), "-m", "awslambdaric", handler))
