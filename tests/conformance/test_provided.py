"""Functions that bring a runtime of their own: `provided.al2023` and `provided.al2`, well-behaved and not."""

import base64
import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from function_logs import lines_of, reports
from lambda_calls import invoke

from ondol_process import OndolProcess, create

pytestmark = pytest.mark.sandbox

OPENING = """#!/bin/bash
set -euo pipefail
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
next() {
  event=$(curl -sS -D /tmp/headers "$api/invocation/next")
  id=$(grep -i '^lambda-runtime-aws-request-id:' /tmp/headers | tr -d '[:space:]' | cut -d: -f2)
}
respond() { curl -sS -X POST "$api/invocation/$1/response" -d "$2"; }
"""

ECHO = """
while true; do
  next
  respond "$id" "$event" > /dev/null
done
"""


def provide(client: Any, name: str, files: dict[str, str | bytes], **settings: Any) -> None:
    create(client, name, files, **{"Runtime": "provided.al2023", **settings})


def bash(script: str) -> dict[str, str | bytes]:
    return {"bootstrap*": OPENING + script}


def failure(client: Any, name: str) -> tuple[str, str, dict[str, Any]]:
    """Error type, message without the request's id, and the whole error of an invocation that fails."""
    told, error = invoke(client, name)
    assert (told["StatusCode"], told["FunctionError"]) == (200, "Unhandled")
    return error["errorType"], error["errorMessage"].partition(" Error: ")[2], error


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    """An ondol whose init phase is over after 0.3 s."""
    with OndolProcess(tmp_path_factory.mktemp("hasty") / "data", {"PHASES_INIT_S": "0.3"}) as process:
        yield process


@pytest.mark.parametrize("runtime", ["provided.al2023", "provided.al2"])
def test_a_shell_script_with_curl(client: Any, name: str, runtime: str) -> None:
    provide(client, name, bash(ECHO), Runtime=runtime)
    for event in ({"text": "온돌 ü"}, [1, 2.5, None], "x" * 50_000):
        told, result = invoke(client, name, event)
        assert result == event
        assert "FunctionError" not in told


def test_calls_one_after_the_other_share_an_environment_however_it_asks_for_the_next(client: Any, name: str) -> None:
    counting = """
count=0
while true; do
  next
  count=$((count + 1))
  respond "$id" "$count" > /dev/null
done
"""
    provide(client, name, bash(counting), MemorySize=1769)
    answers = [invoke(client, name)[1] for _ in range(10)]
    # A machine that is busy with other things may keep one `next` for too long, but not each.
    assert answers.count(1) <= 2, answers
    assert max(answers) >= 5


def test_what_it_finds_around_it(client: Any, name: str) -> None:
    script = """
next
respond "$id" "$(printf '["%s","%s","%s","%s","%s","%s","%s"]' "$_HANDLER" "$LAMBDA_TASK_ROOT" "$PWD" \\
  "${AWS_EXECUTION_ENV-unset}" "$(id -u)" "$(cat data)" "$(grep -ic '^lambda-runtime-deadline-ms:' /tmp/headers)")"
next
"""
    provide(client, name, {**bash(script), "data": "beside it"}, Handler="any.thing")
    handler, root, directory, execution, user, data, deadline = invoke(client, name)[1]
    assert (handler, root, directory, execution) == ("any.thing", "/var/task", "/var/task", "unset")
    assert (data, deadline) == ("beside it", "1")
    assert user != "0"


@pytest.fixture(scope="module", params=["dynamic", "static"])
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    program = tmp_path_factory.mktemp("compiled") / "bootstrap"
    source = Path(__file__).with_name("bootstrap.c")
    options = ["-static"] if request.param == "static" else []
    subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", *options, "-o", program, source], check=True)
    return program.read_bytes()


def test_a_compiled_one_passes_the_largest_payload_byte_for_byte(client: Any, name: str, compiled: bytes) -> None:
    provide(client, name, {"bootstrap*": compiled}, MemorySize=512, Timeout=20)
    payload = b'{ "spaces" :  [1,\t2],"\\u00fc": "' + b"x" * (5 << 20) + b'"}'
    for event in (b"{}", payload):
        assert client.invoke(FunctionName=name, Payload=event)["Payload"].read() == event


def test_its_output_is_logged_with_the_platforms_lines(
    client: Any, name: str, compiled: bytes, ondol: OndolProcess
) -> None:
    provide(client, name, {"bootstrap*": compiled})
    id = invoke(client, name)[0]["ResponseMetadata"]["RequestId"]
    logs = ondol.client("logs")
    messages: list[str] = []
    while not (messages and messages[-1].startswith("REPORT")):
        if logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]:
            messages = [e["message"] for e in logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]]
    assert messages[0].startswith("INIT_START Runtime Version: provided:al2023\tRuntime Version ARN: arn:aws:lambda:")
    assert messages[1:4] == [
        f"START RequestId: {id} Version: $LATEST\n",
        f"answering {id}\n",
        f"END RequestId: {id}\n",
    ]


NO_BOOTSTRAP = "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"other*": "#!/bin/bash\n"}, NO_BOOTSTRAP),
        ({"bootstrap": "#!/bin/bash\n"}, "fork/exec /var/task/bootstrap: permission denied"),
        ({"bootstrap/file*": ""}, "fork/exec /var/task/bootstrap: permission denied"),
        ({"bootstrap*": "no program\n"}, "fork/exec /var/task/bootstrap: exec format error"),
        ({"bootstrap*": "#!/usr/bin/python3\n"}, "fork/exec /var/task/bootstrap: no such file or directory"),
    ],
    ids=["missing", "not executable", "directory", "no program", "no interpreter"],
)
def test_an_entrypoint_that_cannot_be_executed(client: Any, name: str, files: Any, reason: str) -> None:
    provide(client, name, files)
    for _ in range(2):
        told, error = invoke(client, name)
        id = told["ResponseMetadata"]["RequestId"]
        assert told["FunctionError"] == "Unhandled"
        assert error == {"errorType": "Runtime.InvalidEntrypoint", "errorMessage": f"RequestId: {id} Error: {reason}"}


def test_what_is_written_at_once_stands_after_the_first_line(client: Any, name: str) -> None:
    provide(client, name, bash("echo first; exit 1"))
    tail = base64.b64decode(invoke(client, name, LogType="Tail")[0]["LogResult"]).decode().splitlines()
    init = ["first", "INIT_REPORT"]
    kinds = ["INIT_START", *init, *init, "START", "RequestId:", "Runtime.ExitError", "END", "REPORT"]
    assert [line.split()[0] for line in tail] == kinds


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 1", "Runtime exited with error: exit status 1"),
        ("no-such-program", "Runtime exited with error: exit status 127"),
        ("exit 0", "Runtime exited without providing a reason"),
        ("kill -SEGV $$", "Runtime exited with error: signal: segmentation fault"),
        ("next; exit 3", "Runtime exited with error: exit status 3"),
        ("next; kill -TERM $$", "Runtime exited with error: signal: terminated"),
    ],
)
def test_one_that_exits(client: Any, name: str, script: str, reason: str) -> None:
    provide(client, name, bash(script))
    for _ in range(2):
        assert failure(client, name)[:2] == ("Runtime.ExitError", reason)


def test_an_error_at_init_is_told_as_it_was_posted(client: Any, name: str) -> None:
    error = {"errorMessage": "no database", "errorType": "Own.NoDatabase", "stackTrace": []}
    script = (
        f"curl -sS -X POST \"$api/init/error\" -H 'Content-Type: application/json' -d '{json.dumps(error)}'\nexit 1"
    )
    provide(client, name, bash(script))
    for _ in range(2):
        told, shown = invoke(client, name)
        assert (told["FunctionError"], shown) == ("Unhandled", error)


def test_an_error_of_an_invocation_is_told_as_it_was_posted_and_the_next_works(client: Any, name: str) -> None:
    error = {"errorMessage": "no such luck", "errorType": "Own.Luck"}
    script = f"""
own=$RANDOM$RANDOM$RANDOM
while true; do
  next
  if [ "$event" = 1 ]; then
    curl -sS -X POST "$api/invocation/$id/error" -d '{json.dumps(error)}' > /dev/null
  else
    respond "$id" "$own" > /dev/null
  fi
done"""
    provide(client, name, bash(script))
    own = invoke(client, name, 0)[1]
    told, shown = invoke(client, name, 1)
    assert (told["FunctionError"], shown) == ("Unhandled", error)
    assert any(invoke(client, name, 0)[1] == own for _ in range(50)), "the same runtime goes on"


def test_one_that_answers_too_late_is_ended(client: Any, name: str) -> None:
    provide(client, name, bash('while next; do [ "$event" = 0 ] || sleep 60; respond "$id" "$event"; done'), Timeout=1)
    assert invoke(client, name, 0)[1] == 0
    told, error = invoke(client, name, 1)
    id = told["ResponseMetadata"]["RequestId"]
    assert error == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {id} Error: Task timed out after 1.00 seconds",
    }
    assert invoke(client, name, 0)[1] == 0


ANSWERS = """
next
first=$(curl -sS -o /tmp/body -w '%{{http_code}}' -X POST "$api/invocation/{first}/response" -d '"first"')
told=$(cat /tmp/body)
curl -sS -X POST "$api/invocation/{second}/response" -d '"second"' > /tmp/second
next
respond "$id" "[$first, $told, $(cat /tmp/second)]"
next
"""


def account_of(client: Any, name: str) -> Any:
    """What an environment tells of its first invocation; until it is ready again, others are started beside it."""
    results = (invoke(client, name)[1] for _ in range(50))
    return next(result for result in results if isinstance(result, list))


def test_a_second_answer_is_refused_and_the_first_counts(client: Any, name: str) -> None:
    provide(client, name, bash(ANSWERS.format(first="$id", second="$id")))
    assert invoke(client, name)[1] == "first"
    status, told, second = account_of(client, name)
    assert (status, told) == (202, {"status": "OK"})
    assert second["errorType"] == "InvalidStateTransition"


def test_an_answer_to_another_request_is_refused(client: Any, name: str) -> None:
    provide(client, name, bash(ANSWERS.format(first=str(uuid.uuid4()), second="$id")))
    assert invoke(client, name)[1] == "second"
    status, told, second = account_of(client, name)
    assert (status, told["errorType"], second) == (400, "InvalidRequestID", {"status": "OK"})


def test_what_is_not_served_is_said(client: Any, name: str) -> None:
    script = """
next
respond "$id" "[$(curl -sS -o /dev/null -w '%{http_code}' "$api/nothing"),
  $(curl -sS -o /dev/null -w '%{http_code}' -X POST "$api/init/error" -d '{}')]"
next"""
    provide(client, name, bash(script))
    assert invoke(client, name)[1] == [404, 403]


def test_one_that_never_asks_is_given_init_and_the_functions_timeout(hasty: OndolProcess, name: str) -> None:
    client = hasty.client()
    provide(client, name, bash("exec sleep 60"), Timeout=1)
    kind, reason, _ = failure(client, name)
    assert (kind, reason) == ("Sandbox.Timedout", "Task timed out after 1.00 seconds")


def test_one_whose_init_takes_longer_is_started_again_within_the_first_invocation(
    hasty: OndolProcess, name: str
) -> None:
    client = hasty.client()
    provide(client, name, bash("echo up; sleep 0.6\n" + ECHO), Timeout=3)
    told, result = invoke(client, name, "late", LogType="Tail")
    assert result == "late"
    assert "Init Duration" not in base64.b64decode(told["LogResult"]).decode()
    lines = lines_of(hasty.client("logs"), name, reports)
    assert [line.split()[0] for line in lines] == ["INIT_START", "up", "INIT_REPORT", "up", "START", "END", "REPORT"]
    assert lines[2].endswith("ms\tPhase: init\tStatus: timeout\n")
    duration = float(lines[-1].split("Duration: ")[1].split()[0])
    assert 600 <= duration < 3000, "the second init is part of the invocation"


def test_one_that_never_asks_again_keeps_nobody_waiting(client: Any, name: str) -> None:
    provide(client, name, bash('next; respond "$id" "$event"; exec sleep 60'), Timeout=30)
    begun = time.monotonic()
    for event in range(3):
        assert invoke(client, name, event)[1] == event
    assert time.monotonic() - begun < 15


def test_one_that_answers_after_its_timeout_answers_nobody(client: Any, name: str) -> None:
    """Two processes: the one that answers late is not the one that is waited for."""
    script = """
next
(sleep 1.3; respond "$id" '"late"') &
sleep 60"""
    provide(client, name, bash(script), Timeout=1)
    for _ in range(2):
        assert failure(client, name)[:2] == ("Sandbox.Timedout", "Task timed out after 1.00 seconds")
