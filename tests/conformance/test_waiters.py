"""Every waiter that boto3 has for Lambda, on functions that are on their way to what is waited for."""

import io
import threading
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import WaiterError
from lambda_calls import error_of

from ondol_process import ROLE, RUNTIME, create, package

CODE = package({"m.py": "def h(event, context): return 1"})
OTHER = package({"m.py": "def h(event, context): return 2"})
QUICK = {"Delay": 0.02, "MaxAttempts": 500}


def begin(client: Any, name: str, code: bytes = CODE, **more: Any) -> None:
    client.create_function(FunctionName=name, Runtime=RUNTIME, Role=ROLE, Handler="m.h", Code={"ZipFile": code}, **more)


def begin_update(client: Any, name: str) -> None:
    create(client, name, "def h(event, context): return 1")
    client.update_function_code(FunctionName=name, ZipFile=OTHER)


def begin_publishing(client: Any, name: str) -> None:
    begin(client, name, Publish=True)


ON_THE_WAY: dict[str, tuple[Callable[[Any, str], None], str | None, Callable[[Any, str], Any]]] = {
    "function_exists": (begin, None, lambda client, name: client.get_function(FunctionName=name)),
    **dict.fromkeys(
        ("function_active", "function_active_v2"),
        (begin, None, lambda client, name: client.invoke(FunctionName=name)),
    ),
    **dict.fromkeys(
        ("function_updated", "function_updated_v2"),
        (begin_update, None, lambda client, name: client.publish_version(FunctionName=name)),
    ),
    "published_version_active": (
        begin_publishing,
        "1",
        lambda client, name: client.invoke(FunctionName=name, Qualifier="1"),
    ),
}
"""What begins it, the qualifier that is waited for, and what may be done from then on."""


def test_there_are_no_other_waiters(client: Any) -> None:
    assert sorted(client.waiter_names) == sorted(ON_THE_WAY)


@pytest.mark.parametrize("waiter", sorted(ON_THE_WAY))
def test_once_it_returns_the_function_is_ready_for_what_comes_next(client: Any, name: str, waiter: str) -> None:
    set_out, qualifier, next_step = ON_THE_WAY[waiter]
    set_out(client, name)
    named = {"FunctionName": name} | ({} if qualifier is None else {"Qualifier": qualifier})
    client.get_waiter(waiter).wait(**named, WaiterConfig=QUICK)
    assert next_step(client, name)["ResponseMetadata"]["HTTPStatusCode"] in {200, 201}


def test_a_function_is_waited_for_before_it_is_there(client: Any, name: str) -> None:
    assert error_of(lambda: client.get_function(FunctionName=name))["Error"]["Code"] == "ResourceNotFoundException"
    waiting = threading.Thread(
        target=client.get_waiter("function_exists").wait, kwargs={"FunctionName": name, "WaiterConfig": QUICK}
    )
    waiting.start()
    begin(client, name)
    waiting.join(timeout=20)
    assert not waiting.is_alive()


@pytest.mark.parametrize("waiter", ["function_active", "function_active_v2", "published_version_active"])
def test_a_function_that_cannot_become_active_ends_the_waiting(client: Any, name: str, waiter: str) -> None:
    begin(client, name, broken(), Publish=True)
    qualifier = {"Qualifier": "1"} if waiter == "published_version_active" else {}
    with pytest.raises(WaiterError, match="terminal failure state"):
        client.get_waiter(waiter).wait(FunctionName=name, **qualifier, WaiterConfig=QUICK)


@pytest.mark.parametrize("waiter", ["function_updated", "function_updated_v2"])
def test_an_update_that_fails_ends_the_waiting(client: Any, name: str, waiter: str) -> None:
    create(client, name, "def h(event, context): return 1")
    client.update_function_code(FunctionName=name, ZipFile=broken())
    with pytest.raises(WaiterError, match="terminal failure state"):
        client.get_waiter(waiter).wait(FunctionName=name, WaiterConfig=QUICK)


def broken() -> bytes:
    """A package whose directory is whole, and whose file is not: that is seen when it is unpacked."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("m.py", "def h(event, context): return 1")
    content = bytearray(buffer.getvalue())
    content[content.index(b"return 1") + 7] ^= 1
    return bytes(content)
