"""Event source mappings in control: what is answered, what is refused in which words, and what pollers are told."""

import asyncio
from typing import Any

import pytest
from control_world import CALLER, PREFIX, World, run

from ondol.model.errors import (
    CallerError,
    InvalidParameterValue,
    PlatformError,
    ResourceConflict,
    ResourceInUse,
    ResourceNotFound,
)
from ondol.pollers.api import SourceRefused, SourceUnavailable
from ondol.store.protocol import StoreError

QUEUE = "arn:aws:sqs:eu-west-1:000000000000:queue"
STREAM = "arn:aws:kinesis:eu-west-1:000000000000:stream/stream"
TABLE = "arn:aws:dynamodb:eu-west-1:000000000000:table/table/stream/2026-01-01T00:00:00.000"


async def mapped(world: World, source: str = QUEUE, **more: Any) -> dict[str, Any]:
    position = {} if source == QUEUE else {"StartingPosition": "LATEST"}
    parameters = {"FunctionName": "fn", "EventSourceArn": source, **position, **more}
    return await world("CreateEventSourceMapping", parameters)


async def settled(world: World, uuid: str) -> dict[str, Any]:
    while True:
        shown = await world("GetEventSourceMapping", UUID=uuid)
        if shown["State"] in ("Enabled", "Disabled"):
            return shown
        await asyncio.sleep(0)


async def gone(world: World, uuid: str) -> None:
    while True:
        try:
            await world("GetEventSourceMapping", UUID=uuid)
        except ResourceNotFound:
            return
        await asyncio.sleep(0)


async def refused(world: World, source: str = QUEUE, **more: Any) -> CallerError:
    with pytest.raises(CallerError) as caught:
        await mapped(world, source, **more)
    return caught.value


def test_a_mapping_of_a_queue_is_shown_whole() -> None:
    async def test(world: World) -> None:
        await world.active()
        created = await mapped(world)
        uuid = created["UUID"]
        shown = {
            "UUID": uuid,
            "BatchSize": 10,
            "MaximumBatchingWindowInSeconds": 0,
            "EventSourceArn": QUEUE,
            "EventSourceMappingArn": f"arn:aws:lambda:eu-west-1:000000000000:event-source-mapping:{uuid}",
            "FunctionArn": f"{PREFIX}fn",
            "LastModified": world.clock.wall(),
            "State": "Creating",
            "StateTransitionReason": "USER_INITIATED",
            "FunctionResponseTypes": [],
        }
        assert created == shown
        assert await settled(world, uuid) == shown | {"State": "Enabled"}
        assert world.pollers.polled[uuid].source == QUEUE

    run(test)


@pytest.mark.parametrize("source", [STREAM, TABLE])
def test_a_mapping_of_a_stream_is_shown_whole(source: str) -> None:
    async def test(world: World) -> None:
        await world.active()
        await world("PublishVersion", FunctionName="fn")
        created = await mapped(world, source, Qualifier="1")
        assert {name: created[name] for name in created if name not in ("UUID", "EventSourceMappingArn")} == {
            "BatchSize": 100,
            "BisectBatchOnFunctionError": False,
            "DestinationConfig": {"OnFailure": {}},
            "EventSourceArn": source,
            "FunctionArn": f"{PREFIX}fn:1",
            "FunctionResponseTypes": [],
            "LastModified": world.clock.wall(),
            "LastProcessingResult": "No records processed",
            "MaximumBatchingWindowInSeconds": 0,
            "MaximumRecordAgeInSeconds": -1,
            "MaximumRetryAttempts": -1,
            "ParallelizationFactor": 1,
            "StartingPosition": "LATEST",
            "State": "Creating",
            "StateTransitionReason": "User action",
            "TumblingWindowInSeconds": 0,
        }

    run(test)


def test_every_setting_is_kept_and_shown() -> None:
    queue = {
        "BatchSize": 500,
        "MaximumBatchingWindowInSeconds": 5,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "FilterCriteria": {"Filters": [{"Pattern": '{"body": ["x"]}'}]},
        "ScalingConfig": {"MaximumConcurrency": 7},
    }
    stream = {
        "StartingPosition": "AT_TIMESTAMP",
        "StartingPositionTimestamp": 1_700_000_000_000,
        "ParallelizationFactor": 3,
        "BisectBatchOnFunctionError": True,
        "MaximumRecordAgeInSeconds": 60,
        "MaximumRetryAttempts": 0,
        "TumblingWindowInSeconds": 30,
        "DestinationConfig": {"OnFailure": {"Destination": QUEUE}},
    }

    async def test(world: World) -> None:
        await world.active()
        for source, settings in ((QUEUE, queue), (STREAM, stream)):
            uuid = (await mapped(world, source, **settings))["UUID"]
            await world.restart()
            shown = await settled(world, uuid)
            assert {name: shown[name] for name in settings} == settings

    run(test)


def test_states_on_the_way_and_a_mapping_in_use() -> None:
    async def test(world: World) -> None:
        await world.active()
        uuid = (await mapped(world, Enabled=False))["UUID"]
        assert (await settled(world, uuid))["State"] == "Disabled"
        assert world.pollers.polled == {}
        world.pollers.open.clear()
        assert (await world("UpdateEventSourceMapping", UUID=uuid, Enabled=True))["State"] == "Enabling"
        with pytest.raises(ResourceInUse, match="Cannot update the event source mapping because it is in use"):
            await world("UpdateEventSourceMapping", UUID=uuid, BatchSize=1)
        with pytest.raises(ResourceInUse, match="Cannot delete"):
            await world("DeleteEventSourceMapping", UUID=uuid)
        world.pollers.open.set()
        await settled(world, uuid)
        changed = await world("UpdateEventSourceMapping", UUID=uuid, BatchSize=1)
        assert (changed["State"], changed["BatchSize"]) == ("Updating", 1)
        assert (await settled(world, uuid))["State"] == "Enabled"
        assert world.pollers.polled[uuid].batch_size == 1
        assert (await world("UpdateEventSourceMapping", UUID=uuid, Enabled=False))["State"] == "Disabling"
        await settled(world, uuid)
        assert world.pollers.polled == {}
        assert (await world("DeleteEventSourceMapping", UUID=uuid))["State"] == "Deleting"
        await gone(world, uuid)
        assert world.pollers.forgotten == [uuid]

    run(test)


def test_one_that_is_tagged_on_its_way_arrives() -> None:
    async def test(world: World) -> None:
        await world.active()
        world.pollers.open.clear()
        created = await mapped(world)
        uuid, arn = created["UUID"], created["EventSourceMappingArn"]
        await asyncio.sleep(0)
        await world("TagResource", Resource=arn, Tags={"a": "b"})
        world.pollers.open.set()
        async with asyncio.timeout(5):
            assert (await settled(world, uuid))["State"] == "Enabled"

    run(test)


def test_one_that_waits_for_its_source_can_be_deleted() -> None:
    async def test(world: World) -> None:
        await world.active()
        world.pollers.open.clear()
        uuid = (await mapped(world))["UUID"]
        await asyncio.sleep(0)
        assert (await world("DeleteEventSourceMapping", UUID=uuid))["State"] == "Deleting"
        await gone(world, uuid)

    run(test)


@pytest.mark.parametrize("writes", range(1, 8))
def test_a_death_at_any_write_leaves_a_mapping_that_goes_on(writes: int) -> None:
    async def test(world: World) -> None:
        await world.active()
        world.store.writes, world.store.fail_at = 0, writes
        uuid = None
        try:
            uuid = (await mapped(world))["UUID"]
            for _ in range(50):
                await asyncio.sleep(0)
            await world("UpdateEventSourceMapping", UUID=uuid, Enabled=False)
            for _ in range(50):
                await asyncio.sleep(0)
        except (PlatformError, StoreError, ResourceInUse):
            pass
        await world.restart()
        mappings = (await world("ListEventSourceMappings"))["EventSourceMappings"]
        assert (uuid is not None) <= (len(mappings) == 1)
        for mapping in mappings:
            shown = await settled(world, mapping["UUID"])
            assert (mapping["UUID"] in world.pollers.polled) == (shown["State"] == "Enabled")

    run(test)


def test_lists_are_filtered_and_paged() -> None:
    async def test(world: World) -> None:
        await world.active()
        await world.active("other")
        made = [(await mapped(world, source))["UUID"] for source in (QUEUE, STREAM, TABLE)]
        answer = await world("ListEventSourceMappings", MaxItems=2)
        rest = await world("ListEventSourceMappings", MaxItems=2, Marker=answer["NextMarker"])
        assert "NextMarker" not in rest
        listed = [mapping["UUID"] for page in (answer, rest) for mapping in page["EventSourceMappings"]]
        assert sorted(listed) == sorted(made)
        assert len((await world("ListEventSourceMappings", EventSourceArn=STREAM))["EventSourceMappings"]) == 1
        assert (await world("ListEventSourceMappings", FunctionName="other"))["EventSourceMappings"] == []
        assert len((await world("ListEventSourceMappings", FunctionName="fn"))["EventSourceMappings"]) == 3

    run(test)


def test_duplicates_are_named() -> None:
    async def test(world: World) -> None:
        await world.active()
        queue, stream = (await mapped(world))["UUID"], (await mapped(world, STREAM))["UUID"]
        for source, text in (
            (
                QUEUE,
                f'An event source mapping with SQS arn (" {QUEUE} ") and function (" fn ") already exists. '
                f"Please update or delete the existing mapping with UUID {queue}",
            ),
            (
                STREAM,
                f'The event source arn (" {STREAM} ") and function (" fn ") provided mapping already exists. '
                f"Please update or delete the existing mapping with UUID {stream}",
            ),
        ):
            error = await refused(world, source)
            assert isinstance(error, ResourceConflict)
            assert str(error) == text

    run(test)


@pytest.mark.parametrize(
    ("source", "settings", "text"),
    [
        (QUEUE, {"EventSourceArn": ""}, "Unrecognized event source."),
        (QUEUE, {"EventSourceArn": "arn:aws:s3:::bucket"}, "Unrecognized event source."),
        (QUEUE, {"FunctionName": "none"}, "Function does not exist"),
        (QUEUE, {"Qualifier": "7"}, "Function does not exist"),
        (
            QUEUE,
            {"BatchSize": 11},
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
        ),
        (QUEUE, {"FilterCriteria": {"Filters": [{"Pattern": "[]"}]}}, "Invalid filter pattern definition."),
        (QUEUE, {"FilterCriteria": {"Filters": [{}]}}, "Invalid filter pattern definition."),
        (
            STREAM,
            {"StartingPosition": None},
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
            "Member must not be null.",
        ),
        (TABLE, {"StartingPosition": "AT_TIMESTAMP"}, f"Unsupported starting position for arn type: {TABLE}"),
        (TABLE, {"StartingPositionTimestamp": 1}, "Timestamp only valid with StartingPosition AT_TIMESTAMP"),
        (
            STREAM,
            {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": -1},
            "Received Exception while reading from provided stream. "
            "class java.lang.Long can not be converted to a Timestamp",
        ),
        (QUEUE, {"StartingPosition": "LATEST"}, "StartingPosition is not valid for SQS event sources."),
        (
            STREAM,
            {"DestinationConfig": {"OnSuccess": {"Destination": QUEUE}}},
            "Unsupported DestinationConfig parameter for given event source mapping type.",
        ),
        (
            STREAM,
            {"DestinationConfig": {"OnFailure": {"Destination": f"{QUEUE}.fifo"}}},
            f"The provided destination config DestinationConfig is invalid: {QUEUE}.fifo",
        ),
        (
            QUEUE,
            {"ParallelizationFactor": 2},
            "Unsupported ParallelizationFactor parameter for given event source mapping type.",
        ),
        (
            STREAM,
            {"ScalingConfig": {"MaximumConcurrency": 2}},
            "Unsupported ScalingConfig parameter for given event source mapping type.",
        ),
        (
            QUEUE,
            {"EventSourceArn": "arn:aws:kafka:eu-west-1:000000000000:cluster/c/1"},
            "Event sources of Kafka are not available: ondol reads SQS, Kinesis, DynamoDB streams and RabbitMQ.",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_aws_words(source: str, settings: dict[str, Any], text: str) -> None:
    async def test(world: World) -> None:
        await world.active()
        error = await refused(world, source, **settings)
        assert isinstance(error, InvalidParameterValue)
        assert str(error) == text
        assert (await world("ListEventSourceMappings"))["EventSourceMappings"] == []

    run(test)


def test_the_source_is_asked_with_the_functions_timeout() -> None:
    async def test(world: World) -> None:
        await world.active(Timeout=77)
        world.pollers.refusal = SourceRefused("Stream not found: x")
        assert str(await refused(world)) == "Stream not found: x"
        world.pollers.refusal = SourceUnavailable("no server")
        with pytest.raises(PlatformError, match="no server"):
            await mapped(world)
        assert world.pollers.checked == [77, 77]

    run(test)


@pytest.mark.parametrize("gone", ["source", "server", "function"])
def test_a_mapping_can_be_disabled_whatever_is_gone(gone: str) -> None:
    async def test(world: World) -> None:
        await world.active()
        uuid = (await mapped(world))["UUID"]
        await settled(world, uuid)
        if gone == "function":
            await world("DeleteFunction", FunctionName="fn")
        else:
            world.pollers.refusal = SourceRefused("gone") if gone == "source" else SourceUnavailable("gone")
        assert (await world("UpdateEventSourceMapping", UUID=uuid, Enabled=False))["State"] == "Disabling"
        await settled(world, uuid)
        assert world.pollers.polled == {}
        assert (await world("UpdateEventSourceMapping", UUID=uuid, BatchSize=5))["BatchSize"] == 5
        await settled(world, uuid)
        with pytest.raises(InvalidParameterValue, match="Function does not exist"):
            await world("UpdateEventSourceMapping", UUID=uuid, FunctionName="none")
        with pytest.raises((InvalidParameterValue, PlatformError)):
            await world("UpdateEventSourceMapping", UUID=uuid, Enabled=True)

    run(test)


def test_an_update_makes_no_duplicate() -> None:
    async def test(world: World) -> None:
        await world.active()
        await world.active("other")
        first = (await mapped(world))["UUID"]
        second = (await mapped(world, FunctionName="other"))["UUID"]
        await settled(world, second)
        with pytest.raises(ResourceConflict, match=f"update or delete the existing mapping with UUID {first}"):
            await world("UpdateEventSourceMapping", UUID=second, FunctionName="fn")
        assert (await settled(world, second))["FunctionArn"].endswith(":other")

    run(test)


def test_an_unknown_mapping_is_not_found() -> None:
    async def test(world: World) -> None:
        for operation in ("GetEventSourceMapping", "UpdateEventSourceMapping", "DeleteEventSourceMapping"):
            with pytest.raises(ResourceNotFound, match=r"The resource you requested does not exist\."):
                await world(operation, UUID="00000000-0000-0000-0000-000000000000")

    run(test)


def test_a_mapping_outlives_its_function() -> None:
    async def test(world: World) -> None:
        await world.active()
        uuid = (await mapped(world))["UUID"]
        await settled(world, uuid)
        await world("DeleteFunction", FunctionName="fn")
        await world.restart()
        assert (await settled(world, uuid))["State"] == "Enabled"
        assert CALLER.account in (await world("GetEventSourceMapping", UUID=uuid))["FunctionArn"]

    run(test)


def test_a_mapping_has_tags() -> None:
    async def test(world: World) -> None:
        await world.active()
        mapping = await mapped(world, Tags={"a": "1", "b": "2"})
        named = {"Resource": mapping["EventSourceMappingArn"]}
        assert await world("ListTags", named) == {"Tags": {"a": "1", "b": "2"}}
        await world("TagResource", named, Tags={"c": "3"})
        await world("UntagResource", named, TagKeys=["a"])
        await world.restart()
        assert await world("ListTags", named) == {"Tags": {"b": "2", "c": "3"}}
        missing = named["Resource"][:-1] + "x"
        with pytest.raises(ResourceNotFound):
            await world("ListTags", Resource=missing)

    run(test)


def test_a_reset_deletes_mappings() -> None:
    async def test(world: World) -> None:
        await world.active()
        uuid = (await mapped(world))["UUID"]
        await settled(world, uuid)
        await world.control.reset()
        assert (await world("ListEventSourceMappings"))["EventSourceMappings"] == []
        assert (world.pollers.polled, world.pollers.forgotten) == ({}, [uuid])

    run(test)
