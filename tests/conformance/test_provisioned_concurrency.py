"""Provisioned concurrency: configurations, environments ahead of invocations, spill-over, replacement, restart."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from function_logs import lines_of, reports
from lambda_calls import answer, arn, conflict, invalid, invalid_untyped, invoke, not_found, refusal

from ondol.cli.client import Client
from ondol_process import OndolProcess, create, package

SETTINGS = {"LIMITS_CONCURRENCY": "130", "KEEP_ALIVE_IDLE_S": "0.5"}
PATIENCE_S = 30.0
PROVISIONED, ON_DEMAND = "provisioned-concurrency", "on-demand"
CODE = """
import os, time
def h(event, context):
    time.sleep(event.get("sleep_s", 0))
    if event.get("die"):
        os._exit(3)
    type = os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
    return {"type": type, "version": context.function_version, "stream": context.log_stream_name}
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    """An ondol that soon stops what idles, so that what it keeps is seen to be kept."""
    with OndolProcess(tmp_path_factory.mktemp("provisioned") / "data", SETTINGS) as process:
        yield process


@pytest.fixture(scope="module")
def client(here: OndolProcess) -> Any:
    return here.client()


@pytest.fixture
def function(client: Any, name: str) -> Iterator[str]:
    """A function with version 1; its concurrency is given back at the end."""
    create(client, name, CODE, Publish=True)
    yield name
    client.delete_function(FunctionName=name)


def put(client: Any, name: str, qualifier: str, n: int) -> dict[str, Any]:
    return answer(
        client.put_provisioned_concurrency_config(
            FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=n
        ),
        202,
    )


def get(client: Any, name: str, qualifier: str) -> dict[str, Any]:
    return answer(client.get_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier))


def until(look: Callable[[], Any], found: Callable[[Any], object]) -> Any:
    """What there is to see, as soon as it has what is looked for."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found(seen := look()):
            return seen
    raise AssertionError(f"in vain: {seen}")


def ready(client: Any, name: str, qualifier: str, n: int) -> dict[str, Any]:
    put(client, name, qualifier, n)
    return settled(client, name, qualifier)


def settled(client: Any, name: str, qualifier: str) -> dict[str, Any]:
    config: dict[str, Any] = until(
        lambda: get(client, name, qualifier), lambda config: config["Status"] != "IN_PROGRESS"
    )
    return config


def ran(client: Any, name: str, qualifier: str = "$LATEST", **event: Any) -> dict[str, Any]:
    result: dict[str, Any] = invoke(client, name, event, Qualifier=qualifier)[1]
    return result


def at_once(client: Any, name: str, qualifier: str, n: int) -> Counter[str]:
    """How so many invocations went that ran side by side: the initialization type of each, or why it was throttled."""
    together = threading.Barrier(n)

    def one(_: int) -> str:
        together.wait()
        try:
            return str(ran(client, name, qualifier, sleep_s=1.0)["type"])
        except client.exceptions.TooManyRequestsException as error:
            return str(error.response["Reason"])

    with ThreadPoolExecutor(n) as pool:
        return Counter(pool.map(one, range(n)))


def environments(ondol: OndolProcess, name: str) -> set[str]:
    """Those that there are of a function."""
    return {each["id"] for each in Client(ondol.endpoint).status()["environments"] if each["function"] == name}


def test_a_configuration_is_accepted_comes_about_and_ends(client: Any, function: str) -> None:
    accepted = put(client, function, "1", 2)
    modified = accepted.pop("LastModified")
    assert time.strptime(modified, "%Y-%m-%dT%H:%M:%S+0000")
    assert accepted == {
        "RequestedProvisionedConcurrentExecutions": 2,
        "AllocatedProvisionedConcurrentExecutions": 0,
        "AvailableProvisionedConcurrentExecutions": 0,
        "Status": "IN_PROGRESS",
    }
    config = {
        "RequestedProvisionedConcurrentExecutions": 2,
        "AllocatedProvisionedConcurrentExecutions": 2,
        "AvailableProvisionedConcurrentExecutions": 2,
        "Status": "READY",
        "LastModified": modified,
    }
    assert settled(client, function, "1") == config
    listed = answer(client.list_provisioned_concurrency_configs(FunctionName=function))
    assert listed == {"ProvisionedConcurrencyConfigs": [{"FunctionArn": arn(function, "1"), **config}]}
    assert ran(client, function, "1")["type"] == PROVISIONED
    assert ran(client, function)["type"] == ON_DEMAND
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    assert ran(client, function, "live")["type"] == PROVISIONED, "whatever leads to the version"
    gone = client.delete_provisioned_concurrency_config(FunctionName=function, Qualifier="1")
    assert answer(gone, 204) == {}
    assert ran(client, function, "1")["type"] == ON_DEMAND
    assert answer(client.list_provisioned_concurrency_configs(FunctionName=function)) == {
        "ProvisionedConcurrencyConfigs": []
    }


def test_refusals(client: Any, function: str) -> None:
    config = {"FunctionName": function, "ProvisionedConcurrentExecutions": 1}
    status, error = refusal(lambda: get(client, function, "1"))
    text = "No Provisioned Concurrency Config found for this function"
    assert (status, error["Error"]) == (404, {"Code": "ProvisionedConcurrencyConfigNotFoundException", "Message": text})
    assert {"message": text, "Type": "User"}.items() <= error.items()
    text = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
    assert refusal(lambda: client.put_provisioned_concurrency_config(**config, Qualifier="$LATEST")) == invalid(text)
    text = "The function resource provided must be an alias or a published version."
    assert refusal(lambda: get(client, function, "$LATEST")) == invalid(text)
    absent = not_found(f"Function not found: {arn(function, '10')}")
    assert refusal(lambda: client.put_provisioned_concurrency_config(**config, Qualifier="10")) == absent
    nameless = not_found(f"Cannot find alias arn: {arn(function, 'noalias')}")
    assert refusal(lambda: get(client, function, "noalias")) == nameless
    much = {**config, "Qualifier": "1", "ProvisionedConcurrentExecutions": 131}
    text = "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [130]."
    assert refusal(lambda: client.put_provisioned_concurrency_config(**much)) == invalid_untyped(text)
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    put(client, function, "live", 1)
    text = "Version is pointed by a Provisioned Concurrency alias"
    assert refusal(lambda: put(client, function, "1", 1)) == conflict(text)


def test_what_is_beyond_spills_over(client: Any, function: str) -> None:
    assert ready(client, function, "1", 2)["Status"] == "READY"
    assert at_once(client, function, "1", 4) == {PROVISIONED: 2, ON_DEMAND: 2}


def test_reserved_concurrency_that_is_all_provisioned_keeps_everything_else_out(client: Any, function: str) -> None:
    ready(client, function, "1", 2)
    lower = refusal(lambda: client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=1))
    text = " ReservedConcurrentExecutions  1 should not be lower than function's total provisioned concurrency [2]."
    assert lower == invalid_untyped(text)
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=2)
    assert answer(client.get_function_concurrency(FunctionName=function)) == {"ReservedConcurrentExecutions": 2}
    unreserved = client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    assert unreserved == 128
    reserved = "ReservedFunctionConcurrentInvocationLimitExceeded"
    status, error = refusal(lambda: client.invoke(FunctionName=function))
    assert (status, error["Reason"]) == (429, reserved)
    assert at_once(client, function, "1", 3) == {PROVISIONED: 2, reserved: 1}
    text = "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
    assert refusal(lambda: put(client, function, "1", 3)) == invalid(text)


def test_one_that_dies_is_replaced(here: OndolProcess, client: Any, function: str) -> None:
    ready(client, function, "1", 2)
    before = environments(here, function)
    assert ran(client, function, "1", die=True)["errorType"] == "Runtime.ExitError"
    until(lambda: environments(here, function), lambda there: there != before)
    until(lambda: get(client, function, "1"), lambda config: config["AvailableProvisionedConcurrentExecutions"] == 2)
    assert get(client, function, "1")["Status"] == "READY"
    assert at_once(client, function, "1", 2) == {PROVISIONED: 2}


def test_none_is_stopped_because_it_idles(here: OndolProcess, client: Any, function: str) -> None:
    ready(client, function, "1", 1)
    before = ran(client, function, "1")["stream"]
    [kept] = environments(here, function)
    ran(client, function)
    assert len(environments(here, function)) == 2
    assert until(lambda: environments(here, function), lambda there: len(there) == 1) == {kept}
    assert ran(client, function, "1")["stream"] == before


def test_init_is_logged_ahead_and_with_the_first_invocation(here: OndolProcess, client: Any, name: str) -> None:
    create(client, name, CODE, Publish=True, LoggingConfig={"LogFormat": "Text"})
    ready(client, name, "1", 1)
    logs = here.client("logs")
    [line] = lines_of(logs, name, bool)
    assert line.startswith("INIT_START Runtime Version: python:")
    for _ in range(2):
        ran(client, name, "1")
    first, second = reports(lines_of(logs, name, lambda lines: len(reports(lines)) == 2))
    assert "Init Duration" in first and "Init Duration" not in second
    billed, duration = (float(first[field].removesuffix(" ms")) for field in ("Billed Duration", "Duration"))
    assert billed < duration + 1, "init is billed apart"
    client.delete_function(FunctionName=name)


def test_an_init_that_fails_is_told_and_a_version_that_works_helps(here: OndolProcess, client: Any, name: str) -> None:
    create(client, name, "raise ValueError('not today')\ndef h(event, context): return 1", Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    failed = ready(client, name, "live", 1)
    assert (failed["Status"], failed["StatusReason"]) == ("FAILED", "FUNCTION_ERROR_INIT_FAILURE")
    assert failed["AvailableProvisionedConcurrentExecutions"] == 0
    logs = here.client("logs")
    lines = lines_of(logs, name, lambda lines: any("INIT_REPORT" in line for line in lines))
    [*told] = (line for line in lines if line.startswith("INIT_REPORT"))
    assert "Phase: init\tStatus: error" in told[0]
    assert not reports(lines), "there was no invocation"
    client.update_function_code(FunctionName=name, ZipFile=package({"m.py": CODE}), Publish=True)
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
    client.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    until(lambda: get(client, name, "live"), lambda config: config["Status"] == "READY")
    assert until(lambda: ran(client, name, "live"), lambda result: "type" in result)["type"] == PROVISIONED
    client.delete_function(FunctionName=name)


def test_an_alias_moves_without_a_cold_start(client: Any, function: str) -> None:
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    ready(client, function, "live", 1)
    client.update_function_configuration(FunctionName=function, Timeout=10)
    client.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 0.05})
    client.publish_version(FunctionName=function)
    client.update_alias(FunctionName=function, Name="live", FunctionVersion="2")
    seen = []

    def look() -> bool:
        seen.append(ran(client, function, "live"))
        return "RoutingConfig" in client.get_alias(FunctionName=function, Name="live")

    until(look, lambda on_its_way: not on_its_way)
    seen.append(ran(client, function, "live"))
    assert {result["type"] for result in seen} == {PROVISIONED}
    assert [result["version"] for result in seen] == sorted(result["version"] for result in seen)
    assert seen[-1]["version"] == "2"
    assert until(lambda: ran(client, function, "1"), lambda result: result["type"] == ON_DEMAND)


def test_it_is_there_again_after_kill_9_and_recycled_without_a_gap(tmp_path: Path) -> None:
    ondol = OndolProcess(tmp_path / "data", {**SETTINGS, "KEEP_ALIVE_AGE_S": "1.5"}).start()
    try:
        client = ondol.client()
        create(client, "lasting", CODE, Publish=True)
        accepted = put(client, "lasting", "1", 2)
        ondol.kill()
        ondol.start()
        client = ondol.client()
        config = settled(client, "lasting", "1")
        assert (config["Status"], config["LastModified"]) == ("READY", accepted["LastModified"])
        seen: list[dict[str, Any]] = []

        def look() -> int:
            seen.append(ran(client, "lasting", "1"))
            return len({result["stream"] for result in seen})

        until(look, lambda streams: streams == 3)
        assert {result["type"] for result in seen} == {PROVISIONED}, "one is replaced before it goes"
        assert get(client, "lasting", "1")["AvailableProvisionedConcurrentExecutions"] == 2
        assert ondol.stop() == 0
        assert ondol.complaints() == ""
    finally:
        if ondol.process is not None:
            ondol.kill()
