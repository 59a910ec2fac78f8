"""Publish, show, list and delete versions."""

import base64
import hashlib
from typing import Any

import pytest
from configurations import CODE, plain, settled
from lambda_calls import ABSENT, answer, arn, conflict, invalid, invoke, not_found, refusal

from ondol_process import OndolProcess, create, package


def code(text: str) -> bytes:
    return package({"m.py": f"def h(event, context): return {text!r}"})


@pytest.fixture
def function(client: Any, name: str) -> str:
    create(client, name, {"m.py": "def h(event, context): return event"})
    return name


def change(client: Any, name: str, text: str) -> None:
    client.update_function_code(FunctionName=name, ZipFile=code(text))
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})


def test_a_published_version_is_answered_whole(client: Any, function: str) -> None:
    told = answer(client.publish_version(FunctionName=function, Description="first"), 201)
    expected = plain(function) | {"Version": "1", "FunctionArn": arn(function, "1"), "Description": "first"}
    assert settled(told) == expected
    assert settled(answer(client.get_function_configuration(FunctionName=function, Qualifier="1"))) == expected
    assert client.get_function_configuration(FunctionName=function)["Description"] == ""


def test_nothing_is_published_without_a_change(client: Any, function: str) -> None:
    first = answer(client.publish_version(FunctionName=function), 201)
    assert answer(client.publish_version(FunctionName=function, Description="ignored"), 201) == first
    change(client, function, "2")
    assert client.publish_version(FunctionName=function)["Version"] == "2"


def test_numbers_are_never_used_twice(client: Any, function: str) -> None:
    client.publish_version(FunctionName=function)
    client.delete_function(FunctionName=function, Qualifier="1")
    absent = not_found(f"Function not found: {arn(function, '1')}")
    assert refusal(lambda: client.get_function(FunctionName=function, Qualifier="1")) == absent
    change(client, function, "2")
    assert client.publish_version(FunctionName=function)["Version"] == "2"


def test_a_version_stays_what_it_was(client: Any, name: str) -> None:
    code = "import os\ndef h(event, context): return ['old', os.environ['KEY'], context.function_version]"
    create(client, name, code, Environment={"Variables": {"KEY": "1"}}, Timeout=4)
    client.publish_version(FunctionName=name)
    change(client, name, "new")
    client.update_function_configuration(FunctionName=name, Environment={"Variables": {"KEY": "2"}}, Timeout=9)
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
    first = client.get_function_configuration(FunctionName=name, Qualifier="1")
    assert (first["Timeout"], first["Environment"]) == (4, {"Variables": {"KEY": "1"}})
    told, result = invoke(client, name, Qualifier="1")
    assert result == ["old", "1", "1"]
    assert told["ExecutedVersion"] == "1"
    assert invoke(client, name)[1] == "new"


def test_versions_do_not_share_environments(client: Any, name: str) -> None:
    create(client, name, "n = 0\ndef h(event, context):\n    global n\n    n += 1\n    return n")
    client.publish_version(FunctionName=name)
    assert [invoke(client, name)[1], invoke(client, name, Qualifier="1")[1], invoke(client, name)[1]] == [1, 1, 2]


def test_the_code_that_is_meant_can_be_named(client: Any, function: str) -> None:
    own = base64.b64encode(hashlib.sha256(CODE).digest()).decode()
    wrong = base64.b64encode(hashlib.sha256(b"").digest()).decode()
    text = (
        f"CodeSHA256 ({wrong}) is different from current CodeSHA256 in $LATEST ({own}). "
        "Please try again with the CodeSHA256 in $LATEST."
    )
    assert refusal(lambda: client.publish_version(FunctionName=function, CodeSha256=wrong)) == invalid(text)
    assert client.publish_version(FunctionName=function, CodeSha256=own)["Version"] == "1"


def test_versions_are_listed_in_order_and_in_pages(client: Any, function: str) -> None:
    for number in range(1, 12):
        client.update_function_configuration(FunctionName=function, Description=f"number {number}")
        client.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 0.02})
        client.publish_version(FunctionName=function)
    order = ["$LATEST", *map(str, range(1, 12))]
    for size in (1, 5, 12):
        paginator = client.get_paginator("list_versions_by_function")
        pages = list(paginator.paginate(FunctionName=function, PaginationConfig={"PageSize": size}))
        assert len(pages) == -(-12 // size)
        assert [set(answer(page)) for page in pages][-1] == {"Versions"}
        assert [item["Version"] for page in pages for item in page["Versions"]] == order
    latest, first, *_ = client.list_versions_by_function(FunctionName=function)["Versions"]
    shown = {key: value for key, value in plain(function).items() if key not in {"State", "LastUpdateStatus"}}
    numbered = {"Version": "1", "FunctionArn": arn(function, "1"), "Description": "number 1"}
    assert settled(first) == shown | numbered
    assert settled(latest) == shown | {"FunctionArn": arn(function, "$LATEST"), "Description": "number 11"}
    assert not {"RuntimeVersionConfig", "State"} & (set(latest) | set(first))


def test_a_version_that_an_alias_leads_to_is_kept(client: Any, function: str) -> None:
    client.publish_version(FunctionName=function)
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    status, error = refusal(lambda: client.delete_function(FunctionName=function, Qualifier="1"))
    assert (status, error) == conflict(error["Error"]["Message"])
    client.delete_alias(FunctionName=function, Name="live")
    client.delete_function(FunctionName=function, Qualifier="1")


def test_versions_of_an_unknown_function(client: Any) -> None:
    absent = not_found(f"Function not found: {ABSENT}")
    assert refusal(lambda: client.publish_version(FunctionName="nobody-made-this")) == absent
    assert refusal(lambda: client.list_versions_by_function(FunctionName="nobody-made-this")) == absent


def test_download_of_a_version_is_its_own_code(client: Any, function: str, ondol: OndolProcess) -> None:
    client.publish_version(FunctionName=function)
    change(client, function, "2")
    first = client.get_function(FunctionName=function, Qualifier="1")
    latest = client.get_function(FunctionName=function)
    assert first["Configuration"]["CodeSha256"] != latest["Configuration"]["CodeSha256"]
    assert first["Code"]["Location"].partition("?")[0] != latest["Code"]["Location"].partition("?")[0]
    assert first["Code"]["Location"].startswith(ondol.endpoint)
