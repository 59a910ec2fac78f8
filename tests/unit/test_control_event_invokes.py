"""The configuration of asynchronous invocations, as AWS words it."""

from typing import Any

import pytest
from control_world import BORN, PREFIX, World, key_of, run

from ondol.model.errors import InvalidParameterValue, ResourceNotFound
from ondol.model.function import EventSettings
from ondol.model.time import WallTime

ARN = f"{PREFIX}fn"
QUEUE = "arn:aws:sqs:eu-west-1:000000000000:queue"
TOPIC = "arn:aws:sns:eu-west-1:000000000000:topic"
BUCKET = "arn:aws:s3:::bucket"


def described(qualifier: str = "$LATEST", **members: Any) -> dict[str, Any]:
    empty = {"DestinationConfig": {"OnSuccess": {}, "OnFailure": {}}}
    return {"FunctionArn": f"{ARN}:{qualifier}", "LastModified": BORN, **empty, **members}


def test_put_replaces_update_merges_and_both_are_seen_by_whoever_runs_events() -> None:
    async def test(world: World) -> None:
        await world.active()
        on_failure = {"OnFailure": {"Destination": QUEUE}}
        put = await world("PutFunctionEventInvokeConfig", FunctionName="fn", MaximumRetryAttempts=0)
        assert put == described(MaximumRetryAttempts=0)
        world.clock.time = WallTime(BORN + 5)
        updated = await world("UpdateFunctionEventInvokeConfig", FunctionName="fn", DestinationConfig=on_failure)
        both = {"OnSuccess": {}, "OnFailure": {"Destination": QUEUE}}
        expected = described(MaximumRetryAttempts=0, DestinationConfig=both) | {"LastModified": BORN + 5}
        assert updated == expected
        assert await world("GetFunctionEventInvokeConfig", FunctionName="fn", Qualifier="$LATEST") == expected
        view = await world.control.view(key_of("fn"))
        assert view is not None
        assert view.event_settings == {"$LATEST": EventSettings(max_retries=0, on_failure=QUEUE)}
        await world("PutFunctionEventInvokeConfig", FunctionName="fn", MaximumEventAgeInSeconds=60)
        await world.restart()
        view = await world.control.view(key_of("fn"))
        assert view is not None
        assert view.event_settings == {"$LATEST": EventSettings(max_age_s=60)}

    run(test)


def test_each_qualifier_has_its_own_and_loses_it_when_it_goes() -> None:
    async def test(world: World) -> None:
        await world.active()
        await world("PublishVersion", FunctionName="fn")
        await world("CreateAlias", FunctionName="fn", Name="live", FunctionVersion="1")
        for qualifier in ("1", "live", "$LATEST"):
            answer = await world(
                "PutFunctionEventInvokeConfig", FunctionName="fn", Qualifier=qualifier, MaximumRetryAttempts=1
            )
            assert answer == described(qualifier, MaximumRetryAttempts=1)

        async def listed(**parameters: Any) -> tuple[list[str], str | None]:
            answer = await world("ListFunctionEventInvokeConfigs", FunctionName="fn", **parameters)
            arns = [config["FunctionArn"] for config in answer["FunctionEventInvokeConfigs"]]
            return [arn.removeprefix(f"{ARN}:") for arn in arns], answer.get("NextMarker")

        assert await listed() == (["$LATEST", "1", "live"], None)
        first, marker = await listed(MaxItems=2)
        assert (first, await listed(MaxItems=2, Marker=marker)) == (["$LATEST", "1"], (["live"], None))
        await world("DeleteFunctionEventInvokeConfig", FunctionName="fn")
        await world("DeleteAlias", FunctionName="fn", Name="live")
        assert await listed() == (["1"], None)
        await world("DeleteFunction", FunctionName="fn", Qualifier="1")
        assert await listed() == ([], None)

    run(test)


def test_what_is_not_there() -> None:
    async def test(world: World) -> None:
        await world.active()
        for operation in ("PutFunctionEventInvokeConfig", "UpdateFunctionEventInvokeConfig"):
            for named in ({"FunctionName": "none"}, {"FunctionName": "fn", "Qualifier": "none"}):
                with pytest.raises(ResourceNotFound) as raised:
                    await world(operation, MaximumRetryAttempts=1, **named)
                assert raised.value.message == "The function doesn't exist."
        with pytest.raises(ResourceNotFound) as raised:
            await world("ListFunctionEventInvokeConfigs", FunctionName="none")
        assert raised.value.message == "The function doesn't exist."
        missing = f"The function {ARN}:$LATEST doesn't have an EventInvokeConfig"
        for operation in ("GetFunctionEventInvokeConfig", "DeleteFunctionEventInvokeConfig"):
            with pytest.raises(ResourceNotFound) as raised:
                await world(operation, FunctionName="fn")
            assert raised.value.message == missing
        with pytest.raises(ResourceNotFound) as raised:
            await world("UpdateFunctionEventInvokeConfig", FunctionName="fn", MaximumRetryAttempts=1)
        assert raised.value.message == missing

    run(test)


def test_settings_that_are_refused_change_nothing() -> None:
    async def test(world: World) -> None:
        await world.active()
        await world.active("other")

        async def refusal(**parameters: Any) -> str:
            with pytest.raises(InvalidParameterValue) as raised:
                await world("PutFunctionEventInvokeConfig", FunctionName="fn", **parameters)
            return raised.value.message

        def to(**destinations: str) -> dict[str, Any]:
            return {"DestinationConfig": {name: {"Destination": arn} for name, arn in destinations.items()}}

        assert await refusal() == "You must specify at least one of error handling or destination setting."
        assert await refusal(**to(OnSuccess=ARN)) == "You can't specify the function as a destination for itself."
        assert await refusal(**to(OnFailure=f"{ARN}x")) == f"The destination ARN {ARN}x is invalid."
        assert await refusal(**to(OnSuccess=BUCKET)) == (
            "The provided destination config "
            f"DestinationConfig(onSuccess=OnSuccess(destination={BUCKET}), onFailure=null) is invalid."
        )
        role = "arn:aws:iam::000000000000:role/r"
        assert await refusal(**to(OnSuccess=TOPIC, OnFailure=role)) == (
            f"The provided destination config DestinationConfig(onSuccess=OnSuccess(destination={TOPIC}), "
            f"onFailure=OnFailure(destination={role})) is invalid."
        )
        for nowhere in (f"{QUEUE}.fifo", f"{TOPIC}.fifo", QUEUE.rpartition(":")[0] + ":"):
            assert f"onFailure=OnFailure(destination={nowhere})) is invalid." in await refusal(**to(OnFailure=nowhere))
        assert (await world("ListFunctionEventInvokeConfigs", FunctionName="fn"))["FunctionEventInvokeConfigs"] == []
        accepted = to(OnSuccess=f"{PREFIX}other", OnFailure=BUCKET)
        await world("PutFunctionEventInvokeConfig", FunctionName="fn", **accepted)

    run(test)


def test_the_dead_letter_queue_is_told_with_the_version_and_does_not_end_environments() -> None:
    async def test(world: World) -> None:
        await world.active()
        before = await world.control.view(key_of("fn"))
        await world("UpdateFunctionConfiguration", FunctionName="fn", DeadLetterConfig={"TargetArn": QUEUE})
        await world.settled()
        after = await world.control.view(key_of("fn"))
        assert before is not None and after is not None
        assert after.versions["$LATEST"].dead_letter == QUEUE
        assert after.versions["$LATEST"].id == before.versions["$LATEST"].id

    run(test)
