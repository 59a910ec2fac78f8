"""stdout, stderr and `logging` of a function.

Every write reaches the platform before the next statement runs, so that what was written before a crash or a time-out
is in the log. Formats are AWS's: "Working with Lambda function logs using Python", text and JSON.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import time
import traceback
from typing import Any

from . import faults, values

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
TEXT_FORMAT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"

INIT_WARNING = (
    "LAMBDA_WARNING: Unhandled exception. The most likely cause is an issue in the function code. However, in rare "
    "cases, a Lambda runtime update can cause unexpected function behavior. For functions using managed runtimes, "
    "runtime updates can be triggered by a function change, or can be applied automatically. To determine if the "
    "runtime has been updated, check the runtime version in the INIT_START log entry. If this error correlates with a "
    "change in the runtime version, you may be able to mitigate this error by temporarily rolling back to the previous "
    "runtime version. For more information, see https://docs.aws.amazon.com/lambda/latest/dg/runtimes-update.html\r"
)
"""AWS's own words before the error that ends an init phase; log filters look for them."""

_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode
_RECORD_ATTRIBUTES = frozenset((*vars(logging.makeLogRecord({})), "message", "aws_request_id", "tenant_id")).difference(
    ("taskName",)
)
"""What of a record is no field of its own in JSON. AWS lists them too, and has left out the name of the task."""


class Unbuffered(io.TextIOWrapper):
    """A text stream that hands on each write at once."""

    def write(self, text: str, /) -> int:
        count = super().write(text)
        self.flush()
        return count

    def writelines(self, lines: Any, /) -> None:
        super().writelines(lines)
        self.flush()


def open_standard_streams() -> None:
    """Make stdout and stderr unbuffered and UTF-8, whatever the interpreter that was forked had made of them."""
    sys.stdout = Unbuffered(_writer(1), encoding="utf-8", errors="strict")
    sys.stderr = Unbuffered(_writer(2), encoding="utf-8", errors="backslashreplace")


def _writer(descriptor: int) -> Any:
    name = "<stdout>" if descriptor == 1 else "<stderr>"
    raw = io.FileIO(descriptor, "wb", closefd=False)
    raw.name = name
    return io.BufferedWriter(raw)


class LogSink:
    """Where log records and errors go: to the log, one event each, whatever the function makes of `sys.stdout`."""

    def __init__(self) -> None:
        self._stream = Unbuffered(_writer(1), encoding="utf-8", errors="strict")

    def log(self, message: str) -> None:
        record = message[:-1] if message.endswith("\n") else message
        # A line feed would end the event; a carriage return does not.
        self._stream.write(record.replace("\n", "\r") + "\n")


class CurrentRequest(logging.Filter):
    """Stamps each record with the invocation during which it was made."""

    request_id = ""
    tenant_id: str | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        record.aws_request_id = self.request_id
        record.tenant_id = self.tenant_id
        return True


class LambdaLoggerHandler(logging.Handler):
    """The root logger's handler."""

    def __init__(self, log_sink: LogSink) -> None:
        super().__init__()
        self.log_sink = log_sink

    def emit(self, record: logging.LogRecord) -> None:
        self.log_sink.log(self.format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object per record; what is None is left out, what the customer added as `extra` is put in.

    As on AWS, a level between two is shown as the lower one, to the handlers that come after too, and a record that
    is to show the current exception where there is none raises `AttributeError`.
    """

    def __init__(self) -> None:
        super().__init__(datefmt=TIME_FORMAT + "Z")

    def format(self, record: logging.LogRecord) -> str:
        record.levelno = min(50, max(0, record.levelno)) // 10 * 10
        record.levelname = logging.getLevelName(record.levelno)
        tenant_id = getattr(record, "tenant_id", None)
        entry = {
            "timestamp": self.formatTime(record, self.datefmt),
            "level": record.levelname,
            "message": record.msg if isinstance(record.msg, dict) and not record.args else record.getMessage(),
            "logger": record.name,
            "stackTrace": None,
            "errorType": None,
            "errorMessage": None,
            "requestId": getattr(record, "aws_request_id", None),
            "location": None,
        }
        if record.exc_info:
            kind, error, trace = record.exc_info
            entry["stackTrace"] = traceback.format_tb(trace)
            entry["errorType"] = kind.__name__  # type: ignore[union-attr]  # raised as on AWS
            entry["errorMessage"] = str(error)
            entry["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
        if tenant_id is not None:
            entry["tenantId"] = tenant_id
        for name, value in vars(record).items():
            if name not in _RECORD_ATTRIBUTES:
                entry.setdefault(name, value)
        shown = {name: value for name, value in entry.items() if value is not None}
        return _encode(shown) + "\n"


class Logs:
    """Sets up `logging` and writes the runtime's own errors, in the format that the function is configured for."""

    def __init__(self, encoder: values.Json) -> None:
        self.sink = LogSink()
        self.current = CurrentRequest()
        self._encoder = encoder
        self._json = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"

    def install(self) -> None:
        """Give the root logger its handler and, where the function has one, its level."""
        logging.Formatter.converter = time.gmtime
        handler = LambdaLoggerHandler(self.sink)
        handler.setFormatter(JsonFormatter() if self._json else logging.Formatter(TEXT_FORMAT, TIME_FORMAT))
        handler.addFilter(self.current)
        root = logging.getLogger()
        level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "")
        level = "DEBUG" if level == "TRACE" else level.upper()
        if isinstance(logging.getLevelName(level), int):
            root.setLevel(level)
        root.addHandler(handler)

    def init_error(self, report: faults.Report) -> None:
        """What ended the init phase, after AWS's own warning, which the function's log level may hold back."""
        logging.warning(INIT_WARNING)
        self.error(report)

    def error(self, report: faults.Report) -> None:
        """One record for what ended an invocation."""
        if self._json:
            timestamp = time.strftime(TIME_FORMAT + "Z", time.gmtime())
            entry = {"timestamp": timestamp, "level": "ERROR", **report}
            self.sink.log(self._encoder.dumps(entry))
        else:
            self.sink.log("\n".join(faults.log_lines(report)))
