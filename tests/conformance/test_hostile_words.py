"""What callers and functions say that can be read by nobody, or sent on by nobody: it harms themselves alone."""

import base64
import json
import time
from typing import Any

import pytest
from lambda_calls import invoke
from test_access import ask, signed
from test_async_invoke import lines_of
from test_function_urls import call, public

from ondol_process import OndolProcess, create

DEEP = 1_500
"""Lists within one another: more than any reader of JSON follows."""

ANSWERS = f"""
import http.client
api = http.client.HTTPConnection("127.0.0.1", 9001)
def h(event, context):
    deep = int(event["rawPath"][1:])
    path = f"/2018-06-01/runtime/invocation/{{context.aws_request_id}}/response"
    api.request("POST", path, b"[" * {DEEP} + b" " * deep + b"]" * {DEEP})
    api.getresponse().read()
"""


@pytest.mark.parametrize(
    "context", ['{\n\t"custom": {"k": 1}\n}', '{"custom": {"k": "안녕 ü \U0001f525"}}'], ids=["lines", "letters"]
)
def test_a_client_context_is_any_json(client: Any, name: str, context: str) -> None:
    create(client, name, "def h(event, context): return context.client_context.custom")
    _, seen = invoke(client, name, ClientContext=base64.b64encode(context.encode()).decode())
    assert seen == json.loads(context)["custom"]


@pytest.mark.parametrize("trace", ["Root=%ED%95%9C", "%ED%95%9C=1;Root=1-5759e988-bd862e3fe1be46a994272793"])
def test_a_trace_header_is_any_text(ondol: OndolProcess, client: Any, name: str, trace: str) -> None:
    create(client, name, "import os\ndef h(event, context): print('ran', os.environ['_X_AMZN_TRACE_ID'])")
    headers = signed(X_Amz_Invocation_Type="Event", X_Amzn_Trace_Id=trace)
    assert ask(ondol, "POST", f"/2015-03-31/functions/{name}/invocations", headers, b"{}")[0] == 202
    [ran] = lines_of(ondol, name, "ran", 1)
    assert ran.isascii() and "Root=1-" in ran


@pytest.mark.parametrize("size", [0, 200_000], ids=["small", "large"])
def test_a_url_answers_with_what_is_nested_however_deeply(
    ondol: OndolProcess, client: Any, name: str, size: int
) -> None:
    create(client, name, ANSWERS)
    told = call(ondol, public(client, name), f"/{size}")
    assert told.status == 200 and told.body.startswith(b"[" * DEEP)


def test_output_without_end_keeps_nobody_waiting(client: Any, name: str) -> None:
    """Its writer is as fast as whoever reads it."""
    code = """
import os
def h(event, context):
    for _ in range(2):
        if os.fork() == 0:
            while True:
                os.write(1, bytes([10]) * 65536)
"""
    create(client, name, code, MemorySize=3008)
    create(client, f"{name}-other", "def h(event, context): return 1")
    invoke(client, f"{name}-other")
    begun = time.monotonic()
    invoke(client, name)
    invoke(client, f"{name}-other")
    assert time.monotonic() - begun < 3
    client.delete_function(FunctionName=name)
