"""The platform's own lines, and how an environment's log is cut into a tail."""

from collections.abc import Sequence

import msgspec
import pytest
from msgspec.structs import replace

from ondol.model.function import FunctionImage, FunctionKey, FunctionVersion, LogSettings
from ondol.model.ids import AccountId, CodeDigest, Region, RequestId, VersionId
from ondol.model.invocation import FailureKind, failure
from ondol.model.limits import LOG_TAIL_BYTES
from ondol.model.time import MILLISECOND, Instant, WallTime
from ondol.telemetry.api import LogStream
from ondol.worker.environment_log import EnvironmentLog
from ondol.worker.extensions import Extensions
from ondol.worker.log_lines import Report, TextLines, platform_lines, runtime_version

ID = RequestId("00000000-0000-4000-8000-000000000000")
NOON = WallTime(1_769_860_800_123)


def version(log_format: str = "Text") -> FunctionVersion:
    return FunctionVersion(
        VersionId("f/1"),
        function=FunctionKey(AccountId("000000000000"), Region("us-east-1"), "f"),
        version="$LATEST",
        runtime="python3.11",
        handler="m.h",
        code=CodeDigest("d"),
        role="arn:aws:iam::000000000000:role/r",
        memory_mb=128,
        timeout_s=3,
        tmp_mb=512,
        environment={},
        logs=LogSettings("/aws/lambda/f", log_format),
    )


@pytest.mark.parametrize(
    ("name", "own", "shown"),
    [
        ("python3.11", "3.11.7", "python:3.11.v7"),
        ("nodejs20.x", "20.11.1", "nodejs:20.v11"),
        ("provided.al2023", "al2023", "provided:al2023"),
        ("provided.al2", "al2", "provided:al2"),
    ],
)
def test_a_runtimes_version_has_aws_form(name: str, own: str, shown: str) -> None:
    assert runtime_version(name, own) == shown


@pytest.mark.parametrize(
    ("kind", "error_type", "line", "status"),
    [
        (
            FailureKind.EXITED,
            "Runtime.ExitError",
            f"RequestId: {ID} Error: why\nRuntime.ExitError\n",
            "Status: error\tError Type: Runtime.ExitError\n",
        ),
        (
            FailureKind.TIMED_OUT,
            "Sandbox.Timedout",
            f"2026-01-31T12:00:00.123Z {ID} Task timed out after 3.00 seconds\n\n",
            "Status: timeout\n",
        ),
    ],
)
def test_the_end_of_a_runtime_is_told_before_the_report(
    kind: FailureKind, error_type: str, line: str, status: str
) -> None:
    failed = failure(kind, error_type, f"RequestId: {ID} Error: why")
    told, end, report = TextLines(version(), "python:3.11.v7", "on-demand").end(
        NOON, Report(ID, 3000 * MILLISECOND, None, 1, failed)
    )
    assert (told, end) == (line, f"END RequestId: {ID}\n")
    assert report == (
        f"REPORT RequestId: {ID}\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB\t"
        f"Max Memory Used: 1 MB\t{status}"
    )


def test_json_lines_say_the_same_as_records() -> None:
    lines = platform_lines(version("JSON"), "python:3.11.v7")
    [report] = lines.end(NOON, Report(ID, 3 * MILLISECOND, 2 * MILLISECOND, 1, None))
    assert msgspec.json.decode(report) == {
        "time": "2026-01-31T12:00:00.123Z",
        "type": "platform.report",
        "record": {
            "requestId": ID,
            "metrics": {
                "durationMs": 3.0,
                "billedDurationMs": 5,
                "memorySizeMB": 128,
                "maxMemoryUsedMB": 1,
                "initDurationMs": 2.0,
            },
            "status": "success",
        },
    }


def test_json_lines_name_the_tenant() -> None:
    lines = platform_lines(version("JSON").of_tenant("blue"), "python:3.11.v7")
    [report] = lines.end(NOON, Report(ID, 3 * MILLISECOND, None, 1, None))
    for line in (*lines.start(NOON, ID), report):
        assert msgspec.json.decode(line)["record"]["tenantId"] == "blue"
    [init_start] = lines.init_start(NOON)
    assert "tenantId" not in init_start


def test_of_an_image_there_is_no_runtime_to_tell() -> None:
    image = FunctionImage("r/app:1", "r/app@sha256:1")
    assert platform_lines(replace(version(), image=image), "").init_start(NOON) == []
    [line] = platform_lines(replace(version("JSON"), image=image), "").init_start(NOON)
    told = msgspec.json.decode(line)
    assert told["type"] == "platform.initStart"
    assert set(told["record"]) == {"initializationType", "phase", "functionName", "functionVersion"}


def test_a_provisioned_environment_says_so_and_its_init_is_billed_apart() -> None:
    lines = platform_lines(version("JSON"), "python:3.11.v7", "provisioned-concurrency")
    [init_start] = lines.init_start(NOON)
    assert msgspec.json.decode(init_start)["record"]["initializationType"] == "provisioned-concurrency"
    [report] = lines.end(NOON, Report(ID, 3 * MILLISECOND, 2 * MILLISECOND, 1, None))
    metrics = msgspec.json.decode(report)["record"]["metrics"]
    assert (metrics["billedDurationMs"], metrics["initDurationMs"]) == (3, 2.0)


class Kept:
    """A sink that keeps messages, and a clock that stands still."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def open(self, stream: LogStream) -> "Kept":
        return self

    def write(self, time: WallTime, messages: Sequence[str]) -> None:
        self.messages += messages

    def now(self) -> Instant:
        return Instant(0)

    def wall(self) -> WallTime:
        return NOON


def log() -> tuple[EnvironmentLog, Kept]:
    kept = Kept()
    stream = LogStream(AccountId("000000000000"), Region("us-east-1"), "/aws/lambda/f", "s")
    return EnvironmentLog(stream, kept, TextLines(version(), "python:3.11.v7", "on-demand"), kept), kept


def test_the_tail_is_the_last_4_kb_of_one_invocation_and_all_of_it_is_logged() -> None:
    environment, kept = log()
    environment.init_start()
    environment.output(b"at init\n")
    environment.start(ID, True)
    environment.output(b"x" * 99 + b"\n" + b"y" * 9999 + b"\n")
    tail = environment.end(Report(ID, 1, None, 1, None))
    assert len(tail) == LOG_TAIL_BYTES
    assert "".join(kept.messages).encode().endswith(tail)
    assert kept.messages[1:4] == ["at init\n", f"START RequestId: {ID} Version: $LATEST\n", "x" * 99 + "\n"]
    environment.start(ID, False)
    assert environment.end(Report(ID, 1, None, 1, None)) == b""


def test_the_tail_of_a_failed_init_begins_with_it() -> None:
    environment, kept = log()
    environment.init_start()
    environment.output(b"no luck")
    failed = failure(FailureKind.EXITED, "Runtime.ExitError", f"RequestId: {ID} Error: why")
    environment.init_failed(2 * MILLISECOND, "init", failed)
    environment.output(b"no luck again")
    environment.init_failed(3 * MILLISECOND, "invoke", failed)
    environment.start_of_failed(ID)
    assert environment.end(Report(ID, 1, None, 1, None)) == "".join(kept.messages).encode()
    assert kept.messages[1:6] == [
        "no luck",
        "INIT_REPORT Init Duration: 2.00 ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError\n",
        "no luck again",
        "INIT_REPORT Init Duration: 3.00 ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ExitError\n",
        f"START RequestId: {ID} Version: $LATEST\n",
    ]


def test_a_report_of_an_init_that_failed_says_so_whatever_told_it() -> None:
    environment, kept = log()
    reported = failure(FailureKind.HANDLED_BY_RUNTIME, "Runtime.ImportModuleError", "no module")
    environment.end(Report(ID, 1, None, 1, reported, of_init=True))
    assert kept.messages[-1].endswith("MB\tStatus: error\tError Type: Runtime.ImportModuleError\n")
    environment.end(Report(ID, 1, None, 1, reported))
    assert "Status" not in kept.messages[-1]


def test_what_became_of_extensions() -> None:
    extensions = Extensions(["one", "two"])
    extensions.register("one", ["INVOKE", "SHUTDOWN"], "id")
    extensions.refused("two", "PermissionDenied")
    environment, kept = log()
    environment.extensions(extensions)
    assert kept.messages == [
        "EXTENSION\tName: one\tState: Registered\tEvents: [INVOKE,SHUTDOWN]\n",
        "EXTENSION\tName: two\tState: LaunchError\tEvents: []\tError Type: PermissionDenied\n",
    ]
