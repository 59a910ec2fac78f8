"""The lines that an environment's log has: its own output, and the platform's START, END and REPORT.

Pure: times are given. Texts are AWS's (developer guide, "Lambda logs" and "Lambda Telemetry API Event schema"). Output
is split at "\\n" alone; a line keeps its newline.
"""

import re
from collections.abc import Mapping

import msgspec

from ondol.aws.moments import to_the_millisecond
from ondol.model.arn import runtime_version_arn
from ondol.model.function import FunctionVersion
from ondol.model.ids import RequestId
from ondol.model.invocation import FailureKind, FunctionFailure
from ondol.model.limits import MEBIBYTE
from ondol.model.time import MILLISECOND, WallTime
from ondol.worker.api import ON_DEMAND
from ondol.worker.extensions import Extension

LONGEST_LINE = 262_144
"""A longer one is cut into several events, as CloudWatch Logs does."""

STATUS = {
    FailureKind.TIMED_OUT: "timeout",
    FailureKind.EXITED: "error",
    FailureKind.OUT_OF_MEMORY: "error",
    FailureKind.NO_ENTRYPOINT: "error",
    FailureKind.EXTENSION_FAILED: "error",
}
"""`Status` in the report of an invocation that its environment did not outlive."""


class LineSplitter:
    """Cuts a stream of bytes into lines."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete now."""
        *lines, rest = (self._rest + data).split(b"\n")
        while len(rest) >= LONGEST_LINE:
            lines.append(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        self._rest = rest
        return [line.decode("utf-8", "replace") + "\n" for line in lines]

    def flush(self) -> str:
        """What was written without a newline, when no more is to be expected for now."""
        rest, self._rest = self._rest, b""
        return rest.decode("utf-8", "replace") if rest else ""


class Report(msgspec.Struct, frozen=True, gc=False):
    """What the platform says of an invocation that is over."""

    request: RequestId
    duration_ns: int
    init_ns: int | None
    memory_peak_bytes: int
    failure: FunctionFailure | None
    of_init: bool = False
    """What failed was the init, inside this invocation."""


class TextLines:
    """The platform's lines in `Text` format: of each thing that happens those that tell of it, perhaps none."""

    def __init__(self, version: FunctionVersion, runtime_version: str, initialization: str) -> None:
        self._version = version
        self._runtime_version = runtime_version
        self._initialization = initialization

    def init_start(self, time: WallTime) -> list[str]:
        if self._version.image is not None:
            return []  # it tells of the runtime alone
        arn = runtime_version_arn(self._version.runtime, self._version.function.region)
        return [f"INIT_START Runtime Version: {self._runtime_version}\tRuntime Version ARN: {arn}\n"]

    def init_failed(self, time: WallTime, init_ns: int, phase: str, failure: FunctionFailure) -> list[str]:
        text = f"INIT_REPORT Init Duration: {init_ns / MILLISECOND:.2f} ms\tPhase: {phase}\t"
        return [text + _status(failure) + "\n"]

    def extension(self, time: WallTime, extension: Extension) -> list[str]:
        text = f"EXTENSION\tName: {extension.name}\tState: {extension.activity.value}\t"
        text += f"Events: [{','.join(extension.events)}]"
        if extension.error_type is not None:
            text += f"\tError Type: {extension.error_type}"
        return [text + "\n"]

    def start(self, time: WallTime, request: RequestId) -> list[str]:
        return [f"START RequestId: {request} Version: {self._version.version}\n"]

    def end(self, time: WallTime, report: Report) -> list[str]:
        lines = [f"END RequestId: {report.request}\n", self._report(report)]
        if report.failure is not None and report.failure.kind in STATUS:
            lines.insert(0, self._what_happened(time, report, report.failure))
        return lines

    def _what_happened(self, time: WallTime, report: Report, failure: FunctionFailure) -> str:
        """The one event in which the platform tells why a runtime did not live to answer."""
        if failure.kind is FailureKind.TIMED_OUT:
            what = f"{report.request} Task timed out after {self._version.timeout_s:.2f} seconds"
            return f"{to_the_millisecond(time)} {what}\n\n"
        return f"{msgspec.json.decode(failure.payload)['errorMessage']}\n{failure.error_type}\n"

    def _report(self, report: Report) -> str:
        text = (
            f"REPORT RequestId: {report.request}\tDuration: {report.duration_ns / MILLISECOND:.2f} ms\t"
            f"Billed Duration: {_billed_ms(report, self._initialization)} ms\t"
            f"Memory Size: {self._version.memory_mb} MB\t"
            f"Max Memory Used: {_megabytes(report.memory_peak_bytes)} MB\t"
        )
        if report.init_ns is not None:
            text += f"Init Duration: {report.init_ns / MILLISECOND:.2f} ms\t"
        if report.failure is not None and (report.of_init or report.failure.kind in STATUS):
            text += _status(report.failure)
        return text + "\n"


class JsonLines:
    """As `TextLines`, in `JSON` format; below the system log level they are left out."""

    def __init__(self, version: FunctionVersion, runtime_version: str, initialization: str) -> None:
        self._version = version
        self._runtime_version = runtime_version
        self._tenant = {} if version.tenant is None else {"tenantId": version.tenant}
        self._initialization = initialization
        self._all = (version.logs.system_level or "INFO") in {"INFO", "DEBUG"}

    def init_start(self, time: WallTime) -> list[str]:
        record = {
            "initializationType": self._initialization,
            "phase": "init",
            "functionName": self._version.function.name,
            "functionVersion": self._version.version,
        }
        if self._version.image is None:
            record["runtimeVersion"] = self._runtime_version
            record["runtimeVersionArn"] = runtime_version_arn(self._version.runtime, self._version.function.region)
        return self._line(time, "platform.initStart", record)

    def init_failed(self, time: WallTime, init_ns: int, phase: str, failure: FunctionFailure) -> list[str]:
        record = {
            "initializationType": self._initialization,
            "phase": phase,
            "status": STATUS.get(failure.kind, "error"),
            "errorType": failure.error_type,
            "metrics": {"durationMs": round(init_ns / MILLISECOND, 3)},
        }
        return self._line(time, "platform.initReport", record)

    def extension(self, time: WallTime, extension: Extension) -> list[str]:
        record: dict[str, object] = {
            "name": extension.name,
            "state": extension.activity.value,
            "events": extension.events,
        }
        if extension.error_type is not None:
            record["errorType"] = extension.error_type
        return self._line(time, "platform.extension", record)

    def start(self, time: WallTime, request: RequestId) -> list[str]:
        return self._line(
            time, "platform.start", {"requestId": request, "version": self._version.version, **self._tenant}
        )

    def end(self, time: WallTime, report: Report) -> list[str]:
        metrics: dict[str, float | int] = {
            "durationMs": round(report.duration_ns / MILLISECOND, 3),
            "billedDurationMs": _billed_ms(report, self._initialization),
            "memorySizeMB": self._version.memory_mb,
            "maxMemoryUsedMB": _megabytes(report.memory_peak_bytes),
        }
        if report.init_ns is not None:
            metrics["initDurationMs"] = round(report.init_ns / MILLISECOND, 3)
        record: dict[str, object] = {
            "requestId": report.request,
            "metrics": metrics,
            "status": "success",
            **self._tenant,
        }
        if report.failure is not None:
            record["status"] = STATUS.get(report.failure.kind, "error")
            record["errorType"] = report.failure.error_type
        return self._line(time, "platform.report", record, always=report.failure is not None)

    def _line(self, time: WallTime, type: str, record: Mapping[str, object], always: bool = False) -> list[str]:
        if not self._all and not always:
            return []
        return [msgspec.json.encode({"time": to_the_millisecond(time), "type": type, "record": record}).decode() + "\n"]


PlatformLines = TextLines | JsonLines


def platform_lines(version: FunctionVersion, runtime_version: str, initialization: str = ON_DEMAND) -> PlatformLines:
    """The lines in the format that the function has chosen."""
    return (JsonLines if version.logs.format == "JSON" else TextLines)(version, runtime_version, initialization)


def runtime_version(name: str, version: str) -> str:
    """`python:3.11.v7` of Python 3.11.7, `nodejs:20.v11` of Node.js 20.11.1, `provided:al2023` of what has no release
    of its own."""
    if name.startswith("nodejs"):
        version = ".".join(version.split(".")[:2])  # a release of Node.js is its major version
    release, dot, patch = version.rpartition(".")
    language = re.match("[a-z]*", name)
    assert language is not None
    return f"{language[0]}:{release}.v{patch}" if dot else f"{language[0]}:{version}"


def _status(failure: FunctionFailure) -> str:
    status = f"Status: {STATUS.get(failure.kind, 'error')}"
    return status if failure.kind is FailureKind.TIMED_OUT else f"{status}\tError Type: {failure.error_type}"


def _billed_ms(report: Report, initialization: str) -> int:
    """Init is billed too (AWS, since August 2025), apart from invocations if it is provisioned; and each millisecond
    begun."""
    init_ns = report.init_ns or 0 if initialization == ON_DEMAND else 0
    return -(-(report.duration_ns + init_ns) // MILLISECOND)


def _megabytes(size: int) -> int:
    return -(-size // MEBIBYTE)
