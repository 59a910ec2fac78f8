"""EventBridge Scheduler as its clients see it, on a running ondol that has no other server."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from event_sources import RECORD, until
from triggered import ACCOUNT, awaited

from ondol_process import OndolProcess, create

ROLE = f"arn:aws:iam::{ACCOUNT}:role/scheduler"
OFF = {"Mode": "OFF"}


@pytest.fixture(scope="module")
def scheduler(ondol: OndolProcess) -> Any:
    return ondol.client("scheduler")


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_a_one_time_schedule_invokes_once_and_goes(ondol: OndolProcess, scheduler: Any, name: str) -> None:
    arn = create(ondol.client(), name, RECORD, MemorySize=1769)["FunctionArn"]
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    made = scheduler.create_schedule(
        Name=name[-60:],
        ScheduleExpression=f"at({due:%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow=OFF,
        ActionAfterCompletion="DELETE",
        Target={"Arn": arn, "RoleArn": ROLE, "Input": json.dumps({"at": "<aws.scheduler.scheduled-time>"})},
    )
    assert made["ScheduleArn"] == f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule/default/{name[-60:]}"
    assert awaited(ondol, name) == [{"at": f"{due:%Y-%m-%dT%H:%M:%SZ}"}]
    assert due.timestamp() <= time.time() < due.timestamp() + 20
    until(lambda: not scheduler.list_schedules(NamePrefix=name[-60:])["Schedules"])


def test_a_rate_invokes_at_once_with_the_schedulers_event(ondol: OndolProcess, scheduler: Any, name: str) -> None:
    arn = create(ondol.client(), name, RECORD, MemorySize=1769)["FunctionArn"]
    scheduler.create_schedule(
        Name=name[-60:],
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow=OFF,
        Target={"Arn": arn, "RoleArn": ROLE},
    )
    [event] = awaited(ondol, name)
    assert (event["source"], event["detail-type"], event["detail"]) == ("aws.scheduler", "Scheduled Event", "{}")
    scheduler.delete_schedule(Name=name[-60:])


def test_schedules_are_shown_as_they_were_made(scheduler: Any, name: str) -> None:
    target = {
        "Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f",
        "RoleArn": ROLE,
        "Input": "{}",
        "RetryPolicy": {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 3},
    }
    start = datetime(2036, 1, 2, 3, 4, 5, tzinfo=UTC)
    settings = {
        "ScheduleExpression": "cron(0 9 ? * MON-FRI *)",
        "ScheduleExpressionTimezone": "America/New_York",
        "StartDate": start,
        "EndDate": start + timedelta(days=1),
        "Description": "d",
        "State": "DISABLED",
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
        "ActionAfterCompletion": "DELETE",
        "Target": target,
    }
    group = name[-30:]
    scheduler.create_schedule_group(Name=group, Tags=[{"Key": "k", "Value": "v"}])
    scheduler.create_schedule(Name="s", GroupName=group, **settings)
    shown = scheduler.get_schedule(Name="s", GroupName=group)
    assert {key: shown[key] for key in settings} == settings
    assert abs(shown["CreationDate"].timestamp() - time.time()) < 60
    with pytest.raises(ClientError) as error:
        scheduler.create_schedule(Name="s", GroupName=group, **settings)
    assert refusal(error) == ("ConflictException", 409)
    scheduler.update_schedule(Name="s", GroupName=group, **{**settings, "State": "ENABLED"})
    [listed] = scheduler.list_schedules(GroupName=group)["Schedules"]
    assert (listed["State"], listed["Target"]) == ("ENABLED", {"Arn": target["Arn"]})


def test_groups(scheduler: Any, name: str) -> None:
    group = name[-30:]
    arn = scheduler.create_schedule_group(Name=group, Tags=[{"Key": "k", "Value": "v"}])["ScheduleGroupArn"]
    assert scheduler.get_schedule_group(Name=group)["State"] == "ACTIVE"
    assert {"default", group} <= {each["Name"] for each in scheduler.list_schedule_groups()["ScheduleGroups"]}
    scheduler.tag_resource(ResourceArn=arn, Tags=[{"Key": "l", "Value": "w"}])
    scheduler.untag_resource(ResourceArn=arn, TagKeys=["k"])
    assert scheduler.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "l", "Value": "w"}]
    scheduler.delete_schedule_group(Name=group)
    with pytest.raises(ClientError) as error:
        scheduler.get_schedule_group(Name=group)
    assert refusal(error) == ("ResourceNotFoundException", 404)
    with pytest.raises(ClientError) as error:
        scheduler.delete_schedule_group(Name="default")
    assert refusal(error) == ("ValidationException", 400)


def test_what_cannot_be_is_refused(scheduler: Any) -> None:
    target = {"Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q", "RoleArn": ROLE}
    with pytest.raises(ClientError) as error:
        scheduler.create_schedule(Name="s", ScheduleExpression="rate(1 hour)", FlexibleTimeWindow=OFF, Target=target)
    assert refusal(error) == ("ValidationException", 400)
    assert "invokes Lambda functions and nothing else" in error.value.response["Error"]["Message"]
    with pytest.raises(ClientError) as error:
        scheduler.get_schedule(Name="none")
    assert refusal(error) == ("ResourceNotFoundException", 404)
    assert error.value.response["Error"]["Message"] == "Schedule none does not exist."


def test_dead_letters_reach_their_queue(moto_door: OndolProcess, name: str) -> None:
    sqs = moto_door.client("sqs")
    queue = sqs.create_queue(QueueName="dead-letters")["QueueUrl"]
    target = {
        "Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:gone",
        "RoleArn": ROLE,
        "Input": '{"n": 1}',
        "DeadLetterConfig": {"Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:dead-letters"},
    }
    moto_door.client("scheduler").create_schedule(
        Name=name[-60:], ScheduleExpression="rate(1 day)", FlexibleTimeWindow=OFF, Target=target
    )
    receive = {"QueueUrl": queue, "WaitTimeSeconds": 2, "MessageAttributeNames": ["All"]}
    [message] = until(lambda: sqs.receive_message(**receive).get("Messages"))
    assert json.loads(message["Body"]) == {"n": 1}
    attributes = {key: value["StringValue"] for key, value in message["MessageAttributes"].items()}
    assert (attributes["ERROR_CODE"], attributes["TARGET_ARN"]) == ("NO_RESOURCE", target["Arn"])
    assert attributes["SCHEDULE_ARN"].endswith(f":schedule/default/{name[-60:]}")
