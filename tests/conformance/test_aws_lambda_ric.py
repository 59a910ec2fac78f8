"""AWS's own Node interface client, as it is published, in ondol's sandboxes.

It is started by a wrapper in a Node function, and by the bootstrap of a custom runtime; there the package brings a Node
too, because a `provided` root has none.
"""

import base64
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from interface_files import NODES, Named, node, node_client
from lambda_calls import invoke

from ondol_process import ROLE

IN_PACKAGE = "node_modules/aws-lambda-ric"
pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(not NODES, reason="this machine has no Node: install it with the system's packages"),
]
NODE = max(NODES, default="")

WRAPPER = f'#!/bin/bash\nexec "$1" /var/task/{IN_PACKAGE}/bin/index.mjs "$_HANDLER"\n'
BOOTSTRAP = f'#!/bin/bash\nexec /var/task/bin/node /var/task/{IN_PACKAGE}/bin/index.mjs "$_HANDLER"\n'
FUNCTION = """
class Odd extends Error {}
if (process.env.early) throw new RangeError('early');
let calls = 0;
exports.handler = async (event, context) => {
  calls += 1;
  if (event === 'throw') throw new Odd('온돌');
  if (event === 'exit') process.exit(3);
  if (event === 'large') return 'x'.repeat(7 << 20);
  if (event === 'log') { process.stdout.write('written\\n'); console.log('logged', { a: 1 }); console.error('wrong'); }
  if (event === 'context') return { ...context, left: context.getRemainingTimeInMillis() };
  return { event, calls };
};
"""
STREAMING = """
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.write('one ');
  if (event === 'throw') throw new TypeError('in mid-stream');
  stream.end('two');
});
"""


def packaged(files: Iterable[Named]) -> bytes:
    """A deployment package with the client and the functions, and with these files."""
    functions = (Named("app.js", FUNCTION.encode()), Named("streams.js", STREAMING.encode()))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for named in (*node_client(), *functions, *files):
            entry = zipfile.ZipInfo(named.name)
            entry.external_attr = (0o755 if named.executable else 0o644) << 16
            archive.writestr(entry, named.content, zipfile.ZIP_DEFLATED)
    return content.getvalue()


@pytest.fixture(scope="module")
def wrapped() -> bytes:
    return packaged([Named("wrapper", WRAPPER.encode(), executable=True)])


@pytest.fixture(scope="module")
def provided() -> bytes:
    return packaged([*node(), Named("bootstrap", BOOTSTRAP.encode(), executable=True)])


Make = Callable[..., str]


@pytest.fixture(params=["wrapper", "provided"])
def function(request: pytest.FixtureRequest, client: Any, name: str) -> Make:
    """Makes the test's function; answers its name."""
    kind = request.param
    content = request.getfixturevalue("wrapped" if kind == "wrapper" else "provided")

    def make(handler: str = "app.handler", **variables: str) -> str:
        wrapper = {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"} if kind == "wrapper" else {}
        client.create_function(
            FunctionName=name,
            Runtime=NODE if kind == "wrapper" else "provided.al2023",
            Role=ROLE,
            Handler=handler,
            Timeout=20,
            MemorySize=512,
            Environment={"Variables": {**wrapper, **variables}},
            Code={"ZipFile": content},
        )
        client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400}
        )
        return name

    return make


def tail(told: dict[str, Any]) -> list[str]:
    return base64.b64decode(told["LogResult"]).decode().splitlines()


def test_its_whole_life(client: Any, function: Make) -> None:
    name = function()
    for calls, event in enumerate(({"text": "온돌 ü"}, [1, 2.5, None], "x" * 1_000_000), 1):
        told, result = invoke(client, name, event)
        assert "FunctionError" not in told, result
        assert (result["event"], result["calls"]) == (event, calls)
    told, error = invoke(client, name, "throw", LogType="Tail")
    assert (told["FunctionError"], error["errorType"], error["errorMessage"]) == ("Unhandled", "Error", "온돌")
    assert error["trace"][:2] == ["Error: 온돌", "    at exports.handler (/var/task/app.js:7:32)"]
    assert f"/var/task/{IN_PACKAGE}/dist/index.mjs:" in error["trace"][2]
    id = told["ResponseMetadata"]["RequestId"]
    assert any(f"\t{id}\tERROR\tInvoke Error \t" in line for line in tail(told))
    told, error = invoke(client, name, "exit")
    assert (told["FunctionError"], error["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert invoke(client, name, 1)[1]["calls"] == 1
    # At the end: the answer is known before the client has done with its result, and what comes then may run elsewhere.
    told, error = invoke(client, name, "large")
    assert (told["FunctionError"], error["errorType"]) == ("Unhandled", "Function.ResponseSizeTooLarge")


def test_its_context_and_its_log(client: Any, function: Make) -> None:
    name = function()
    told, _ = invoke(client, name, "log", LogType="Tail")
    id = told["ResponseMetadata"]["RequestId"]
    said = [re.sub(r"\S+Z\t", "<time>\t", line) for line in tail(told) if not line.startswith(("REPORT", "Executing"))]
    assert said == [
        f"START RequestId: {id} Version: $LATEST",
        "written",
        f"<time>\t{id}\tINFO\tlogged {{ a: 1 }}",
        f"<time>\t{id}\tERROR\twrong",
        f"END RequestId: {id}",
    ]
    custom = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    told, seen = invoke(client, name, "context", ClientContext=custom)
    assert seen["awsRequestId"] == told["ResponseMetadata"]["RequestId"]
    assert seen["invokedFunctionArn"] == f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    assert (seen["functionName"], seen["functionVersion"], seen["memoryLimitInMB"]) == (name, "$LATEST", "512")
    assert (seen["logGroupName"], seen["clientContext"]) == (f"/aws/lambda/{name}", {"custom": {"k": "v"}})
    assert 15_000 < seen["left"] <= 20_000


def test_its_failed_init(client: Any, function: Make) -> None:
    name = function(early="yes")
    for _ in range(2):
        told, error = invoke(client, name)
        assert (told["FunctionError"], error["errorType"], error["errorMessage"]) == (
            "Unhandled",
            "RangeError",
            "early",
        )


def test_its_streams(client: Any, function: Make) -> None:
    name = function("streams.handler")
    for event, ending in ((1, b"one two"), ("throw", b"one ")):
        answer = client.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event))
        events = list(answer["EventStream"])
        assert b"".join(event["PayloadChunk"]["Payload"] for event in events[:-1]) == ending
        assert events[-1]["InvokeComplete"].get("ErrorCode") == (None if event == 1 else "TypeError")
