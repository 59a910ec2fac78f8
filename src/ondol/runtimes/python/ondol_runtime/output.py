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

from . import faults

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
TEXT_FORMAT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"

_RECORD_ATTRIBUTES = frozenset(
    (*vars(logging.makeLogRecord({})), "taskName", "message", "asctime", "aws_request_id", "tenant_id")
)


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
    """Where log records and errors go: stdout, one event of the log each."""

    def log(self, message: str) -> None:
        # A line feed would end the event; a carriage return does not.
        sys.stdout.write(message.rstrip("\n").replace("\n", "\r") + "\n")


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
    """One JSON object per record; what is None is left out, what the customer added as `extra` is put in."""

    def format(self, record: logging.LogRecord) -> str:
        level = logging.getLevelName(min(50, max(0, record.levelno)) // 10 * 10)
        kind, error, trace = record.exc_info or (None, None, None)
        entry = {
            "timestamp": _timestamp(record.created),
            "level": level,
            "message": record.msg if isinstance(record.msg, dict) and not record.args else record.getMessage(),
            "logger": record.name,
            "stackTrace": traceback.format_tb(trace) if kind else None,
            "errorType": kind.__name__ if kind else None,
            "errorMessage": str(error) if kind else None,
            "requestId": getattr(record, "aws_request_id", None),
            "location": f"{record.pathname}:{record.funcName}:{record.lineno}" if kind else None,
            "tenantId": getattr(record, "tenant_id", None),
        }
        for name, value in vars(record).items():
            if name not in _RECORD_ATTRIBUTES:
                entry.setdefault(name, value)
        shown = {name: value for name, value in entry.items() if value is not None}
        return json.dumps(shown, ensure_ascii=False, default=str) + "\n"


def _timestamp(seconds: float) -> str:
    return time.strftime(TIME_FORMAT + "Z", time.gmtime(seconds))


class Logs:
    """Sets up `logging` and writes the runtime's own errors, in the format that the function is configured for."""

    def __init__(self) -> None:
        self.sink = LogSink()
        self.current = CurrentRequest()
        self._json = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"

    def install(self) -> None:
        """Give the root logger its handler and, where the function has one, its level."""
        logging.Formatter.converter = time.gmtime
        handler = LambdaLoggerHandler(self.sink)
        handler.setFormatter(JsonFormatter() if self._json else logging.Formatter(TEXT_FORMAT, TIME_FORMAT))
        handler.addFilter(self.current)
        root = logging.getLogger()
        level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
        level = "DEBUG" if level == "TRACE" else level
        if isinstance(logging.getLevelName(level), int):
            root.setLevel(level)
        root.addHandler(handler)

    def error(self, report: faults.Report) -> None:
        """One record for what ended an invocation or the init phase."""
        if self._json:
            entry = {"timestamp": _timestamp(time.time()), "level": "ERROR", **report}
            self.sink.log(json.dumps(entry, ensure_ascii=False))
        else:
            self.sink.log("\n".join(faults.log_lines(report)))
