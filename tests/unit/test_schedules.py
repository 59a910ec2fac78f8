"""Schedules of EventBridge Scheduler in virtual time: when they invoke what, when they end, and what they survive."""

import asyncio
import json
from typing import Any

import pytest
from trigger_world import ACCOUNT, FUNCTION, OWNER, World, scenario

from ondol.aws.wire import SchedulerWire
from ondol.model.errors import NameConflict, ResourceNotFound, ValidationFailed
from ondol.simulator.virtual_time import NEW_YEAR_2026

MINUTE = 60.0
HOUR = 60 * MINUTE
ARN = f"arn:aws:scheduler:eu-west-1:{ACCOUNT}:schedule/default/s"


def wanted(expression: str, **more: Any) -> dict[str, Any]:
    target = {"Arn": FUNCTION.arn, "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/r", **more.pop("Target", {})}
    window = {"Mode": "OFF"}
    return {"Name": "s", "ScheduleExpression": expression, "FlexibleTimeWindow": window, "Target": target, **more}


async def schedule(world: World, expression: str, **more: Any) -> None:
    await world.scheduler("CreateSchedule", **wanted(expression, **more))


def moment(seconds: float) -> int:
    return int(NEW_YEAR_2026 + seconds * 1000)


@scenario
async def test_a_rate_begins_at_once_and_its_event_is_the_schedulers(world: World) -> None:
    world.neighbours.policy = '{"Statement": []}'  # its role needs no leave of the function's
    await schedule(world, "rate(5 minutes)")
    await asyncio.sleep(11 * MINUTE)
    assert world.times == [0, 300, 600]
    assert world.payloads[1] == {
        "version": "0",
        "id": "id-2",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT,
        "time": "2026-01-01T00:05:00Z",
        "region": "eu-west-1",
        "resources": [ARN],
        "detail": "{}",
    }


@scenario
async def test_a_rate_begins_at_its_start_and_stops_at_its_end(world: World) -> None:
    await schedule(world, "rate(1 minutes)", StartDate=moment(90), EndDate=moment(220))
    await asyncio.sleep(HOUR)
    assert world.times == [90, 150, 210]
    assert (await world.scheduler("GetSchedule", Name="s"))["State"] == "ENABLED"


@scenario
async def test_one_time_in_a_zone_and_then_deleted(world: World) -> None:
    told = {"at": "scheduled-time", "by": "schedule-arn", "n": "attempt-number"}
    text = json.dumps({name: f"<aws.scheduler.{keyword}>" for name, keyword in told.items()})
    await schedule(
        world,
        "at(2026-01-01T03:00:00)",
        ScheduleExpressionTimezone="Europe/Berlin",
        ActionAfterCompletion="DELETE",
        Target={"Input": text},
    )
    await asyncio.sleep(3 * HOUR)
    assert world.times == [2 * HOUR]
    assert world.payloads == [{"at": "2026-01-01T02:00:00Z", "by": ARN, "n": "1"}]
    with pytest.raises(ResourceNotFound):
        await world.scheduler("GetSchedule", Name="s")


@scenario
async def test_one_time_that_is_past_never_comes_and_stays_unless_it_is_to_go(world: World) -> None:
    await schedule(world, "at(2025-01-01T00:00:00)")
    await schedule(world, "at(2025-01-01T00:00:00)", Name="t", ActionAfterCompletion="DELETE")
    await asyncio.sleep(HOUR)
    assert world.times == []
    assert [each["Name"] for each in (await world.scheduler("ListSchedules"))["Schedules"]] == ["s"]


@scenario
async def test_a_flexible_window_spreads(world: World) -> None:
    flexible = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 10}
    await schedule(world, "cron(0 * * * ? *)", FlexibleTimeWindow=flexible, StartDate=moment(1))
    await asyncio.sleep(2.5 * HOUR)
    # Chance is a half here.
    assert world.times == [HOUR + 300, 2 * HOUR + 300]
    assert [payload["time"][11:16] for payload in world.payloads] == ["01:00", "02:00"]


@scenario
async def test_a_change_counts_from_now_and_forgets_what_is_not_said(world: World) -> None:
    await schedule(world, "rate(1 hour)", Description="d", StartDate=moment(0))
    await asyncio.sleep(1.5 * HOUR)
    await world.scheduler("UpdateSchedule", **wanted("cron(15 * * * ? *)"))
    await asyncio.sleep(HOUR)
    assert world.times == [0, HOUR, 2 * HOUR + 900]
    shown = await world.scheduler("GetSchedule", Name="s")
    assert shown["Description"] is None and shown["StartDate"] is None
    assert shown["CreationDate"] == moment(0) and shown["LastModificationDate"] == moment(1.5 * HOUR)
    await world.scheduler("UpdateSchedule", **wanted("cron(15 * * * ? *)", State="DISABLED"))
    await asyncio.sleep(5 * HOUR)
    assert len(world.times) == 3
    with pytest.raises(ResourceNotFound):
        await world.scheduler("UpdateSchedule", **wanted("rate(1 hour)", Name="other"))


@scenario
async def test_what_was_missed_while_nobody_was_there_is_made_up_for_once(world: World) -> None:
    await schedule(world, "cron(0 * * * ? *)", Target={"RetryPolicy": {"MaximumEventAgeInSeconds": 1800}})
    await schedule(world, "at(2026-01-01T03:50:00)", Name="once", ActionAfterCompletion="DELETE")
    await asyncio.sleep(HOUR + 1)
    await world.restart(down_s=3 * HOUR + 600)
    await asyncio.sleep(MINUTE)
    times = [payload["time"][11:16] for payload in world.payloads]
    assert sorted(times) == ["00:00", "01:00", "03:50", "04:00"]
    await world.restart(down_s=HOUR + 1800)
    await asyncio.sleep(HOUR)
    assert [payload["time"][11:16] for payload in world.payloads][4:] == ["06:00"]
    assert [each["Name"] for each in (await world.scheduler("ListSchedules"))["Schedules"]] == ["s"]


@scenario
async def test_groups_have_schedules_of_their_own_and_take_them_along(world: World) -> None:
    await world.scheduler("CreateScheduleGroup", Name="g")
    await schedule(world, "rate(1 hour)", GroupName="g")
    await schedule(world, "rate(1 hour)", Name="t", State="DISABLED")
    listed = (await world.scheduler("ListSchedules"))["Schedules"]
    assert [(each["GroupName"], each["Name"]) for each in listed] == [("g", "s"), ("default", "t")]
    assert len((await world.scheduler("ListSchedules", GroupName="g"))["Schedules"]) == 1
    assert (await world.scheduler("ListSchedules", State="DISABLED"))["Schedules"] == listed[1:]
    assert (await world.scheduler("ListSchedules", MaxResults=1))["Schedules"] == listed[:1]
    with pytest.raises(ResourceNotFound, match="Schedule s does not exist"):
        await world.scheduler("GetSchedule", Name="s")
    await world.scheduler("DeleteScheduleGroup", Name="g")
    await asyncio.sleep(3 * HOUR)
    assert world.times == [0]
    with pytest.raises(ResourceNotFound, match="Schedule group g does not exist"):
        await schedule(world, "rate(1 hour)", GroupName="g")


@scenario
async def test_the_same_token_makes_the_same_schedule(world: World) -> None:
    first = await world.scheduler("CreateSchedule", **wanted("rate(1 hour)", ClientToken="a"))
    assert await world.scheduler("CreateSchedule", **wanted("rate(1 hour)", ClientToken="a")) == first
    for token in ({"ClientToken": "b"}, {}):
        with pytest.raises(NameConflict):
            await world.scheduler("CreateSchedule", **wanted("rate(1 hour)", **token))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"ScheduleExpression": "rate(5 weeks)"}, "Invalid Schedule Expression rate"),
        ({"ScheduleExpressionTimezone": "Mars/Olympus"}, "Timezone Mars/Olympus"),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "maximum window is needed"),
        ({"FlexibleTimeWindow": {"Mode": "OFF", "MaximumWindowInMinutes": 5}}, "maximum window is not allowed"),
        ({"StartDate": moment(-301)}, "cannot be earlier than 5 minutes ago"),
        ({"EndDate": moment(-1)}, "cannot be in the past"),
        ({"StartDate": moment(9), "EndDate": moment(9)}, "later than the StartDate"),
        ({"KmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/k"}, "KmsKeyArn cannot be set"),
        ({"Target": {"Arn": f"arn:aws:sqs:eu-west-1:{ACCOUNT}:q"}}, "invokes Lambda functions and nothing else"),
        ({"Target": {"Arn": "arn:aws:scheduler:::aws-sdk:lambda:invoke"}}, "invokes Lambda functions and nothing else"),
        ({"Target": {"SqsParameters": {"MessageGroupId": "g"}}}, "SqsParameters cannot be set"),
        ({"Target": {"DeadLetterConfig": {"Arn": "arn:aws:sqs:r:1:q.fifo"}}}, "Dead letters go to a standard queue"),
        ({"Target": {"Input": "no"}}, "is not valid JSON"),
        ({"Target": {"Input": f'"{"x" * 262_144}"'}}, "262144 bytes at most"),
    ],
)
def test_what_cannot_be(more: dict[str, Any], words: str) -> None:
    @scenario
    async def refused(world: World) -> None:
        with pytest.raises(ValidationFailed, match=words):
            await world.scheduler("CreateSchedule", **wanted(more.pop("ScheduleExpression", "rate(1 hour)"), **more))
        assert (await world.scheduler("ListSchedules"))["Schedules"] == []

    refused()


@scenario
async def test_every_operation_is_served(world: World) -> None:
    assert world.service.operations("scheduler") == SchedulerWire().operations
    assert OWNER.account == ACCOUNT
