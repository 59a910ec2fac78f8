"""Extensions in real environments: registered, told of invocations and of the end; slow, hanging, failing ones."""

import base64
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from extension_sources import BASH, PYTHON, bash
from function_logs import lines_of, reports
from lambda_calls import ACCOUNT, arn, invoke

from ondol.runtimes import catalog
from ondol_process import OndolProcess, create, package

pytestmark = pytest.mark.sandbox

ECHO = "def h(event, context): return event"
NODES = sorted(name for name in catalog.find().runtimes if name.startswith("nodejs"))


@pytest.fixture(scope="session")
def logs(ondol: OndolProcess) -> Any:
    return ondol.client("logs")


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    """An ondol whose init phase is over after 0.5 s."""
    with OndolProcess(tmp_path_factory.mktemp("hasty") / "data", {"PHASES_INIT_S": "0.5"}) as process:
        yield process


def extend(client: Any, name: str, extensions: dict[str, str], code: Any = ECHO, **settings: Any) -> None:
    """A function with a layer that brings these extensions."""
    files: dict[str, str | bytes] = {f"extensions/{file}*": text for file, text in extensions.items()}
    published = client.publish_layer_version(LayerName=f"l-{name}"[:100], Content={"ZipFile": package(files)})
    create(client, name, code, Layers=[published["LayerVersionArn"]], **settings)


def shutdowns(lines: list[str]) -> list[str]:
    """The reasons of the shutdown events that extensions wrote down."""
    return [match[1] for line in lines if (match := re.search(r'"shutdownReason": ?"(\w+)"', line))]


@pytest.mark.parametrize(
    ("extensions", "settings"),
    [
        ({"watch.sh": BASH}, {}),
        ({"watch.py": PYTHON}, {}),
        ({"watch.sh": BASH, "watch.py": PYTHON}, {"Environment": {"Variables": {"PYTHONHASHSEED": "1"}}}),
    ],
    ids=["bash", "python", "both, fresh interpreter"],
)
def test_one_hears_of_every_invocation_and_of_the_end(
    client: Any, logs: Any, name: str, extensions: dict[str, str], settings: dict[str, Any]
) -> None:
    extend(client, name, extensions, **settings)
    requests = []
    for number in range(3):
        told, result = invoke(client, name, number)
        assert result == number
        requests.append(told["ResponseMetadata"]["RequestId"])
        lines_of(logs, name, lambda lines: len(reports(lines)) == len(requests))
    client.delete_function(FunctionName=name)
    lines = lines_of(logs, name, lambda lines: len(shutdowns(lines)) == len(extensions))
    assert set(shutdowns(lines)) == {"spindown"}
    for own in extensions:
        assert f"EXTENSION\tName: {own}\tState: Ready\tEvents: [INVOKE,SHUTDOWN]\n" in lines
        mine = [json.loads(line[line.index("{") :]) for line in lines if line.startswith(f"[{own}]")]
        registered, *events = mine
        assert {key: registered[key] for key in ("functionName", "functionVersion", "handler")} == {
            "functionName": name,
            "functionVersion": "$LATEST",
            "handler": "m.h",
        }
        assert registered.get("accountId") == (ACCOUNT if own == "watch.py" else None)
        assert [event["eventType"] for event in events] == ["INVOKE"] * 3 + ["SHUTDOWN"]
        assert [event["requestId"] for event in events[:3]] == requests
        assert {event["invokedFunctionArn"] for event in events[:3]} == {arn(name)}
        assert all(event["tracing"]["type"] == "X-Amzn-Trace-Id" for event in events[:3])
        assert all(event["tracing"]["value"].startswith("Root=1-") for event in events[:3])
        assert all(0 < event["deadlineMs"] - time.time() * 1000 + 60_000 < 120_000 for event in events)


def test_what_one_finds_around_it(client: Any, logs: Any, name: str) -> None:
    seen = bash('echo "seen: $(env | sort | tr "\\n" ";")"; next; next')
    extend(client, name, {"sees": seen}, Environment={"Variables": {"OWN": "value"}})
    assert invoke(client, name, 1)[1] == 1
    lines = lines_of(logs, name, lambda lines: any(line.startswith("seen: ") for line in lines))
    [text] = [line for line in lines if line.startswith("seen: ")]
    variables = dict(entry.split("=", 1) for entry in text.removeprefix("seen: ").strip().split(";") if "=" in entry)
    assert variables["OWN"] == "value"
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == name
    assert variables["AWS_LAMBDA_RUNTIME_API"] == "127.0.0.1:9001"
    assert variables.keys() >= {"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "PATH", "TZ"}
    withheld = {"AWS_EXECUTION_ENV", "_HANDLER", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_LAMBDA_LOG_GROUP_NAME"}
    assert not withheld & variables.keys()


SLOW = bash('while next; do case "$event" in *SHUTDOWN*) exit ;; esac; sleep 1; done')


def test_a_slow_one_delays_the_report_and_not_the_answer(client: Any, logs: Any, name: str) -> None:
    extend(client, name, {"slow": SLOW}, Timeout=10)
    invoke(client, name)
    begun = time.monotonic()
    assert invoke(client, name, 7)[1] == 7
    assert time.monotonic() - begun < 1.0, "the client waits for the function alone"
    lines = lines_of(logs, name, lambda lines: len(reports(lines)) == 2)
    assert 1000 <= float(reports(lines)[-1]["Duration"].split()[0]) < 8000
    assert int(reports(lines)[-1]["Billed Duration"].split()[0]) >= 1000


def test_who_asks_for_the_log_gets_it_whole(client: Any, name: str) -> None:
    extend(client, name, {"slow": bash('while next; do echo "at work"; sleep 0.5; echo "done"; done')}, Timeout=10)
    tail = base64.b64decode(invoke(client, name, LogType="Tail")[0]["LogResult"]).decode().splitlines()
    assert [line.split()[0] for line in tail][-4:] == ["at", "done", "END", "REPORT"]


def test_one_that_hangs_hangs_nothing_but_its_environment(client: Any, logs: Any, name: str) -> None:
    hanging = bash('next; echo "[hangs] $event"; sleep 60')
    extend(client, name, {"hangs": hanging, "watch.py": PYTHON}, Timeout=1)
    for number in range(2):
        begun = time.monotonic()
        assert invoke(client, name, number)[1] == number
        assert time.monotonic() - begun < 1.0
    lines = lines_of(logs, name, lambda lines: len(shutdowns(lines)) == 2)
    assert set(shutdowns(lines)) == {"timeout"}
    assert sum("Task timed out after 1.00 seconds" in line for line in lines) == 2
    assert reports(lines)[-1]["Status"] == "timeout"


def test_the_functions_timeout_is_told_as_ever_and_to_extensions(client: Any, logs: Any, name: str) -> None:
    extend(client, name, {"watch.py": PYTHON}, "import time\ndef h(event, context): time.sleep(60)", Timeout=1)
    told, error = invoke(client, name)
    assert (told["FunctionError"], error["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert shutdowns(lines_of(logs, name, shutdowns)) == ["timeout"]


def test_a_runtime_that_crashes_is_told_as_ever_and_to_extensions(client: Any, logs: Any, name: str) -> None:
    extend(client, name, {"watch.sh": BASH}, "import os\ndef h(event, context): os._exit(3)")
    told, error = invoke(client, name)
    assert (told["FunctionError"], error["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert error["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    lines = lines_of(logs, name, shutdowns)
    assert shutdowns(lines) == ["failure"]
    assert "[watch.sh] asked to end\n" not in lines, "the signal is for the runtime alone"


CRASHES = bash('while next; do case "$event" in *INVOKE*) exit 5 ;; esac; done')


def test_one_that_crashes_while_the_function_runs(client: Any, logs: Any, name: str) -> None:
    sleeping = "import time\ndef h(event, context): time.sleep(event)"
    extend(client, name, {"crashes": CRASHES, "watch.py": PYTHON}, sleeping, Timeout=30)
    told, error = invoke(client, name, 20)
    id = told["ResponseMetadata"]["RequestId"]
    assert error == {"errorType": "Extension.Crash", "errorMessage": f"RequestId: {id} Error: exit status 5"}
    lines = lines_of(logs, name, shutdowns)
    assert shutdowns(lines) == ["failure"]
    assert f"RequestId: {id} Error: exit status 5\nExtension.Crash\n" in lines
    assert reports(lines)[-1]["Error Type"] == "Extension.Crash"


def test_one_that_ends_by_itself_at_init_fails_it_twice(client: Any, logs: Any, name: str) -> None:
    extend(client, name, {"ends": bash("exit 0")})
    told, error = invoke(client, name)
    id = told["ResponseMetadata"]["RequestId"]
    assert error == {"errorType": "Extension.Crash", "errorMessage": f"RequestId: {id} Error: exit code 0"}
    lines = lines_of(logs, name, reports)
    init = ["EXTENSION", "INIT_REPORT"]
    kinds = ["INIT_START", *init, *init, "START", "RequestId:", "END", "REPORT"]
    assert [line.split()[0] for line in lines] == kinds
    told_of_init = [line.split("\t")[1:] for line in lines if line.startswith("INIT_REPORT")]
    status = ["Status: error", "Error Type: Extension.Crash\n"]
    assert told_of_init == [["Phase: init", *status], ["Phase: invoke", *status]]


@pytest.mark.parametrize(
    ("script", "error_type", "why", "state"),
    [
        ("error init Extension.NoKey; exit 1", "Extension.InitError", "exit status 1", "InitError"),
        ("error exit Extension.Lost; exit 0", "Extension.ExitError", "exit code 0", "ExitError"),
    ],
)
def test_one_that_reports_an_error_before_it_exits(
    client: Any, logs: Any, name: str, script: str, error_type: str, why: str, state: str
) -> None:
    extend(client, name, {"reports": bash(script)})
    told, error = invoke(client, name)
    id = told["ResponseMetadata"]["RequestId"]
    assert error == {"errorType": error_type, "errorMessage": f"RequestId: {id} Error: {why}"}
    lines = lines_of(logs, name, reports)
    own = "Extension.NoKey" if state == "InitError" else "Extension.Lost"
    assert f"EXTENSION\tName: reports\tState: {state}\tEvents: [INVOKE,SHUTDOWN]\tError Type: {own}\n" in lines


@pytest.mark.parametrize(
    ("extensions", "why"),
    [
        ({"bad": "no program\n"}, "fork/exec /opt/extensions/bad: exec format error"),
        ({"bad": "#!/nowhere\n"}, "fork/exec /opt/extensions/bad: no such file or directory"),
        ({f"e{number:02}": BASH for number in range(11)}, "ErrTooManyExtensions"),
    ],
    ids=["no program", "no interpreter", "eleven"],
)
def test_what_cannot_be_launched(client: Any, name: str, extensions: dict[str, str], why: str) -> None:
    extend(client, name, extensions)
    told, error = invoke(client, name)
    id = told["ResponseMetadata"]["RequestId"]
    assert error == {"errorType": "Extension.LaunchError", "errorMessage": f"RequestId: {id} Error: {why}"}


def test_ten_run_at_once(client: Any, logs: Any, name: str) -> None:
    extend(client, name, {f"e{number}": BASH for number in range(10)}, MemorySize=512, Timeout=20)
    assert invoke(client, name, "ten")[1] == "ten"
    client.delete_function(FunctionName=name)
    assert len(shutdowns(lines_of(logs, name, lambda lines: len(shutdowns(lines)) == 10))) == 10


def test_one_that_never_registers_is_given_the_same_limits_as_the_function(hasty: OndolProcess, name: str) -> None:
    client = hasty.client()
    extend(client, name, {"silent": "#!/bin/bash\nsleep 60\n"}, Timeout=1)
    told, error = invoke(client, name)
    id = told["ResponseMetadata"]["RequestId"]
    assert error["errorMessage"] == f"RequestId: {id} Error: Task timed out after 1.00 seconds"


INTERNAL = """
import http.client, json, os, threading

def ask(method, path, headers, body=None):
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    api.request(method, path, body, headers)
    answer = api.getresponse()
    return answer.status, dict(answer.getheaders()), json.loads(answer.read())

def register(name, *events):
    headers = {"Lambda-Extension-Name": name}
    return ask("POST", "/2020-01-01/extension/register", headers, json.dumps({"events": events}))

refused = register("inside", "SHUTDOWN")
status, fields, told = register("inside", "INVOKE")
heard = []

def listen():
    while True:
        own = {"Lambda-Extension-Identifier": fields["Lambda-Extension-Identifier"]}
        heard.append(ask("GET", "/2020-01-01/extension/event/next", own)[2])

threading.Thread(target=listen, daemon=True).start()

def h(event, context):
    late = register("late", "INVOKE")
    stub = ask("PUT", "/2022-07-01/telemetry", {}, "{}")
    return [refused[0], refused[2], status, told, heard, late[0], late[2]["errorType"], stub[0], stub[2]["errorType"]]
"""


def test_an_internal_one(client: Any, logs: Any, name: str) -> None:
    create(client, name, INTERNAL, MemorySize=1769)
    invoke(client, name)
    told, result = invoke(client, name)
    refused, why, status, registered, heard, late, closed, stub, unsupported = result
    assert (refused, why["errorType"]) == (403, "Extension.InvalidEventType")
    assert (status, registered["functionName"]) == (200, name)
    assert heard[-1]["requestId"] == told["ResponseMetadata"]["RequestId"]
    assert (late, closed) == (403, "Extension.RegistrationClosed")
    assert (stub, unsupported) == (202, "Telemetry.NotSupported")
    lines = lines_of(logs, name, reports)
    assert "EXTENSION\tName: inside\tState: Ready\tEvents: [INVOKE]\n" in lines


PROVIDED = """#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  event=$(curl -sS -D /tmp/headers "$api/invocation/next")
  id=$(grep -i '^lambda-runtime-aws-request-id:' /tmp/headers | tr -d '[:space:]' | cut -d: -f2)
  curl -sS -X POST "$api/invocation/$id/response" -d "$event" > /dev/null
done
"""


def test_a_runtime_of_ones_own_has_them_too(client: Any, logs: Any, name: str) -> None:
    extend(client, name, {"watch.sh": BASH}, {"bootstrap*": PROVIDED}, Runtime="provided.al2023")
    assert invoke(client, name, "own")[1] == "own"
    client.delete_function(FunctionName=name)
    assert shutdowns(lines_of(logs, name, shutdowns)) == ["spindown"]


@pytest.mark.skipif(not NODES, reason="this machine has no Node: install it with the system's packages")
def test_node_has_them_too(client: Any, logs: Any, name: str) -> None:
    code = {"m.js": "exports.h = async (event) => event;"}
    extend(client, name, {"watch.sh": BASH}, code, Runtime=NODES[-1])
    assert invoke(client, name, "node")[1] == "node"
