"""Invoke as boto3 sees it: results, failures of every kind, and that the very next invocation works."""

import base64
import json
import re
import socket
import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError
from lambda_calls import error_of, invoke

from ondol_process import RUNTIME, OndolProcess, create

pytestmark = pytest.mark.sandbox


def test_a_result_is_passed_through_byte_for_byte(client: Any, name: str) -> None:
    create(client, name, "def h(event, context): return event")
    event = {"text": "온돌 ünï", "list": [1, 2.5, None, True], "nested": {"a": {}}}
    answer, result = invoke(client, name, event)
    assert result == event
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer and "LogResult" not in answer
    assert answer["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/json"


def test_no_result_is_null_and_no_payload_is_an_empty_object(client: Any, name: str) -> None:
    create(client, name, "def h(event, context): return None if event == {} else event")
    assert client.invoke(FunctionName=name)["Payload"].read() == b"null"


def test_the_context_says_what_aws_says(client: Any, name: str) -> None:
    code = """
def h(event, context):
    return {
        "id": context.aws_request_id, "arn": context.invoked_function_arn, "name": context.function_name,
        "version": context.function_version, "memory": context.memory_limit_in_mb, "group": context.log_group_name,
        "stream": context.log_stream_name, "left": context.get_remaining_time_in_millis(),
        "client": context.client_context.custom if context.client_context else None,
    }
"""
    create(client, name, code, Timeout=7, MemorySize=256)
    custom = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    answer, seen = invoke(client, name, ClientContext=custom)
    assert seen["id"] == answer["ResponseMetadata"]["RequestId"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", seen["id"])
    assert seen["arn"] == f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    assert (seen["name"], seen["version"], seen["memory"]) == (name, "$LATEST", "256")
    assert seen["group"] == f"/aws/lambda/{name}"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", seen["stream"])
    assert 6000 < seen["left"] <= 7000
    assert seen["client"] == {"k": "v"}


def test_the_log_tail_has_start_output_end_and_report(client: Any, name: str) -> None:
    create(client, name, "def h(event, context): print('one'); print('two')")
    answer, _ = invoke(client, name, LogType="Tail")
    id = answer["ResponseMetadata"]["RequestId"]
    lines = base64.b64decode(answer["LogResult"]).decode().splitlines(keepends=True)
    assert lines[:4] == [f"START RequestId: {id} Version: $LATEST\n", "one\n", "two\n", f"END RequestId: {id}\n"]
    report = rf"REPORT RequestId: {id}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\t"
    assert re.fullmatch(report + r"Max Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms\t\n", lines[4])
    answer, _ = invoke(client, name, LogType="Tail")
    assert "Init Duration" not in base64.b64decode(answer["LogResult"]).decode()


def test_an_environment_serves_again_with_its_globals_and_its_tmp(client: Any, name: str) -> None:
    code = """
import pathlib
n = 0
def h(event, context):
    global n
    n += 1
    with open("/tmp/f", "a") as f: f.write("x")
    return [n, pathlib.Path("/tmp/f").read_text()]
"""
    create(client, name, code)
    assert [invoke(client, name)[1] for _ in range(3)] == [[1, "x"], [2, "xx"], [3, "xxx"]]


def test_concurrent_invocations_get_environments_of_their_own(client: Any, name: str, ondol: OndolProcess) -> None:
    code = "import time, uuid\nme = uuid.uuid4().hex\ndef h(event, context): time.sleep(0.5); return me"
    create(client, name, code)
    seen: list[str] = []
    threads = [threading.Thread(target=lambda: seen.append(invoke(ondol.client(), name)[1])) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 6


FAILING = """
import os, sys, signal, time
count = 0
def h(event, context):
    global count
    count += 1
    kind = event["kind"]
    if kind == "raise": raise ValueError("no such luck")
    if kind == "exit": sys.exit(0)
    if kind == "exit 3": os._exit(3)
    if kind == "abort": os.abort()
    if kind == "sigkill": os.kill(os.getpid(), signal.SIGKILL)
    if kind == "segfault": os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "sleep": time.sleep(60)
    if kind == "memory": x = bytearray(400 << 20); x[::4096] = b"x" * len(x[::4096])
    if kind == "large": return "x" * (7 << 20)
    return count
"""


@pytest.mark.parametrize(
    ("kind", "error_type", "message"),
    [
        ("raise", "ValueError", "no such luck"),
        ("exit 3", "Runtime.ExitError", "RequestId: {id} Error: Runtime exited with error: exit status 3"),
        ("abort", "Runtime.ExitError", "RequestId: {id} Error: Runtime exited with error: signal: aborted"),
        ("sigkill", "Runtime.ExitError", "RequestId: {id} Error: Runtime exited with error: signal: killed"),
        (
            "segfault",
            "Runtime.ExitError",
            "RequestId: {id} Error: Runtime exited with error: signal: segmentation fault",
        ),
        ("exit", "Runtime.ExitError", "RequestId: {id} Error: Runtime exited without providing a reason"),
        ("memory", "Runtime.OutOfMemory", "RequestId: {id} Error: Runtime exited with error: signal: killed"),
        ("sleep", "Sandbox.Timedout", "RequestId: {id} Error: Task timed out after 1.00 seconds"),
        (
            "large",
            "Function.ResponseSizeTooLarge",
            "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        ),
    ],
)
def test_each_failure_is_told_as_aws_does_and_the_next_invocation_works(
    client: Any, name: str, kind: str, error_type: str, message: str
) -> None:
    # A small one is throttled once the large result is out, and its next invocation then finds another environment.
    create(client, name, FAILING, Timeout=1 if kind == "sleep" else 10, MemorySize=1769 if kind == "large" else 128)
    assert invoke(client, name, {"kind": "none"})[1] == 1
    answer, error = invoke(client, name, {"kind": kind})
    assert answer["StatusCode"] == 200
    assert answer["FunctionError"] == "Unhandled"
    assert error["errorType"] == error_type
    assert error["errorMessage"] == message.format(id=answer["ResponseMetadata"]["RequestId"])
    again, count = invoke(client, name, {"kind": "none"})
    assert "FunctionError" not in again
    if kind != "large":  # its runtime lives on, but may not be ready again when its client is
        assert count == (3 if kind == "raise" else 1), "a runtime that died leaves nothing behind"


def test_an_exception_has_its_stack_and_request_id(client: Any, name: str) -> None:
    create(client, name, FAILING)
    answer, error = invoke(client, name, {"kind": "raise"})
    assert error["requestId"] == answer["ResponseMetadata"]["RequestId"]
    assert error["stackTrace"] == [
        '  File "/var/task/m.py", line 8, in h\n    if kind == "raise": raise ValueError("no such luck")\n'
    ]


@pytest.mark.parametrize(
    ("code", "error_type", "text"),
    [
        ("import nothing_of_that_name", "Runtime.ImportModuleError", "No module named 'nothing_of_that_name'"),
        ("def h(:", "Runtime.UserCodeSyntaxError", "Syntax error in module 'm'"),
        ("def other(event, context): pass", "Runtime.HandlerNotFound", "Handler 'h' missing on module 'm'"),
        ("raise RuntimeError('at import')", "RuntimeError", "at import"),
    ],
)
def test_a_failed_init_is_told_to_the_invocation_that_caused_it(
    client: Any, name: str, code: str, error_type: str, text: str
) -> None:
    create(client, name, code)
    for _ in range(2):
        answer, error = invoke(client, name)
        assert answer["FunctionError"] == "Unhandled"
        assert error["errorType"] == error_type
        assert text in error["errorMessage"]


def test_the_log_tail_of_a_failed_init_says_why(client: Any, name: str) -> None:
    create(client, name, "print('before'); raise RuntimeError('at import')")
    answer, _ = invoke(client, name, LogType="Tail")
    tail = base64.b64decode(answer["LogResult"]).decode()
    id = answer["ResponseMetadata"]["RequestId"]
    attempt = ["before\n", "[ERROR] RuntimeError: at import", "INIT_REPORT"]
    place = 0
    for text in ["INIT_START", *attempt, *attempt, f"START RequestId: {id}", "END"]:
        place = tail.find(text, place) + len(text)
        assert place >= len(text), tail
    assert tail.endswith("Status: error\tError Type: RuntimeError\n")
    assert "LogResult" not in invoke(client, name)[0]


def test_exit_during_init(client: Any, name: str) -> None:
    create(client, name, "import os\nos._exit(4)")
    _, error = invoke(client, name)
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith("Error: Runtime exited with error: exit status 4")


def test_payloads_of_the_largest_size_pass_both_ways(client: Any, name: str) -> None:
    create(client, name, "def h(event, context): return event", Timeout=20, MemorySize=512)
    event = "x" * (6 * (1 << 20) - 10)
    assert invoke(client, name, event)[1] == event


def test_a_payload_over_the_limit_is_refused(client: Any, name: str) -> None:
    create(client, name, "def h(event, context): return 1")
    error = error_of(lambda: client.invoke(FunctionName=name, Payload=b'"' + b"x" * (6 << 20) + b'"'))
    assert error["Error"]["Code"] == "RequestTooLargeException"
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_a_payload_that_is_no_json_is_refused(client: Any, name: str) -> None:
    create(client, name, "def h(event, context): return 1")
    error = error_of(lambda: client.invoke(FunctionName=name, Payload=b"{broken"))
    assert error["Error"]["Code"] == "InvalidRequestContentException"
    assert error["Error"]["Message"].startswith(
        "Could not parse request body into json: Could not parse payload into json: "
    )


def test_dry_run_runs_nothing(client: Any, name: str) -> None:
    create(client, name, "def h(event, context): raise SystemExit")
    answer = client.invoke(FunctionName=name, InvocationType="DryRun")
    assert answer["StatusCode"] == 204
    assert answer["Payload"].read() == b""


def test_an_unknown_function_is_not_found(client: Any) -> None:
    error = error_of(lambda: client.invoke(FunctionName="nobody-made-this"))
    arn = "arn:aws:lambda:us-east-1:000000000000:function:nobody-made-this"
    assert error["Error"]["Code"] == "ResourceNotFoundException"
    assert error["Error"]["Message"] == f"Function not found: {arn}:$LATEST"
    assert error["Message"] == error["Error"]["Message"] and error["Type"] == "User"


def test_reserved_concurrency_throttles_with_its_reason(client: Any, name: str, ondol: OndolProcess) -> None:
    create(client, name, "import time\ndef h(event, context): time.sleep(event); return 1", Timeout=20)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    refused: list[dict[str, Any]] = []

    def call(own: Any) -> None:
        try:
            invoke(own, name, 1)
        except ClientError as error:
            refused.append(error.response)

    threads = [threading.Thread(target=call, args=(ondol.client(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [error] = refused
    assert error["Error"]["Code"] == "TooManyRequestsException"
    assert error["Error"]["Message"] == "Rate Exceeded."
    assert error["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert invoke(client, name, 0)[1] == 1
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert error_of(lambda: invoke(client, name, 0))["Error"]["Code"] == "TooManyRequestsException"


def test_the_environment_is_as_on_aws(client: Any, name: str) -> None:
    code = """
import grp, os, pwd

def h(event, context):
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    return [dict(os.environ), os.getcwd(), os.getuid(), user, group, os.path.expanduser("~")]
"""
    create(client, name, code, Environment={"Variables": {"MINE": "yes"}})
    _, (variables, directory, user, *named) = invoke(client, name)
    assert named == ["sbx_user1051", "sbx_user1051", "/home/sbx_user1051"]
    assert directory == "/var/task"
    assert user != 0
    assert variables["MINE"] == "yes"
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == name
    assert variables["AWS_EXECUTION_ENV"] == f"AWS_Lambda_{RUNTIME}"
    assert variables["_HANDLER"] == "m.h"
    assert variables["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    leaked = {"HOME", "USER", "PYENV_ROOT", "VIRTUAL_ENV", "SSL_CERT_FILE", "ONDOL_ENDPOINT"} & set(variables)
    assert not leaked


def test_who_stops_sending_while_it_waits_for_an_environment_is_answered_at_once(
    client: Any, name: str, ondol: OndolProcess
) -> None:
    create(client, name, "import time\ntime.sleep(8)\ndef h(event, context):\n    return 1", Timeout=20)
    host, _, port = ondol.endpoint.removeprefix("http://").rpartition(":")
    credential = "Credential=000000000000/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0"
    head = f"POST /2015-03-31/functions/{name}/invocations HTTP/1.1\r\nHost: {host}:{port}\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(
            f"{head}Authorization: AWS4-HMAC-SHA256 {credential}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
        )
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 503 ")
