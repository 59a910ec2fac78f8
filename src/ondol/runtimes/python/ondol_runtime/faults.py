"""What an error looks like: to the caller, in the log, and in a trace. Decides texts only; sends nothing."""

# A function that does not need pathlib does not wait for its import.
# ruff: noqa: PTH109, PTH120

from __future__ import annotations

import json
import os
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    Frame = tuple[str, int, str, str]
    Report = dict[str, Any]

OWN_DIRECTORIES = (os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__)))
"""Frames of files that lie directly in these are the runtime's, not the customer's."""

CAUSE_BYTES = 8192
"""A longer X-Ray cause is not sent: it travels in a header, and all headers together have a limit."""

NO_BREAK_SPACE = "\u00a0"


class Fault(Exception):
    """The runtime itself refuses to go on with an event, a handler or a result. `kind` is AWS's name for why."""

    def __init__(self, kind: str, message: str, trace: list[str] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.trace = trace or []


def frames_of(trace: TracebackType | None) -> list[Frame]:
    """Frames of a traceback from the first that is not the runtime's own; all of them where every one is."""
    entries = traceback.extract_tb(trace)
    frames = [(entry.filename, entry.lineno or 0, entry.name, entry.line or "") for entry in entries]
    for index, frame in enumerate(frames):
        if os.path.dirname(frame[0]) not in OWN_DIRECTORIES:
            return frames[index:]
    return frames


def report(message: str, kind: str, trace: list[str], request_id: str = "") -> Report:
    """The error object of AWS's Python runtime. During init there is no request: its id is empty."""
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}


def report_of(error: BaseException, request_id: str = "") -> Report:
    """The error object of what the customer's code, or the runtime, has raised."""
    if isinstance(error, Fault):
        return report(error.message, error.kind, error.trace, request_id)
    trace = traceback.format_list(frames_of(error.__traceback__))
    return report(str(error), type(error).__name__, trace, request_id)


def cause_of(error: BaseException) -> bytes:
    """X-Ray's view of an error (the `cause` of a segment document), ASCII; empty when it is too long to send."""
    if isinstance(error, Fault):
        kind, message, frames = "LambdaValidationError", error.message, []
    else:
        kind, message, frames = type(error).__name__, str(error), frames_of(error.__traceback__)
    stack = [{"label": name, "path": path, "line": line} for path, line, name, _ in frames]
    cause = {
        "working_directory": os.getcwd(),
        "exceptions": [{"message": message, "type": kind, "stack": stack}],
        "paths": list(dict.fromkeys(frame[0] for frame in frames)),
    }
    encoded = json.dumps(cause).encode("ascii")
    return encoded if len(encoded) <= CAUSE_BYTES else b""


def header_text(kind: str) -> str:
    """A class name as a header may carry it: customers' names may be in any script."""
    return kind.encode("ascii", "backslashreplace").decode("ascii")


def log_lines(error: Report) -> list[str]:
    """The error in a text log: one record of several lines, their indents kept from being trimmed."""
    headline = f"[ERROR] {error['errorType']}"
    if error["errorMessage"]:
        headline += f": {error['errorMessage']}"
    lines = [headline, "Traceback (most recent call last):"]
    for entry in error["stackTrace"]:
        for line in entry.splitlines():
            text = line.lstrip(" ")
            lines.append(NO_BREAK_SPACE * (len(line) - len(text)) + text)
    return lines
