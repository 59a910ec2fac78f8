"""What tests of triggers share: functions that keep their events in their logs, and permissions for services."""

import json
from typing import Any

from event_sources import RECORD, until

from ondol_process import OndolProcess, create

ACCOUNT = "000000000000"


def recorder(ondol: OndolProcess, name: str, service: str, source_arn: str | None = None) -> str:
    """The ARN of a new function, which this service may invoke."""
    client = ondol.client()
    arn: str = create(client, name, RECORD, MemorySize=1769)["FunctionArn"]
    permit(ondol, name, service, source_arn)
    return arn


def permit(ondol: OndolProcess, name: str, service: str, source_arn: str | None = None) -> None:
    source = {"SourceArn": source_arn} if source_arn else {}
    ondol.client().add_permission(
        FunctionName=name,
        StatementId="trigger",
        Action="lambda:InvokeFunction",
        Principal=f"{service}.amazonaws.com",
        **source,
    )


def seen(ondol: OndolProcess, name: str) -> list[Any]:
    """The events that the function had."""
    logs = ondol.client("logs")
    try:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}")
        lines = [event["message"].strip() for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [json.loads(line) for line in lines if line[:1] in '{["' and not line.startswith("[")]


def awaited(ondol: OndolProcess, name: str, count: int = 1) -> list[Any]:
    """The function's events, once there are so many."""
    until(lambda: len(seen(ondol, name)) >= count)
    return seen(ondol, name)
