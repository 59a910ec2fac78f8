"""Provisioned concurrency as control has it: texts, limits, what others are told, aliases that move."""

import asyncio
from typing import Any

import pytest
from control_world import PREFIX, World, key_of, run

from ondol.model.errors import (
    CallerError,
    InvalidParameterValue,
    ProvisionedConcurrencyConfigNotFound,
    ResourceConflict,
    ResourceNotFound,
)
from ondol.model.limits import AccountLimits
from ondol.worker_manager.api import Provision, ProvisionStatus

ARN = f"{PREFIX}fn"
KEY = key_of("fn")
ON_LATEST = "The function resource provided must be an alias or a published version."
READY = ProvisionStatus.READY


async def versions(world: World, n: int = 1, name: str = "fn") -> None:
    """A function with so many versions."""
    await world.active(name, Publish=True)
    for number in range(2, n + 1):
        await world("UpdateFunctionConfiguration", FunctionName=name, Description=str(number))
        await world.settled(name)
        await world("PublishVersion", FunctionName=name)
    await world.settled(name, str(n))


async def put(world: World, qualifier: str, n: int, name: str = "fn") -> dict[str, Any]:
    return await world(
        "PutProvisionedConcurrencyConfig", FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=n
    )


async def get(world: World, qualifier: str) -> dict[str, Any]:
    return await world("GetProvisionedConcurrencyConfig", FunctionName="fn", Qualifier=qualifier)


async def delete(world: World, qualifier: str) -> None:
    assert await world("DeleteProvisionedConcurrencyConfig", FunctionName="fn", Qualifier=qualifier) == {}


async def alias(world: World, name: str, version: str) -> None:
    await world("CreateAlias", FunctionName="fn", Name=name, FunctionVersion=version)


def shown(n: int, status: str, allocated: int, available: int) -> dict[str, Any]:
    return {
        "RequestedProvisionedConcurrentExecutions": n,
        "AllocatedProvisionedConcurrentExecutions": allocated,
        "AvailableProvisionedConcurrentExecutions": available,
        "Status": status,
        "LastModified": "2024-01-02T03:04:05+0000",
    }


async def refusal(operation: Any) -> tuple[type[CallerError], str, str]:
    with pytest.raises(CallerError) as raised:
        await operation
    return type(raised.value), raised.value.message, raised.value.members.get("Type", "User")


def test_a_configuration_is_accepted_comes_about_and_ends() -> None:
    async def test(world: World) -> None:
        await versions(world)
        assert await put(world, "1", 5) == shown(5, "IN_PROGRESS", 0, 0)
        assert await get(world, "1") == shown(5, "IN_PROGRESS", 0, 0)
        world.provisions.say(KEY, "1", Provision(ProvisionStatus.IN_PROGRESS, 2, 2))
        assert await get(world, "1") == shown(5, "IN_PROGRESS", 2, 2)
        world.provisions.say(KEY, "1", Provision(READY, 5, 4))
        assert await get(world, "1") == shown(5, "READY", 5, 4)
        assert await put(world, "1", 7) != shown(7, "IN_PROGRESS", 0, 0), "what is there counts"
        world.provisions.say(KEY, "1", Provision(ProvisionStatus.FAILED, 1, 1, "FUNCTION_ERROR_INIT_FAILURE"))
        failed = {**shown(7, "FAILED", 1, 1), "StatusReason": "FUNCTION_ERROR_INIT_FAILURE"}
        assert await get(world, "1") == failed
        listed = await world("ListProvisionedConcurrencyConfigs", FunctionName="fn")
        assert listed == {"ProvisionedConcurrencyConfigs": [{"FunctionArn": f"{ARN}:1", **failed}]}
        await delete(world, "1")
        await delete(world, "1")
        assert (await refusal(get(world, "1")))[0] is ProvisionedConcurrencyConfigNotFound
        assert await world("ListProvisionedConcurrencyConfigs", FunctionName="fn") == {
            "ProvisionedConcurrencyConfigs": []
        }
        assert (world.provisions.wanted[KEY], world.keeper.provisioned[KEY]) == ({}, {})

    run(test)


def test_everybody_is_told_and_told_again_after_the_process_died() -> None:
    async def test(world: World) -> None:
        await versions(world)
        await put(world, "1", 5)
        for _ in range(2):
            view = await world.control.view(KEY)
            assert view is not None and view.provisioned == {"1": 5}
            assert world.provisions.wanted == {KEY: {"1": 5}}
            assert world.keeper.provisioned == {KEY: {view.versions["1"].id: 5}}
            assert world.keeper.reserved == {KEY: None}
            world.provisions.wanted.clear()
            world.keeper.provisioned.clear()
            await world.restart()
        await world("DeleteFunction", FunctionName="fn")
        assert (world.provisions.wanted[KEY], world.keeper.provisioned[KEY]) == ({}, {})

    run(test)


def test_nothing_is_acknowledged_that_is_not_on_disk() -> None:
    async def test(world: World) -> None:
        await versions(world)
        world.store.fail_at = world.store.writes + 1
        with pytest.raises(Exception, match="the disk is gone"):
            await put(world, "1", 5)
        assert KEY not in world.provisions.wanted
        await world.restart()
        assert (await refusal(get(world, "1")))[0] is ProvisionedConcurrencyConfigNotFound

    run(test)


def test_what_is_not_there_is_told_in_aws_words() -> None:
    async def test(world: World) -> None:
        await versions(world)
        none = "No Provisioned Concurrency Config found for this function"
        assert await refusal(get(world, "1")) == (ProvisionedConcurrencyConfigNotFound, none, "User")
        absent = (ResourceNotFound, f"Function not found: {ARN}:10", "User")
        nameless = (ResourceNotFound, f"Cannot find alias arn: {ARN}:noalias", "User")
        for call in (get(world, "10"), put(world, "10", 1), delete(world, "10")):
            assert await refusal(call) == absent
        for call in (get(world, "noalias"), put(world, "noalias", 1), delete(world, "noalias")):
            assert await refusal(call) == nameless
        for call in (get(world, "$LATEST"), delete(world, "$LATEST")):
            assert await refusal(call) == (InvalidParameterValue, ON_LATEST, "User")
        text = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
        assert await refusal(put(world, "$LATEST", 1)) == (InvalidParameterValue, text, "User")
        await alias(world, "newest", "$LATEST")
        assert await refusal(put(world, "newest", 1)) == (InvalidParameterValue, text, "User")
        assert (await refusal(put(world, "noalias", 1, "no")))[1] == f"Cannot find alias arn: {PREFIX}no:noalias"
        assert (await refusal(put(world, "1", 1, "no")))[1] == f"Function not found: {PREFIX}no:1"
        listing = world("ListProvisionedConcurrencyConfigs", FunctionName="no")
        assert (await refusal(listing))[1] == f"Function not found: {PREFIX}no"

    run(test)


def test_a_function_per_tenant_has_none() -> None:
    async def test(world: World) -> None:
        await world.active(Publish=True, TenancyConfig={"TenantIsolationMode": "PER_TENANT"})
        text = "Provisioned concurrency is not supported for functions enabled with tenancy configuration."
        assert await refusal(put(world, "1", 1)) == (InvalidParameterValue, text, "User")

    run(test)


def test_a_version_has_one_configuration() -> None:
    async def test(world: World) -> None:
        await versions(world, 2)
        await alias(world, "a", "1")
        await alias(world, "b", "1")
        await alias(world, "c", "2")
        await put(world, "1", 1)
        taken = "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
        assert await refusal(put(world, "a", 1)) == (ResourceConflict, taken, "User")
        await delete(world, "1")
        await put(world, "a", 1)
        pointed = "Version is pointed by a Provisioned Concurrency alias"
        assert await refusal(put(world, "1", 1)) == (ResourceConflict, pointed, "User")
        assert await refusal(put(world, "b", 1)) == (ResourceConflict, taken, "User")
        await put(world, "c", 1)
        move = world("UpdateAlias", FunctionName="fn", Name="c", FunctionVersion="1")
        assert await refusal(move) == (ResourceConflict, taken, "User")
        await world("DeleteAlias", FunctionName="fn", Name="a")
        assert (await refusal(get(world, "a")))[1] == f"Cannot find alias arn: {ARN}:a"
        await put(world, "1", 1)
        assert world.provisions.wanted[KEY] == {"1": 1, "2": 1}

    run(test)


def test_a_function_provisions_no_more_than_it_has_reserved() -> None:
    async def test(world: World) -> None:
        await versions(world, 2)
        await put(world, "1", 2)
        lower = world("PutFunctionConcurrency", FunctionName="fn", ReservedConcurrentExecutions=1)
        text = " ReservedConcurrentExecutions  1 should not be lower than function's total provisioned concurrency [2]."
        assert await refusal(lower) == (InvalidParameterValue, text, "")
        await world("PutFunctionConcurrency", FunctionName="fn", ReservedConcurrentExecutions=2)
        text = (
            "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
        )
        assert await refusal(put(world, "2", 1)) == (InvalidParameterValue, text, "User")
        assert await refusal(put(world, "1", 3)) == (InvalidParameterValue, text, "User")
        await put(world, "1", 1)
        await put(world, "2", 1)
        assert await world("GetFunctionConcurrency", FunctionName="fn") == {"ReservedConcurrentExecutions": 2}

    run(test)


def test_a_hundred_stay_for_functions_that_have_nothing_for_themselves() -> None:
    async def unreserved(world: World) -> int:
        settings = await world("GetAccountSettings")
        return int(settings["AccountLimit"]["UnreservedConcurrentExecutions"])

    async def test(world: World) -> None:
        await versions(world, 2)
        await versions(world, 1, "other")
        text = "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [200]."
        assert await refusal(put(world, "1", 201)) == (InvalidParameterValue, text, "")
        text = (
            "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
            "minimum value of [100]."
        )
        assert await refusal(put(world, "1", 101)) == (InvalidParameterValue, text, "")
        await put(world, "1", 60)
        assert await unreserved(world) == 140
        assert await refusal(put(world, "2", 41)) == (InvalidParameterValue, text, "")
        await put(world, "2", 40)
        assert await unreserved(world) == 100
        other = world("PutFunctionConcurrency", FunctionName="other", ReservedConcurrentExecutions=1)
        assert (await refusal(other))[1].startswith("Specified ReservedConcurrentExecutions for function decreases")
        await put(world, "1", 10)
        await world("PutFunctionConcurrency", FunctionName="fn", ReservedConcurrentExecutions=100)
        assert await unreserved(world) == 100
        await put(world, "1", 60)
        assert await unreserved(world) == 100, "it is a part of what is reserved"
        await world("DeleteFunctionConcurrency", FunctionName="fn")
        await delete(world, "2")
        assert await unreserved(world) == 140
        await world("DeleteFunction", FunctionName="fn", Qualifier="1")
        assert await unreserved(world) == 200
        assert world.provisions.wanted[KEY] == {}

    run(test, limits=AccountLimits(concurrency=200))


def test_pages() -> None:
    async def test(world: World) -> None:
        await versions(world, 3)
        for number in ("1", "2", "3"):
            await put(world, number, 1)
        first = await world("ListProvisionedConcurrencyConfigs", FunctionName="fn", MaxItems=2)
        assert [each["FunctionArn"] for each in first["ProvisionedConcurrencyConfigs"]] == [f"{ARN}:1", f"{ARN}:2"]
        rest = await world("ListProvisionedConcurrencyConfigs", FunctionName="fn", Marker=first["NextMarker"])
        assert [each["FunctionArn"] for each in rest["ProvisionedConcurrencyConfigs"]] == [f"{ARN}:3"]
        assert "NextMarker" not in rest

    run(test)


async def led(world: World) -> None:
    """An alias with provisioned concurrency of 4, ready, that is led from version 1 to version 2."""
    await versions(world, 3)
    await alias(world, "live", "1")
    await put(world, "live", 4)
    world.provisions.say(KEY, "1", Provision(READY, 4, 4))
    moved = await world("UpdateAlias", FunctionName="fn", Name="live", FunctionVersion="2")
    assert (moved["FunctionVersion"], moved["RoutingConfig"]) == ("2", {"AdditionalVersionWeights": {"1": 1.0}})


async def permits(world: World) -> dict[str, int]:
    view = await world.control.view(KEY)
    assert view is not None
    return dict(view.provisioned)


async def until_wanted(world: World, wanted: dict[str, int]) -> None:
    while True:
        if world.provisions.wanted[KEY] == wanted:
            return
        await asyncio.sleep(0)


def test_an_alias_that_is_led_elsewhere_stays_where_it_is_until_that_is_ready() -> None:
    async def test(world: World) -> None:
        await led(world)
        assert world.provisions.wanted[KEY] == {"1": 4, "2": 4}
        assert await permits(world) == {"1": 4}
        assert await get(world, "live") == shown(4, "IN_PROGRESS", 0, 0)
        weights = (InvalidParameterValue, "Alias with weights can not be used with Provisioned Concurrency", "User")
        assert await refusal(put(world, "live", 5)) == weights
        await world.restart()
        assert world.provisions.wanted[KEY] == {"1": 4, "2": 4}
        await world("UpdateAlias", FunctionName="fn", Name="live", Description="says nothing of versions")
        assert await permits(world) == {"1": 4}
        world.provisions.say(KEY, "2", Provision(READY, 4, 4))
        await until_wanted(world, {"2": 4})
        assert await permits(world) == {"2": 4}
        assert "RoutingConfig" not in await world("GetAlias", FunctionName="fn", Name="live")
        assert await get(world, "live") == shown(4, "READY", 4, 4)

    run(test)


def test_an_alias_on_its_way_can_be_led_back_or_on_or_there_at_once() -> None:
    async def test(world: World) -> None:
        await led(world)
        await world("UpdateAlias", FunctionName="fn", Name="live", FunctionVersion="3")
        assert (await permits(world), world.provisions.wanted[KEY]) == ({"1": 4}, {"1": 4, "3": 4})
        back = await world("UpdateAlias", FunctionName="fn", Name="live", FunctionVersion="1")
        assert "RoutingConfig" not in back
        assert (await permits(world), world.provisions.wanted[KEY]) == ({"1": 4}, {"1": 4})
        await world("UpdateAlias", FunctionName="fn", Name="live", FunctionVersion="2")
        await world("UpdateAlias", FunctionName="fn", Name="live", RoutingConfig={"AdditionalVersionWeights": {}})
        assert (await permits(world), world.provisions.wanted[KEY]) == ({"2": 4}, {"2": 4})
        await world("UpdateAlias", FunctionName="fn", Name="live", FunctionVersion="1")
        await delete(world, "live")
        assert "RoutingConfig" not in await world("GetAlias", FunctionName="fn", Name="live")
        assert (await permits(world), world.provisions.wanted[KEY]) == ({}, {})

    run(test)


def test_weights_that_somebody_set_share_what_an_alias_has() -> None:
    async def test(world: World) -> None:
        await versions(world, 2)
        await alias(world, "live", "1")
        await put(world, "live", 4)
        routing = {"AdditionalVersionWeights": {"2": 0.25}}
        await world("UpdateAlias", FunctionName="fn", Name="live", RoutingConfig=routing)
        assert (await permits(world), world.provisions.wanted[KEY]) == ({"1": 3, "2": 1}, {"1": 3, "2": 1})
        world.provisions.say(KEY, "1", Provision(READY, 3, 3))
        assert (await get(world, "live"))["Status"] == "IN_PROGRESS"
        world.provisions.say(KEY, "2", Provision(READY, 1, 1))
        assert await get(world, "live") == shown(4, "READY", 4, 4)

    run(test)
