"""Tags of functions."""

from typing import Any

import pytest
from lambda_calls import ABSENT, answer, arn, invalid, not_found, refusal

from ondol_process import create


@pytest.fixture
def function(client: Any, name: str) -> str:
    create(client, name, "", Tags={"team": "heat", "stage": "test"})
    return name


def tags_of(client: Any, name: str) -> Any:
    listed = answer(client.list_tags(Resource=arn(name)))
    assert set(listed) == {"Tags"}
    return listed["Tags"]


def test_tags_are_added_replaced_and_removed(client: Any, function: str) -> None:
    assert tags_of(client, function) == {"team": "heat", "stage": "test"}
    assert answer(client.tag_resource(Resource=arn(function), Tags={"stage": "live", "온돌": "ü =+-:/@"}), 204) == {}
    assert tags_of(client, function) == {"team": "heat", "stage": "live", "온돌": "ü =+-:/@"}
    assert answer(client.untag_resource(Resource=arn(function), TagKeys=["stage", "unknown"]), 204) == {}
    assert client.get_function(FunctionName=function)["Tags"] == {"team": "heat", "온돌": "ü =+-:/@"}
    client.untag_resource(Resource=arn(function), TagKeys=["team", "온돌"])
    assert tags_of(client, function) == {}
    assert "Tags" not in client.get_function(FunctionName=function)


def test_a_function_has_fifty_tags_at_most(client: Any, function: str) -> None:
    client.tag_resource(Resource=arn(function), Tags={f"tag{number}": "" for number in range(48)})
    one_more = refusal(lambda: client.tag_resource(Resource=arn(function), Tags={"another": ""}))
    assert one_more == invalid("Number of tags exceeds resource tag limit.")
    client.tag_resource(Resource=arn(function), Tags={"team": "changed"})
    assert len(tags_of(client, function)) == 50


def test_no_tags_at_all_are_an_error(client: Any, function: str) -> None:
    none = refusal(lambda: client.tag_resource(Resource=arn(function), Tags={}))
    assert none == invalid("An error occurred and the request cannot be processed.")


def test_only_functions_have_tags(client: Any, function: str) -> None:
    client.publish_version(FunctionName=function)
    text = "Tags on function aliases and versions are not supported. Please specify a function ARN."
    for call in (
        lambda: client.tag_resource(Resource=arn(function, "1"), Tags={"key": "value"}),
        lambda: client.untag_resource(Resource=arn(function, "1"), TagKeys=["key"]),
        lambda: client.list_tags(Resource=arn(function, "$LATEST")),
    ):
        assert refusal(call) == invalid(text)


def test_tags_of_an_unknown_function(client: Any) -> None:
    absent = not_found(f"Function not found: {ABSENT}")
    assert refusal(lambda: client.list_tags(Resource=ABSENT)) == absent
    assert refusal(lambda: client.tag_resource(Resource=ABSENT, Tags={"key": "value"})) == absent
    assert refusal(lambda: client.untag_resource(Resource=ABSENT, TagKeys=["key"])) == absent


def test_what_is_no_arn_is_a_violation(client: Any) -> None:
    status, error = refusal(lambda: client.list_tags(Resource="two words"))
    assert (status, error["Error"]["Code"]) == (400, "ValidationException")
    assert error["Error"]["Message"].startswith(
        "1 validation error detected: Value 'two words' at 'resource' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: arn:"
    )
