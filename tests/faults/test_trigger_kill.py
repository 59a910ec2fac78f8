"""kill -9 of an ondol that has rules and a schedule: what was acknowledged is there, and happens."""

import json
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conformance.event_sources import until
from ondol_process import ROLE, OndolProcess, create

SAY_AND_STAY = """
import json, time
def h(event, context):
    print(json.dumps(event))
    time.sleep(1)
"""
"""What it says is on disk long before it ends, and its event is gone: a kill takes the last 0.2 s of a log."""


@pytest.fixture
def ondol(tmp_path: Path) -> "OndolProcess":
    return OndolProcess(tmp_path / "data")


def details(ondol: OndolProcess) -> list[int]:
    """What the function saw."""
    logs = ondol.client("logs")
    try:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName="/aws/lambda/fn", filterPattern='"detail"'
        )
        return [json.loads(event["message"])["detail"]["n"] for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []


def test_rules_schedules_and_events_that_were_acknowledged_survive(ondol: OndolProcess) -> None:
    with ondol:
        arn = create(ondol.client(), "fn", SAY_AND_STAY)["FunctionArn"]
        ondol.client().add_permission(
            FunctionName="fn", StatementId="s", Action="lambda:InvokeFunction", Principal="events.amazonaws.com"
        )
        events = ondol.client("events")
        events.create_event_bus(Name="bus")
        events.put_rule(Name="rule", EventBusName="bus", EventPattern=json.dumps({"source": ["s"]}))
        events.put_targets(Rule="rule", EventBusName="bus", Targets=[{"Id": "it", "Arn": arn}])
        events.put_rule(Name="minutely", ScheduleExpression="rate(1 minute)")
        due = datetime.now(UTC) + timedelta(seconds=2)
        ondol.client("scheduler").create_schedule(
            Name="once",
            ScheduleExpression=f"at({due:%Y-%m-%dT%H:%M:%S})",
            FlexibleTimeWindow={"Mode": "OFF"},
            ActionAfterCompletion="DELETE",
            Target={"Arn": arn, "RoleArn": ROLE, "Input": '{"detail": {"n": -1}}'},
        )
        ondol.kill()
        ondol.start()
        for number in range(20):
            entry = {"Source": "s", "DetailType": "t", "Detail": json.dumps({"n": number}), "EventBusName": "bus"}
            assert ondol.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0
        ondol.kill()
        ondol.start()
        assert ondol.client("events").describe_rule(Name="minutely")["ScheduleExpression"] == "rate(1 minute)"
        until(lambda: set(details(ondol)) == set(range(-1, 20)), 60)
        until(lambda: not ondol.client("scheduler").list_schedules()["Schedules"])
        reset(ondol)
        assert ondol.client("events").list_rules()["Rules"] == []
        assert [bus["Name"] for bus in ondol.client("events").list_event_buses()["EventBuses"]] == ["default"]


def reset(ondol: OndolProcess) -> None:
    signed = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0"
    request = urllib.request.Request(f"{ondol.endpoint}/_ondol/reset", b"", {"Authorization": signed}, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.load(answer)["functions"] == 1
