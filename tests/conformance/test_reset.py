"""`POST /_ondol/reset` and `ondol reset`: everything is gone, at once and for good, and what follows starts anew."""

import http.client
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lambda_calls import invoke

from ondol.cli.client import Client
from ondol_process import ONDOL, OndolProcess, create

CODE = "import time\ndef h(event, context):\n    print('a line')\n    time.sleep(event or 0)\n    return 'done'"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    """Not the session's: resetting takes everybody's functions."""
    with OndolProcess(tmp_path_factory.mktemp("reset") / "data") as process:
        yield process


def functions(client: Any) -> list[str]:
    return [function["FunctionName"] for function in client.list_functions()["Functions"]]


def groups(process: OndolProcess, account: str = "000000000000") -> list[str]:
    found = process.client("logs", account=account).describe_log_groups()["logGroups"]
    return [group["logGroupName"] for group in found]


def test_everything_is_gone_for_good(own: OndolProcess) -> None:
    first, second = own.client(), own.client(account="111122223333", region="eu-west-1")
    for number in range(10):
        create(first, f"fn-{number}", CODE)
    create(second, "other", CODE)
    first.publish_version(FunctionName="fn-0")
    first.create_alias(FunctionName="fn-0", Name="live", FunctionVersion="1")
    first.put_function_concurrency(FunctionName="fn-1", ReservedConcurrentExecutions=50)
    assert invoke(first, "fn-0")[1] == invoke(second, "other")[1] == "done"
    assert groups(own) == ["/aws/lambda/fn-0"]

    began = time.monotonic()
    assert Client(own.endpoint).reset() == {"functions": 11}
    assert time.monotonic() - began < 1

    def nothing_is_left() -> None:
        first, second = own.client(), own.client(account="111122223333", region="eu-west-1")
        assert functions(first) == functions(second) == []
        assert groups(own) == []
        assert own.client("logs", account="111122223333", region="eu-west-1").describe_log_groups()["logGroups"] == []
        settings = first.get_account_settings()
        assert settings["AccountUsage"] == {"TotalCodeSize": 0, "FunctionCount": 0}
        limit = settings["AccountLimit"]
        assert limit["UnreservedConcurrentExecutions"] == limit["ConcurrentExecutions"]

    nothing_is_left()
    own.kill()
    own.start()
    nothing_is_left()


def test_what_is_made_afterwards_is_new(own: OndolProcess) -> None:
    client = own.client()
    create(client, "again", "def h(event, context): return 'old'")
    client.publish_version(FunctionName="again")
    assert invoke(client, "again")[1] == "old"
    Client(own.endpoint).reset()
    create(client, "again", "def h(event, context):\n    print('new line')\n    return 'new'")
    assert invoke(client, "again")[1] == "new"
    assert [version["Version"] for version in client.list_versions_by_function(FunctionName="again")["Versions"]] == [
        "$LATEST"
    ]
    events = own.client("logs").filter_log_events(logGroupName="/aws/lambda/again")["events"]
    assert [event["message"].split()[0] for event in events] == ["INIT_START", "START", "new", "END", "REPORT"]


def test_an_invocation_under_way_ends_and_logs_to_nowhere(own: OndolProcess) -> None:
    client = own.client()
    create(client, "slow", CODE)
    results: list[Any] = []
    running = threading.Thread(target=lambda: results.append(invoke(client, "slow", 1.5)[1]))
    running.start()
    logs = own.client("logs")
    while not any(logs.filter_log_events(logGroupName=group, filterPattern="line")["events"] for group in groups(own)):
        assert running.is_alive()
    Client(own.endpoint).reset()
    assert running.is_alive()
    running.join()
    assert results == ["done"]
    while Client(own.endpoint).status()["environments"]:
        continue  # the environment ends by itself once its invocation has
    assert groups(own) == []


def test_it_is_refused_like_any_other_request(own: OndolProcess) -> None:
    address = own.endpoint.removeprefix("http://")
    create(own.client(), "kept", CODE)
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=t/20260101/us-east-1/lambda/aws4_request, Signature=0"}
    for method, headers, status in (
        ("POST", {}, 403),
        ("POST", {**signed, "Origin": "http://evil.example"}, 403),
        ("GET", signed, 404),
    ):
        connection = http.client.HTTPConnection(address)
        connection.request(method, "/_ondol/reset", headers=headers)
        assert connection.getresponse().status == status
        connection.close()
    assert functions(own.client()) == ["kept"]


def test_the_command_needs_a_yes(own: OndolProcess, tmp_path: Path) -> None:
    create(own.client(), "precious", CODE)

    def reset(*more: str) -> subprocess.CompletedProcess[str]:
        command = [ONDOL, "reset", "--endpoint", own.endpoint, *more]
        return subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    refused = reset()
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Add --yes." in refused.stderr
    assert "precious" in functions(own.client())
    done = reset("--yes")
    assert done.returncode == 0, done.stderr
    assert "and all logs." in done.stderr
    assert functions(own.client()) == []
    assert json.dumps(groups(own)) == "[]"
