"""CloudWatch Logs as clients ask it for a function's real logs: groups, streams, pages, filters, tailing."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lambda_calls import answer, invoke, refusal

from ondol_process import OndolProcess, create

PRINTING = "def h(event, context):\n    for line in event: print(line)"


@pytest.fixture(scope="session")
def logs(ondol: OndolProcess) -> Any:
    return ondol.client("logs")


def until(found: Callable[[], Any], deadline_s: float = 10) -> Any:
    """Ask again until there is something: lines are on their way for a moment after an invocation was answered."""
    end = time.monotonic() + deadline_s
    while not (result := found()):
        assert time.monotonic() < end, "what was waited for did not come"
    return result


def events_of(logs: Any, group: str, reports: int = 1) -> list[dict[str, Any]]:
    """All events of a group, once it has the reports of so many invocations."""

    def found() -> list[dict[str, Any]]:
        if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            return []
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        events = [event for page in pages for event in page["events"]]
        complete = sum("REPORT" in event["message"] or "platform.report" in event["message"] for event in events)
        return events if complete >= reports else []

    events: list[dict[str, Any]] = until(found)
    return events


def test_a_group_and_a_stream_appear_with_the_first_invocation(client: Any, logs: Any, name: str) -> None:
    group = f"/aws/lambda/{name}"
    before = int(time.time() * 1000)
    create(client, name, PRINTING)
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []
    invoke(client, name, [])
    events = events_of(logs, group)
    [described] = answer(logs.describe_log_groups(logGroupNamePrefix=group))["logGroups"]
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{group}"
    created, size = described.pop("creationTime"), described.pop("storedBytes")
    assert before <= created <= time.time() * 1000 and size >= 0
    assert described == {
        "logGroupName": group,
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "metricFilterCount": 0,
        "logGroupClass": "STANDARD",
    }
    streams = answer(logs.describe_log_streams(logGroupName=group))
    assert set(streams) == {"logStreams"}
    [stream] = streams["logStreams"]
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", stream["logStreamName"])
    assert stream["arn"] == f"{arn}:log-stream:{stream['logStreamName']}"
    assert stream["firstEventTimestamp"] == events[0]["timestamp"]
    assert stream["lastEventTimestamp"] == events[-1]["timestamp"]


def test_the_lines_of_an_invocation(client: Any, logs: Any, name: str) -> None:
    create(client, name, PRINTING)
    told, _ = invoke(client, name, ["one", "", "zwei 온돌", "a\rb", "three\nlines\nin one"])
    id = told["ResponseMetadata"]["RequestId"]
    messages = [event["message"] for event in events_of(logs, f"/aws/lambda/{name}")]
    version = client.get_function_configuration(FunctionName=name)["RuntimeVersionConfig"]["RuntimeVersionArn"]
    started = rf"INIT_START Runtime Version: python:3\.\d+\.v\d+\tRuntime Version ARN: {re.escape(version)}\n"
    assert re.fullmatch(started, messages[0])
    assert messages[1:-1] == [
        f"START RequestId: {id} Version: $LATEST\n",
        "one\n",
        "\n",
        "zwei 온돌\n",
        "a\rb\n",
        "three\n",
        "lines\n",
        "in one\n",
        f"END RequestId: {id}\n",
    ]
    report = rf"REPORT RequestId: {id}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\t"
    assert re.fullmatch(report + r"Max Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms\t\n", messages[-1])


def test_streams_are_one_for_each_environment(client: Any, logs: Any, name: str) -> None:
    create(client, name, "def h(event, context): return context.log_stream_name", Publish=True)
    streams = [invoke(client, name)[1], invoke(client, name)[1], invoke(client, name, Qualifier="1")[1]]
    assert streams[0] == streams[1] != streams[2]
    assert "[$LATEST]" in streams[0] and "[1]" in streams[2]
    group = f"/aws/lambda/{name}"
    events = events_of(logs, group, reports=3)
    assert {event["logStreamName"] for event in events} == set(streams)
    described = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True)["logStreams"]
    assert [stream["logStreamName"] for stream in described] == [streams[2], streams[0]]
    first = logs.describe_log_streams(logGroupName=group, limit=1)
    assert [stream["logStreamName"] for stream in first["logStreams"]] == [min(streams)]
    rest = logs.describe_log_streams(logGroupName=group, limit=1, nextToken=first["nextToken"])
    assert [stream["logStreamName"] for stream in rest["logStreams"]] == [max(streams)]
    assert "nextToken" not in rest


def test_python_logging_says_level_time_and_request(client: Any, logs: Any, name: str) -> None:
    code = """
import logging
logging.getLogger().setLevel(logging.INFO)
logging.info("at import")
def h(event, context):
    logging.getLogger("own").warning("in %s", "handler")
    logging.debug("unseen")
"""
    create(client, name, code)
    id = invoke(client, name)[0]["ResponseMetadata"]["RequestId"]
    messages = [event["message"] for event in events_of(logs, f"/aws/lambda/{name}")]
    time_form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert any(re.fullmatch(rf"\[INFO\]\t{time_form}\t\tat import\n", message) for message in messages)
    assert any(re.fullmatch(rf"\[WARNING\]\t{time_form}\t{id}\tin handler\n", message) for message in messages)
    assert not any("unseen" in message for message in messages)


def test_a_failure_is_in_the_log(client: Any, logs: Any, name: str) -> None:
    create(client, name, "def h(event, context): raise ValueError('no such luck')")
    invoke(client, name)
    messages = [event["message"] for event in events_of(logs, f"/aws/lambda/{name}")]
    [error] = [message for message in messages if message.startswith("[ERROR]")]
    assert error == (
        "[ERROR] ValueError: no such luck\rTraceback (most recent call last):\r"
        '\xa0\xa0File "/var/task/m.py", line 1, in h\r'
        "\xa0\xa0\xa0\xa0def h(event, context): raise ValueError('no such luck')\n"
    )


def test_a_timeout_is_in_the_log(client: Any, logs: Any, name: str) -> None:
    create(client, name, "import time\ndef h(event, context): time.sleep(60)", Timeout=1)
    id = invoke(client, name)[0]["ResponseMetadata"]["RequestId"]
    messages = [event["message"] for event in events_of(logs, f"/aws/lambda/{name}")]
    form = rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z {id} Task timed out after 1\.\d\d seconds\n\n"
    assert any(re.fullmatch(form, message) for message in messages)
    assert messages[-1].endswith("\tStatus: timeout\n")


def test_json_logs(client: Any, logs: Any, name: str) -> None:
    code = "import logging\ndef h(event, context):\n    logging.getLogger('own').error('bad')\n    print('plain')"
    create(client, name, code, LoggingConfig={"LogFormat": "JSON"})
    id = invoke(client, name)[0]["ResponseMetadata"]["RequestId"]
    messages = [event["message"] for event in events_of(logs, f"/aws/lambda/{name}")]
    records = [json.loads(message) for message in messages if message.startswith("{")]
    by_type = {record["type"]: record["record"] for record in records if "type" in record}
    assert set(by_type) == {"platform.initStart", "platform.start", "platform.report"}
    assert by_type["platform.start"] == {"requestId": id, "version": "$LATEST"}
    assert by_type["platform.report"]["requestId"] == id
    assert by_type["platform.report"]["status"] == "success"
    metrics = {"durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB", "initDurationMs"}
    assert set(by_type["platform.report"]["metrics"]) == metrics
    [own] = [record for record in records if record.get("message") == "bad"]
    assert (own["level"], own["logger"], own["requestId"]) == ("ERROR", "own", id)
    assert "plain\n" in messages


def test_levels_leave_out_what_is_below(client: Any, logs: Any, name: str) -> None:
    code = "import logging\ndef h(event, context):\n    logging.warning('unseen')\n    logging.error('seen')"
    levels = {"LogFormat": "JSON", "ApplicationLogLevel": "ERROR", "SystemLogLevel": "WARN"}
    create(client, name, code, LoggingConfig=levels)
    invoke(client, name)

    def messages() -> list[str]:
        if not logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]:
            return []
        found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        return [event["message"] for event in found]

    assert [json.loads(message)["message"] for message in until(messages)] == ["seen"]


def test_logs_go_to_the_group_that_is_configured(client: Any, logs: Any, name: str) -> None:
    code = "import os\ndef h(event, context): return os.environ['AWS_LAMBDA_LOG_GROUP_NAME']"
    create(client, name, code, LoggingConfig={"LogGroup": f"/shared/{name}"})
    assert invoke(client, name)[1] == f"/shared/{name}"
    assert events_of(logs, f"/shared/{name}")
    assert logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"] == []


def test_groups_are_found_by_prefix_and_by_pattern_in_pages(client: Any, logs: Any, name: str) -> None:
    for part in ("a", "b", "c"):
        create(client, f"{name[:40]}-{part}", PRINTING, LoggingConfig={"LogGroup": f"/{name}/{part}"})
        invoke(client, f"{name[:40]}-{part}", [])
        events_of(logs, f"/{name}/{part}")
    pages = logs.get_paginator("describe_log_groups").paginate(
        logGroupNamePrefix=f"/{name}/", PaginationConfig={"PageSize": 2}
    )
    found = [[group["logGroupName"] for group in page["logGroups"]] for page in pages]
    assert found == [[f"/{name}/a", f"/{name}/b"], [f"/{name}/c"]]
    by_pattern = logs.describe_log_groups(logGroupNamePattern=f"{name}/b")["logGroups"]
    assert [group["logGroupName"] for group in by_pattern] == [f"/{name}/b"]


@pytest.fixture(scope="module")
def hundred(client: Any, logs: Any) -> tuple[str, str, list[dict[str, Any]]]:
    """A group, its stream, and its events: a hundred numbered lines, and what the platform says around them."""
    create(client, "hundred", PRINTING)
    invoke(client, "hundred", [f"line {number}" for number in range(100)])
    events = events_of(logs, "/aws/lambda/hundred")
    return "/aws/lambda/hundred", events[0]["logStreamName"], events


Hundred = tuple[str, str, list[dict[str, Any]]]


def test_get_log_events_pages_forwards_until_the_token_repeats(logs: Any, hundred: Hundred) -> None:
    group, stream, events = hundred
    seen, token = [], None
    while True:
        following = {"startFromHead": True} if token is None else {"nextToken": token}
        page = logs.get_log_events(logGroupName=group, logStreamName=stream, limit=30, **following)
        seen += [event["message"] for event in page["events"]]
        if page["nextForwardToken"] == token:
            break
        assert len(page["events"]) == 30 or len(seen) == len(events)
        token = page["nextForwardToken"]
    assert seen == [event["message"] for event in events]
    assert set(answer(page)) == {"events", "nextForwardToken", "nextBackwardToken"}


def test_get_log_events_pages_backwards_from_the_newest(logs: Any, hundred: Hundred) -> None:
    group, stream, events = hundred
    seen: list[str] = []
    token = None
    while True:
        following = {} if token is None else {"nextToken": token}
        page = logs.get_log_events(logGroupName=group, logStreamName=stream, limit=30, **following)
        seen = [event["message"] for event in page["events"]] + seen
        if page["nextBackwardToken"] == token:
            break
        token = page["nextBackwardToken"]
    assert seen == [event["message"] for event in events]


def test_filter_log_events_pages(logs: Any, hundred: Hundred) -> None:
    group, stream, events = hundred
    pages = list(
        logs.get_paginator("filter_log_events").paginate(logGroupName=group, PaginationConfig={"PageSize": 30})
    )
    found = [event for page in pages for event in page["events"]]
    assert found == events
    assert len(pages) == -(-len(events) // 30)
    assert set(found[0]) == {"logStreamName", "timestamp", "message", "ingestionTime", "eventId"}
    assert len({event["eventId"] for event in found}) == len(found)
    assert {event["logStreamName"] for event in found} == {stream}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("", 104),
        ('"line 1"', 11),
        ("line", 100),
        ("RequestId", 3),
        ("RequestId -START", 2),
        ("?REPORT ?END", 2),
        ("nowhere", 0),
    ],
)
def test_filter_patterns(logs: Any, hundred: Hundred, pattern: str, found: int) -> None:
    group, _, _ = hundred
    assert len(logs.filter_log_events(logGroupName=group, filterPattern=pattern)["events"]) == found


def test_times_and_streams_choose(logs: Any, hundred: Hundred) -> None:
    group, stream, events = hundred
    last = events[-1]["timestamp"]
    chosen = logs.filter_log_events(logGroupName=group, startTime=last)["events"]
    assert chosen == [event for event in events if event["timestamp"] >= last]
    assert logs.filter_log_events(logGroupName=group, startTime=last + 1)["events"] == []
    up_to = logs.filter_log_events(logGroupName=group, endTime=last)["events"]
    assert up_to[-1]["timestamp"] <= last
    assert len(logs.filter_log_events(logGroupName=group, logStreamNames=[stream])["events"]) == len(events)
    assert logs.filter_log_events(logGroupName=group, logStreamNamePrefix="1999/")["events"] == []


@pytest.mark.parametrize("operation", ["filter_log_events", "describe_log_streams", "get_log_events"])
def test_an_unknown_group_is_not_found(logs: Any, operation: str) -> None:
    stream = {"logStreamName": "none"} if operation == "get_log_events" else {}
    status, error = refusal(lambda: getattr(logs, operation)(logGroupName="/nobody/has/this", **stream))
    text = "The specified log group does not exist."
    assert status == 400
    assert error == {"Error": {"Code": "ResourceNotFoundException", "Message": text}}


def test_an_unknown_stream_or_token(logs: Any, hundred: Hundred) -> None:
    group, stream, _ = hundred
    _, error = refusal(lambda: logs.get_log_events(logGroupName=group, logStreamName="none"))
    assert error["Error"] == {
        "Code": "ResourceNotFoundException",
        "Message": "The specified log stream does not exist.",
    }
    for call in (
        lambda: logs.get_log_events(logGroupName=group, logStreamName=stream, nextToken="x/1"),
        lambda: logs.filter_log_events(logGroupName=group, nextToken="x"),
    ):
        status, error = refusal(call)
        assert (status, error["Error"]["Code"]) == (400, "InvalidParameterException")


def tail(logs: Any, group: str, start: int) -> Iterator[dict[str, Any]]:
    """The calls of the AWS CLI's `logs tail --follow`: from the newest time seen, without what was shown already."""
    parameters: dict[str, Any] = {"logGroupName": group, "interleaved": True, "startTime": start}
    shown: set[str] = set()
    while True:
        page = logs.filter_log_events(**parameters)
        for event in page["events"]:
            if event["eventId"] not in shown:
                yield event
            shown.add(event["eventId"])
            parameters["startTime"] = max(parameters["startTime"], event["timestamp"])
        parameters.pop("nextToken", None)
        if "nextToken" in page:
            parameters["nextToken"] = page["nextToken"]


def test_tailing_while_four_environments_write_shows_every_line_once(
    client: Any, logs: Any, name: str, ondol: OndolProcess
) -> None:
    start = int(time.time() * 1000)
    create(client, name, PRINTING)
    invoke(client, name, ["first"])
    events_of(logs, f"/aws/lambda/{name}")
    expected = {"first"} | {f"{writer} {call} {line}" for writer in range(4) for call in range(10) for line in range(5)}

    def write(writer: int) -> None:
        own = ondol.client()
        for call in range(10):
            invoke(own, name, [f"{writer} {call} {line}" for line in range(5)])

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in writers:
        thread.start()
    shown: list[str] = []
    end = time.monotonic() + 20
    for event in tail(logs, f"/aws/lambda/{name}", start):
        if " RequestId: " not in event["message"] and not event["message"].startswith("INIT_START"):
            shown.append(event["message"].rstrip("\n"))
        if len(shown) == len(expected) or time.monotonic() > end:
            break
    for thread in writers:
        thread.join()
    assert sorted(shown) == sorted(expected)
