"""InvokeWithResponseStream: what a function writes comes as it is written, and how it ended comes last.

The functions bring a runtime that speaks the Runtime API's streaming mode by hand, in bash.
"""

import base64
import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from lambda_calls import invoke, refusal, violations
from test_provided import bash, provide

from ondol_process import OndolProcess, create

pytestmark = pytest.mark.sandbox

STREAMING = r"""
own=$RANDOM$RANDOM$RANDOM
begin() {
  exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API/://}"
  printf '%s\r\n' "POST /2018-06-01/runtime/invocation/$id/response HTTP/1.1" "Host: $AWS_LAMBDA_RUNTIME_API" \
    "Content-Type: ${type-application/octet-stream}" "Lambda-Runtime-Function-Response-Mode: ${mode-streaming}" \
    'Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body' \
    'Transfer-Encoding: chunked' '' >&3
}
chunk() { printf '%x\r\n%s\r\n' ${#1} "$1" >&3; }
many() { for ((n = 0; n < $1; n++)); do printf '%x\r\n' 1048576; cat /tmp/megabyte; printf '\r\n'; done >&3; }
end() {
  printf '0\r\n%s\r\n' "${1-}" >&3
  read -r _ status _ <&3
  exec 3>&-
}
head -c 1048576 /dev/zero | tr '\0' x > /tmp/megabyte
while true; do
  next
  eval "$(printf %s "$event" | sed 's/^"//; s/"$//; s/\\"/"/g; s/\\\\/\\/g')"
done
"""
"""Runs the event, which is the text of a script."""

MB = 1 << 20


@pytest.fixture(scope="module")
def name(client: Any) -> str:
    """A function that runs the event, for tests that leave it usable."""
    provide(client, "streams", bash(STREAMING), MemorySize=1769, Timeout=30)
    return "streams"


def stream(client: Any, name: str, event: Any, **more: Any) -> Iterator[dict[str, Any]]:
    told = client.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event), **more)
    assert told["StatusCode"] == 200
    assert told["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    yield from told["EventStream"]


def result(client: Any, name: str, event: Any, **more: Any) -> tuple[bytes, dict[str, str]]:
    """All that was written, and how it ended."""
    *chunks, last = stream(client, name, event, **more)
    return b"".join(chunk["PayloadChunk"]["Payload"] for chunk in chunks), last["InvokeComplete"]


def failed(client: Any, name: str, event: str) -> tuple[bytes, str, dict[str, Any]]:
    """What was written, the error's code, and its details."""
    written, last = result(client, name, event)
    assert last.keys() == {"ErrorCode", "ErrorDetails"}
    return written, last["ErrorCode"], json.loads(last["ErrorDetails"])


def test_what_is_written_comes_before_the_function_has_ended(client: Any, name: str) -> None:
    events = stream(client, name, "begin; chunk one; sleep 1; chunk two; end")
    assert next(events) == {"PayloadChunk": {"Payload": b"one"}}
    began = time.monotonic()
    assert list(events) == [{"PayloadChunk": {"Payload": b"two"}}, {"InvokeComplete": {}}]
    assert time.monotonic() - began > 0.8


def test_the_answer_carries_version_and_request_id(client: Any, name: str) -> None:
    told = client.invoke_with_response_stream(FunctionName=name, Payload=b'"begin; chunk $id; end"')
    assert told["ExecutedVersion"] == "$LATEST"
    id = told["ResponseMetadata"]["RequestId"]
    assert list(told["EventStream"]) == [{"PayloadChunk": {"Payload": id.encode()}}, {"InvokeComplete": {}}]


def test_an_empty_stream(client: Any, name: str) -> None:
    assert list(stream(client, name, "begin; end")) == [{"InvokeComplete": {}}]


def test_a_function_that_does_not_stream_is_one_chunk(client: Any) -> None:
    create(client, "whole", "def h(event, context): return [event, context.client_context.custom, 'ü' * 50000]")
    context = base64.b64encode(b'{"custom": {"a": 1}}').decode()
    events = list(stream(client, "whole", {"b": 2}, ClientContext=context, Qualifier="$LATEST"))
    assert [json.loads(event["PayloadChunk"]["Payload"]) for event in events[:-1]] == [
        [{"b": 2}, {"a": 1}, "ü" * 50000]
    ]
    assert events[-1] == {"InvokeComplete": {}}


def test_a_function_that_streams_is_gathered_for_invoke(client: Any, name: str) -> None:
    told, answer = invoke(client, name, "begin; chunk '[1,'; chunk '2]'; end")
    assert (answer, told.get("FunctionError")) == ([1, 2], None)
    told, error = invoke(client, name, "begin; many 7; end")
    assert (told["FunctionError"], error["errorType"]) == ("Unhandled", "Function.ResponseSizeTooLarge")
    assert invoke(client, name, "begin; chunk '\"well\"'; end")[1] == "well"


def test_the_prelude_for_urls_is_passed_through(client: Any, name: str) -> None:
    prelude = '{"statusCode":201}'
    script = (
        "type=application/vnd.awslambda.http-integration-response; begin; unset type; "
        f"chunk '{prelude}'; printf '8\\r\\n\\0\\0\\0\\0\\0\\0\\0\\0\\r\\n' >&3; chunk body; end"
    )
    assert result(client, name, script) == (prelude.encode() + bytes(8) + b"body", {})


def test_the_log_comes_with_the_end(client: Any, name: str) -> None:
    written, last = result(client, name, "begin; chunk one; echo a line; end", LogType="Tail")
    assert written == b"one"
    assert last.keys() == {"LogResult"}
    lines = base64.b64decode(last["LogResult"]).decode().splitlines()
    assert [line.split()[0] for line in lines if not line.startswith("INIT")] == ["START", "a", "END", "REPORT"]


def test_dry_runs_and_other_types(client: Any, name: str) -> None:
    told = client.invoke_with_response_stream(FunctionName=name, InvocationType="DryRun")
    assert told["StatusCode"] == 204
    assert list(told["EventStream"]) == []
    assert refusal(lambda: client.invoke_with_response_stream(FunctionName=name, InvocationType="Event")) == violations(
        "'Event' at 'invocationType' failed to satisfy constraint: "
        "Member must satisfy enum value set: [RequestResponse, DryRun]"
    )


def test_what_is_refused_is_refused_as_invoke_does(client: Any, name: str) -> None:
    for call in (
        lambda call: call(FunctionName="nobody-made-this"),
        lambda call: call(FunctionName=name, Qualifier="9"),
        lambda call: call(FunctionName=name, Payload=b"{"),
        lambda call: call(FunctionName=name, ClientContext="?"),
        lambda call: call(FunctionName="a" * 65),
    ):
        assert refusal(lambda call=call: call(client.invoke_with_response_stream)) == refusal(
            lambda call=call: call(client.invoke)
        )


def test_an_error_in_mid_stream_is_told_as_the_runtime_tells_it(client: Any, name: str) -> None:
    error = base64.b64encode(b'{"errorMessage": "no more", "errorType": "Own.Luck"}').decode()
    trailers = f"Lambda-Runtime-Function-Error-Type: Own.Luck\r\nLambda-Runtime-Function-Error-Body: {error}\r\n"
    script = f"begin; chunk one; end $'{trailers}'".replace("\r", "\\r").replace("\n", "\\n")
    assert failed(client, name, script) == (b"one", "Own.Luck", {"errorMessage": "no more", "errorType": "Own.Luck"})
    told, answer = invoke(client, name, script)
    assert (told["FunctionError"], answer["errorType"]) == ("Unhandled", "Own.Luck")


def test_an_error_before_the_first_piece_is_told_as_invoke_tells_it(client: Any, name: str) -> None:
    script = """curl -sS -X POST "$api/invocation/$id/error" -d '{"errorMessage": "no", "errorType": "Own.No"}'"""
    assert failed(client, name, script) == (b"", "Unhandled", {"errorMessage": "no", "errorType": "Own.No"})


def test_an_init_that_fails(client: Any) -> None:
    provide(client, "never-begins", bash("exit 3"))
    written, code, details = failed(client, "never-begins", "")
    assert (written, code, details["errorType"]) == (b"", "Unhandled", "Runtime.ExitError")


def test_a_timeout_in_mid_stream(client: Any) -> None:
    provide(client, "stalls", bash(STREAMING), Timeout=1)
    written, code, details = failed(client, "stalls", "begin; chunk one; sleep 60")
    assert (written, code) == (b"one", "Sandbox.Timedout")
    assert details["errorMessage"].endswith(" Error: Task timed out after 1.00 seconds")
    assert result(client, "stalls", "begin; chunk again; end") == (b"again", {})


def test_a_crash_in_mid_stream(client: Any, name: str) -> None:
    written, code, details = failed(client, name, "begin; chunk one; kill -9 $$")
    assert (written, code) == (b"one", "Runtime.ExitError")
    assert details["errorMessage"].endswith(" Error: Runtime exited with error: signal: killed")
    assert result(client, name, "begin; chunk again; end") == (b"again", {})


def runtime(client: Any, name: str) -> bytes:
    return result(client, name, "begin; chunk $own; end")[0]


def lives_on(client: Any, name: str, own: bytes) -> bool:
    """This runtime still serves; until it is ready again, others are started beside it."""
    return any(runtime(client, name) == own for _ in range(50))


def test_a_response_that_breaks_off(client: Any) -> None:
    provide(client, "breaks-off", bash(STREAMING))
    own = runtime(client, "breaks-off")
    written, code, _ = failed(client, "breaks-off", "begin; chunk one; exec 3>&-")
    assert (written, code) == (b"one", "Runtime.TruncatedResponse")
    assert lives_on(client, "breaks-off", own)


def test_while_it_streams_nothing_else_is_taken_for_the_result(client: Any, name: str) -> None:
    script = """
begin; chunk one
for verb in response error; do
  chunk "$(curl -sS -o /dev/null -w '%{http_code}' -X POST "$api/invocation/$id/$verb" -d '"other"')"
done
chunk "$(curl -sS -o /dev/null -w '%{http_code}' "$api/invocation/next")"
end"""
    assert result(client, name, script.replace("\n", "; ").replace("do;", "do").lstrip("; ")) == (b"one403403403", {})


def test_an_unknown_mode_is_refused(client: Any, name: str) -> None:
    written, code, details = failed(client, name, "mode=buffered; begin; unset mode; chunk one; end; own=$status$own")
    assert (written, code, details["errorType"]) == (b"", "Unhandled", "Runtime.InvalidResponseModeHeader")


def test_a_result_larger_than_a_whole_one_may_be_is_slowed_down_and_complete(client: Any, name: str) -> None:
    began = time.monotonic()
    written, last = result(client, name, "begin; many 8; end")
    assert time.monotonic() - began > 0.9, "the first 6 MB as fast as they can, the next 2 MB in a second"
    assert (len(written), set(written), last) == (8 * MB, {ord("x")}, {})


class SlowClient:
    """A connection whose reader takes what it is told to, and whose kernel holds little."""

    def __init__(self, ondol: OndolProcess, name: str, script: str) -> None:
        host, port = ondol.endpoint.removeprefix("http://").split(":")
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self._socket.connect((host, int(port)))
        self._socket.settimeout(60)
        body = json.dumps(script).encode()
        path = f"/2021-11-15/functions/{name}/response-streaming-invocations"
        scope = "Credential=000000000000/20260101/us-east-1/lambda/aws4_request"
        self._socket.sendall(
            f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n"
            f"Authorization: AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0\r\n\r\n".encode()
            + body
        )
        self._answer = http.client.HTTPResponse(self._socket)
        self._parser = EventStreamBuffer()
        self.written = 0
        self.ended = False

    def begin(self) -> None:
        self._answer.begin()
        assert self._answer.status == 200

    def read(self, size: int) -> None:
        self._parser.add_data(self._answer.read1(size))
        for message in self._parser:
            if message.headers[":event-type"] == "PayloadChunk":
                self.written += len(message.payload)
            else:
                self.ended = True

    def close(self) -> None:
        self._answer.close()
        self._socket.close()


def resident_mb(ondol: OndolProcess) -> float:
    assert ondol.process is not None
    lines = Path(f"/proc/{ondol.process.pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def test_slow_clients_cost_the_platform_no_memory(client: Any, ondol: OndolProcess, name: str) -> None:
    count = 8
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(contextlib.closing(SlowClient(ondol, name, "begin; many 6; end"))) for _ in range(count)
        ]
        for each in clients:
            each.begin()
        before = peak = resident_mb(ondol)
        while not all(each.ended for each in clients):
            for each in clients:
                if not each.ended:
                    each.read(65_536)
            peak = max(peak, resident_mb(ondol))
    assert [each.written for each in clients] == [6 * MB] * count
    assert peak - before < 16, "48 MB went through"


def messages(ondol: OndolProcess, name: str) -> list[str]:
    logs = ondol.client("logs")
    group = f"/aws/lambda/{name}"
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        return []
    return [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]


def test_a_client_that_goes_away_does_not_end_the_function(client: Any, ondol: OndolProcess) -> None:
    provide(client, "goes-on", bash(STREAMING), MemorySize=1769, Timeout=30)
    own = runtime(client, "goes-on")
    leaving = SlowClient(ondol, "goes-on", "begin; chunk one; many 5; end; echo it was answered $status")
    leaving.begin()
    leaving.close()
    while "it was answered 202\n" not in messages(ondol, "goes-on"):
        pass
    assert lives_on(client, "goes-on", own)


def test_a_stream_through_an_alias_names_the_version(client: Any) -> None:
    provide(client, "versioned", bash(STREAMING))
    client.publish_version(FunctionName="versioned")
    client.create_alias(FunctionName="versioned", Name="live", FunctionVersion="1")
    told = client.invoke_with_response_stream(
        FunctionName="versioned", Qualifier="live", Payload=b'"begin; chunk $own; end"'
    )
    assert told["ExecutedVersion"] == "1"
    assert [*told["EventStream"]][-1] == {"InvokeComplete": {}}
