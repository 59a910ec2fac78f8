"""The clients of docs/clients.md, unmodified, each at its everyday job, typed as the page says."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from lambda_calls import arn
from pages import follow

from ondol_process import OndolProcess

SECTIONS = ("Chalice", "AWS CLI", "AWS SDK for JavaScript", "boto3")

Printed = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def printed(door: OndolProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Printed]:
    """What following a section printed. They are followed side by side: Chalice mostly sleeps."""

    def place(section: str) -> Path:
        return tmp_path_factory.mktemp(section.replace(" ", "-"))

    with ThreadPoolExecutor(len(SECTIONS)) as threads:
        followed: dict[str, Future[list[str]]] = {
            section: threads.submit(follow, "clients.md", section, door, place(section)) for section in SECTIONS
        }
        yield lambda section: followed[section].result()


def test_boto3(printed: Printed) -> None:
    answer, functions = printed("boto3")
    assert answer == "YOU"
    assert "'shouter'" in functions


def test_the_sdk_for_javascript(printed: Printed) -> None:
    created, answer, updated, *said, gone = printed("AWS SDK for JavaScript")
    assert (created, answer, updated) == ("Pending SUCCESS", "Hello, you", "SUCCESS")
    complete = said.index("{}")
    assert "".join(said[:complete]) == "Welcome, you"
    assert "[ 'streamer' ]" in said[complete:]
    assert gone == f"ResourceNotFoundException Function not found: {arn('streamer', '$LATEST')}"


def test_the_aws_cli(printed: Printed) -> None:
    said = iter(printed("AWS CLI"))

    def next_lines(count: int) -> list[str]:
        return [next(said) for _ in range(count)]

    live = arn("greeter", "live")
    assert next_lines(4) == ["1", "Pending", "200", '"Hello from $LATEST"']
    assert next_lines(5) == ["InProgress", "1", live, "1", '"Hello from 1"']
    url, function = (json.loads(line) for line in next_lines(2))
    assert (url["Resource"], url["Condition"]) == (live, {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}})
    assert function["Condition"] == {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}
    assert next_lines(3) == ["Hello from 1", "1", "202"]
    record = json.loads(next(said))
    assert record["requestContext"]["functionArn"] == live
    assert record["responsePayload"] == "Hello from 1"
    assert list(said)[:4] == ["Creating", "0535c94e1cddad7ca2b919fb9c89f77e", "attic", "Deleting"]


def test_chalice(printed: Printed, door: OndolProcess) -> None:
    said = printed("Chalice")
    assert [line for line in said if line.endswith(("cellar", "attic"))] == ["heating the cellar", "warming the attic"]
    assert said.count(f"  - Lambda ARN: {arn('rooms-dev-heat')}") == 2
    assert said[-2:] == [f"Deleting function: {arn('rooms-dev-heat')}", "Deleting IAM role: rooms-dev"]
    assert not [name for name in names(door) if name.startswith("rooms")]
    assert [role for role in door.client("iam").list_roles()["Roles"] if role["RoleName"].startswith("rooms")] == []


def names(door: OndolProcess) -> list[str]:
    return [function["FunctionName"] for function in door.client().list_functions()["Functions"]]
