"""Aliases: what they point to, how they split traffic, and what is refused."""

import re
import uuid
from typing import Any

import pytest
from lambda_calls import (
    ABSENT,
    answer,
    arn,
    conflict,
    invalid,
    invalid_untyped,
    invoke,
    not_found,
    refusal,
    stale,
)

from ondol_process import create

SEEN = "def h(event, context): return [context.function_version, context.invoked_function_arn]"


@pytest.fixture
def function(client: Any, name: str) -> str:
    """A function with the versions 1 and 2."""
    create(client, name, SEEN, Publish=True)
    client.update_function_configuration(FunctionName=name, Description="second")
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
    assert client.publish_version(FunctionName=name)["Version"] == "2"
    return name


def without_revision(alias: dict[str, Any]) -> dict[str, Any]:
    assert str(uuid.UUID(alias["RevisionId"])) == alias["RevisionId"]
    return {member: value for member, value in alias.items() if member != "RevisionId"}


def test_an_alias_from_creation_to_deletion(client: Any, function: str) -> None:
    expected = {"AliasArn": arn(function, "live"), "Name": "live", "FunctionVersion": "1", "Description": ""}
    created = answer(client.create_alias(FunctionName=function, Name="live", FunctionVersion="1"), 201)
    assert without_revision(created) == expected
    assert answer(client.get_alias(FunctionName=function, Name="live")) == created
    updated = answer(client.update_alias(FunctionName=function, Name="live", FunctionVersion="2", Description="d"))
    assert without_revision(updated) == expected | {"FunctionVersion": "2", "Description": "d"}
    assert updated["RevisionId"] != created["RevisionId"]
    kept = answer(client.update_alias(FunctionName=function, Name="live"))
    assert without_revision(kept) == without_revision(updated)
    assert answer(client.delete_alias(FunctionName=function, Name="live"), 204) == {}
    gone = not_found(f"Cannot find alias arn: {arn(function, 'live')}")
    assert refusal(lambda: client.get_alias(FunctionName=function, Name="live")) == gone
    assert answer(client.delete_alias(FunctionName=function, Name="live"), 204) == {}


def test_an_alias_leads_to_its_version(client: Any, function: str) -> None:
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    told, seen = invoke(client, function, Qualifier="live")
    assert told["ExecutedVersion"] == "1"
    assert seen == ["1", arn(function, "live")]
    client.update_alias(FunctionName=function, Name="live", FunctionVersion="2")
    assert invoke(client, function, Qualifier="live")[1] == ["2", arn(function, "live")]
    client.update_alias(FunctionName=function, Name="live", FunctionVersion="$LATEST")
    assert invoke(client, function, Qualifier="live")[1] == ["$LATEST", arn(function, "live")]


def test_get_function_by_an_alias_shows_the_aliass_arn_and_the_version(client: Any, function: str) -> None:
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    shown = client.get_function(FunctionName=function, Qualifier="live")["Configuration"]
    assert (shown["FunctionArn"], shown["Version"], shown["Description"]) == (arn(function, "live"), "1", "")


def test_weights_split_traffic(client: Any, function: str) -> None:
    routing = {"AdditionalVersionWeights": {"2": 0.3}}
    created = client.create_alias(FunctionName=function, Name="live", FunctionVersion="1", RoutingConfig=routing)
    assert created["RoutingConfig"] == routing
    executed = [invoke(client, function, Qualifier="live")[0]["ExecutedVersion"] for _ in range(300)]
    assert set(executed) == {"1", "2"}
    # 90 are expected; six standard deviations either side are not met once in 10^8 runs.
    assert 42 < executed.count("2") < 138


@pytest.mark.parametrize(("weight", "executed"), [(0.0, "1"), (1.0, "2")])
def test_extreme_weights_send_all_one_way(client: Any, function: str, weight: float, executed: str) -> None:
    routing = {"AdditionalVersionWeights": {"2": weight}}
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="1", RoutingConfig=routing)
    seen = {invoke(client, function, Qualifier="live")[0]["ExecutedVersion"] for _ in range(20)}
    assert seen == {executed}


def test_an_empty_routing_config_removes_it(client: Any, function: str) -> None:
    routing = {"AdditionalVersionWeights": {"2": 0.5}}
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="1", RoutingConfig=routing)
    assert client.update_alias(FunctionName=function, Name="live", Description="d")["RoutingConfig"] == routing
    client.update_alias(FunctionName=function, Name="live", RoutingConfig={"AdditionalVersionWeights": {}})
    assert "RoutingConfig" not in client.get_alias(FunctionName=function, Name="live")


def test_routing_that_is_refused(client: Any, function: str) -> None:
    def refused(version: str, weights: dict[str, float]) -> Any:
        return refusal(
            lambda: client.create_alias(
                FunctionName=function,
                Name="live",
                FunctionVersion=version,
                RoutingConfig={"AdditionalVersionWeights": weights},
            )
        )

    text = "$LATEST is not supported for an alias pointing to more than 1 version"
    assert refused("$LATEST", {"1": 0.5}) == invalid_untyped(text)
    text = "Invalid function version 1. Function version 1 is already included in routing configuration."
    assert refused("1", {"1": 0.5}) == invalid(text)
    text = "Number of items in AdditionalVersionWeights cannot be greater than 1"
    assert refused("1", {"2": 0.5, "3": 0.2}) == invalid(text)
    for weights in ({"2": 1.5}, {"$LATEST": 0.5}, {"live": 0.5}):
        status, error = refused("1", weights)
        assert (status, error["Error"]["Code"]) == (400, "ValidationException")
        assert "routingConfig.additionalVersionWeights" in error["Error"]["Message"]
    assert refused("1", {"7": 0.5}) == not_found(f"Function not found: {arn(function, '7')}")


def test_what_is_refused(client: Any, function: str) -> None:
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    taken = refusal(lambda: client.create_alias(FunctionName=function, Name="live", FunctionVersion="2"))
    assert taken == conflict(f"Alias already exists: {arn(function, 'live')}")
    absent = refusal(lambda: client.update_alias(FunctionName=function, Name="dead", FunctionVersion="2"))
    assert absent == not_found(f"Alias not found: {arn(function, 'dead')}")
    version = refusal(lambda: client.create_alias(FunctionName=function, Name="new", FunctionVersion="7"))
    assert version == not_found(f"Function not found: {arn(function, '7')}")
    revision = "00000000-0000-4000-8000-000000000000"
    assert refusal(lambda: client.update_alias(FunctionName=function, Name="live", RevisionId=revision)) == stale()
    invoked = refusal(lambda: client.invoke(FunctionName=function, Qualifier="dead"))
    assert invoked == not_found(f"Function not found: {arn(function, 'dead')}")
    shown = refusal(lambda: client.get_function(FunctionName=function, Qualifier="dead"))
    assert shown == not_found(f"Function not found: {arn(function, 'dead')}")


@pytest.mark.parametrize("alias", ["2024-01-02", "A_b-3", "x" * 128])
def test_names_that_are_fine(client: Any, function: str, alias: str) -> None:
    client.create_alias(FunctionName=function, Name=alias, FunctionVersion="1")
    assert invoke(client, function, Qualifier=alias)[1] == ["1", arn(function, alias)]


@pytest.mark.parametrize("alias", ["123", "two words", "x" * 129, "$LATEST"])
def test_names_that_are_not(client: Any, function: str, alias: str) -> None:
    status, error = refusal(lambda: client.create_alias(FunctionName=function, Name=alias, FunctionVersion="1"))
    told = error["Error"]["Message"]
    assert (status, error) == (400, {"Error": {"Code": "ValidationException", "Message": told}})
    assert re.fullmatch(rf"1 validation error detected: Value '{re.escape(alias)}' at 'name' failed .*", told)


def test_aliases_are_listed_by_name_in_pages_and_by_version(client: Any, function: str) -> None:
    for alias, version in (("delta", "2"), ("alpha", "1"), ("charlie", "1"), ("bravo", "2")):
        client.create_alias(FunctionName=function, Name=alias, FunctionVersion=version)
    for size in (1, 3, 4):
        pages = list(
            client.get_paginator("list_aliases").paginate(FunctionName=function, PaginationConfig={"PageSize": size})
        )
        assert [set(answer(page)) for page in pages][-1] == {"Aliases"}
        listed = [item for page in pages for item in page["Aliases"]]
        assert [item["Name"] for item in listed] == ["alpha", "bravo", "charlie", "delta"]
    assert listed[0] == answer(client.get_alias(FunctionName=function, Name="alpha"))
    of_second = client.list_aliases(FunctionName=function, FunctionVersion="2", MaxItems=1)
    assert [item["Name"] for item in of_second["Aliases"]] == ["bravo"]
    rest = client.list_aliases(FunctionName=function, FunctionVersion="2", Marker=of_second["NextMarker"])
    assert [item["Name"] for item in rest["Aliases"]] == ["delta"]
    assert "NextMarker" not in rest


def test_aliases_of_an_unknown_function(client: Any) -> None:
    absent = not_found(f"Function not found: {ABSENT}")
    unknown = "nobody-made-this"
    assert refusal(lambda: client.list_aliases(FunctionName=unknown)) == absent
    assert refusal(lambda: client.delete_alias(FunctionName=unknown, Name="a"))[0] == 404
    created = refusal(lambda: client.create_alias(FunctionName=unknown, Name="a", FunctionVersion="1"))
    assert created == not_found(f"Function not found: {ABSENT}:1")
