"""Functions per tenant: whoever it is for finds an environment of its own, and nobody else's traces in it."""

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from event_sources import until
from lambda_calls import ACCOUNT, arn, invalid, refusal
from pages import follow

from ondol_process import OndolProcess, create, package

PER_TENANT = {"TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}}
ADD_ONE = invalid(
    "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
)
CODE = """
import os, pathlib
seen = []
at_init = [name for name in os.environ if "TENANT" in name]

def h(event, context):
    seen.append(context.tenant_id)
    left = pathlib.Path("/tmp/left")
    before = left.read_text() if left.exists() else None
    left.write_text(context.tenant_id or "")
    print("for", context.tenant_id)
    return [context.tenant_id, seen, before, at_init, os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]]
"""

Call = Callable[..., list[Any]]


@pytest.fixture
def function(client: Any, name: str) -> str:
    create(client, name, CODE, **PER_TENANT, LoggingConfig={"LogFormat": "JSON"}, Publish=True)
    return name


@pytest.fixture
def call(client: Any, function: str) -> Call:
    def invoke(tenant: str, **more: Any) -> list[Any]:
        answer = client.invoke(FunctionName=function, TenantId=tenant, **more)
        result: list[Any] = json.load(answer["Payload"])
        assert "FunctionError" not in answer, result
        return result

    return invoke


def test_an_environment_serves_one_tenant_and_is_used_again_for_it(client: Any, function: str, call: Call) -> None:
    assert client.get_function_configuration(FunctionName=function)["TenancyConfig"] == PER_TENANT["TenancyConfig"]
    first = call("blue")
    assert first[:4] == ["blue", ["blue"], None, []]
    green = call("green@example.com: a/b")
    assert green[:3] == ["green@example.com: a/b", ["green@example.com: a/b"], None]
    again = call("blue")
    assert again == ["blue", ["blue", "blue"], "blue", [], first[4]]
    assert green[4] != first[4], "a log stream of its own"


def test_versions_and_aliases_keep_tenants_apart_too(client: Any, function: str, call: Call) -> None:
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    assert call("blue", Qualifier="live")[1] == ["blue"]
    assert call("green", Qualifier="1")[1] == ["green"]
    assert call("blue", Qualifier="1")[1] == ["blue", "blue"]
    assert call("blue")[1] == ["blue"]


def test_many_at_once_are_never_mixed(call: Call) -> None:
    tenants = [f"t{number % 3}" for number in range(24)]
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(call, tenants))
    for tenant, (told, seen, before, *_) in zip(tenants, results, strict=True):
        assert (told, set(seen), before in {tenant, None}) == (tenant, {tenant}, True)


def test_a_stream_and_an_event_are_for_a_tenant(client: Any, ondol: OndolProcess, function: str, call: Call) -> None:
    answer = client.invoke_with_response_stream(FunctionName=function, TenantId="blue")
    told = b"".join(event["PayloadChunk"]["Payload"] for event in answer["EventStream"] if "PayloadChunk" in event)
    assert json.loads(told)[:2] == ["blue", ["blue"]]
    client.invoke(FunctionName=function, TenantId="blue", InvocationType="Event")
    until(lambda: len(call("blue")[1]) > 2)
    tail = client.invoke(FunctionName=function, TenantId="green", LogType="Tail")["LogResult"]
    records = [json.loads(line) for line in base64.b64decode(tail).decode().splitlines() if line.startswith("{")]
    assert [line["record"]["tenantId"] for line in records if line.get("type") == "platform.start"] == ["green"]


def test_an_update_reaches_every_tenant(client: Any, function: str, call: Call) -> None:
    call("blue"), call("green")
    client.update_function_code(
        FunctionName=function, ZipFile=package({"m.py": "def h(e, c): return ['new', c.tenant_id]"})
    )
    client.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 0.05})
    assert [call("blue"), call("green")] == [["new", "blue"], ["new", "green"]]


def test_a_tenant_is_named_where_there_are_tenants_and_nowhere_else(client: Any, function: str, name: str) -> None:
    for kind in ("RequestResponse", "Event", "DryRun"):
        assert refusal(lambda kind=kind: client.invoke(FunctionName=function, InvocationType=kind)) == ADD_ONE
    assert refusal(lambda: client.invoke_with_response_stream(FunctionName=function)) == ADD_ONE
    plain = f"{name[:50]}-plain"
    create(client, plain, CODE)
    status, error = refusal(lambda: client.invoke(FunctionName=plain, TenantId="blue"))
    assert (status, error["Error"]["Code"]) == (400, "InvalidParameterValueException")
    status, error = refusal(lambda: client.invoke(FunctionName=function, TenantId="#"))
    assert (status, error["Error"]["Code"]) == (400, "ValidationException")


def test_the_page_says_how(door: OndolProcess, tmp_path: Path) -> None:
    said = follow("tenants.md", None, door, tmp_path)
    assert said[:5] == ["Pending", "200", '["blue"]', '["green"]', '["blue", "blue"]']


def test_a_stranger_is_told_of_no_tenants(ondol: OndolProcess, function: str) -> None:
    stranger = ondol.client(account="111122223333")
    status, error = refusal(lambda: stranger.invoke(FunctionName=arn(function)))
    assert (status, error["Error"]["Code"]) == (403, "AccessDeniedException")


def test_what_knows_of_no_tenants_is_refused(client: Any, function: str) -> None:
    status, error = refusal(lambda: client.create_function_url_config(FunctionName=function, AuthType="NONE"))
    assert (status, error["Error"]["Code"]) == (400, "InvalidParameterValueException")
    source = f"arn:aws:sqs:us-east-1:{ACCOUNT}:some"
    status, error = refusal(lambda: client.create_event_source_mapping(FunctionName=function, EventSourceArn=source))
    assert "tenancy" in error["Error"]["Message"]
