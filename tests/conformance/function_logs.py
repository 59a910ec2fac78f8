"""A function's log as CloudWatch Logs tells it, read until it has what a test looks for."""

import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 20.0


def lines_of(logs: Any, name: str, found: Callable[[list[str]], object]) -> list[str]:
    """All lines, as soon as they have what is looked for: they are on their way for a moment after an answer."""
    end = time.monotonic() + PATIENCE_S
    lines: list[str] = []
    while time.monotonic() < end:
        if logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]:
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}")
            lines = [event["message"] for page in pages for event in page["events"]]
            if found(lines):
                return lines
    raise AssertionError("what was looked for is not in the log:\n" + "".join(lines))


def reports(lines: list[str]) -> list[dict[str, str]]:
    """The fields of each REPORT."""
    told = (line.strip().split("\t") for line in lines if line.startswith("REPORT"))
    return [dict(part.split(": ", 1) for part in parts) for parts in told]
