"""The log store as its users see it: what was written is found again, by every operation, and bounded on disk."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import botocore.session
import botocore.validate
import pytest

from ondol.model.errors import InvalidParameter, ResourceNotFound
from ondol.model.ids import AccountId, Region
from ondol.model.limits import LogLimits
from ondol.model.time import Instant, WallTime
from ondol.telemetry.api import LogEvent, LogStream
from ondol.telemetry.names import path_of
from ondol.telemetry.service import TelemetryService

ACCOUNT, REGION = AccountId("000000000000"), Region("us-east-1")
GROUP = "/aws/lambda/greet"
T0 = 1_760_000_000_000
MODEL = botocore.session.get_session().get_service_model("logs")


class SteppedClock:
    def __init__(self) -> None:
        self.time = 0

    def now(self) -> Instant:
        return Instant(self.time * 1_000_000)

    def wall(self) -> WallTime:
        return WallTime(T0 + self.time)


def stream(name: str, group: str = GROUP) -> LogStream:
    return LogStream(ACCOUNT, REGION, group, name)


def line(time_ms: int, text: str = "") -> LogEvent:
    return LogEvent(WallTime(T0 + time_ms), text or f"at {time_ms}\n")


class Store:
    """A service whose every answer is held against the service model."""

    def __init__(self, directory: Path, limits: LogLimits | None = None) -> None:
        self.clock = SteppedClock()
        self.service = TelemetryService(directory, self.clock, limits)

    def write(self, name: str, *events: LogEvent, group: str = GROUP) -> None:
        log = self.service.open(stream(name, group))
        for event in events:
            log.write(event.time, [event.message])

    async def ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        answer = await self.service.perform(operation, ACCOUNT, REGION, parameters)
        report = botocore.validate.ParamValidator().validate(answer, MODEL.operation_model(operation).output_shape)
        assert not report.has_errors(), report.generate_report()
        return answer

    async def all(self, operation: str, member: str, **parameters: Any) -> list[dict[str, Any]]:
        """Every item of every page."""
        found = []
        while True:
            answer = await self.ask(operation, **parameters)
            found += answer[member]
            if "nextToken" not in answer:
                return found
            parameters["nextToken"] = answer["nextToken"]

    async def times(self, **parameters: Any) -> list[int]:
        events = await self.all("FilterLogEvents", "events", logGroupName=GROUP, **parameters)
        return [event["timestamp"] - T0 for event in events]


def with_store(
    directory: Path, scenario: Callable[[Store], Coroutine[Any, Any, None]], limits: LogLimits | None = None
) -> None:
    async def run() -> None:
        store = Store(directory, limits)
        try:
            await scenario(store)
        finally:
            await store.service.close()

    asyncio.run(run())


def test_a_query_finds_what_was_written_just_before(tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        for number in range(20):
            store.write("s", line(number))
            assert await store.times() == list(range(number + 1))

    with_store(tmp_path, scenario)


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    async def write(store: Store) -> None:
        store.write("2025/10/09/[$LATEST]abc", line(1), line(2, "naïve\r \U0001f525\n"))
        store.write("x" * 512, line(3), group="/" * 512)
        store.clock.time = 5

    async def read(store: Store) -> None:
        groups = await store.all("DescribeLogGroups", "logGroups")
        assert [group["logGroupName"] for group in groups] == ["/" * 512, GROUP]
        (found,) = await store.all("DescribeLogStreams", "logStreams", logGroupName="/" * 512)
        assert (found["logStreamName"], found["lastEventTimestamp"]) == ("x" * 512, T0 + 3)
        answer = await store.ask("GetLogEvents", logGroupName=GROUP, logStreamName="2025/10/09/[$LATEST]abc")
        assert [event["message"] for event in answer["events"]] == ["at 1\n", "naïve\r \U0001f525\n"]
        store.write("2025/10/09/[$LATEST]abc", line(7))
        assert await store.times() == [1, 2, 7]

    with_store(tmp_path, write)
    with_store(tmp_path, read)


def test_hostile_names_stay_inside_the_directory(tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        for name in ("..", "../../up", "/", "a\0b"):
            store.write(name, line(1), group="..")
        assert len(await store.all("DescribeLogStreams", "logStreams", logGroupName="..")) == 4

    with_store(tmp_path / "logs", scenario)
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


def test_groups_by_prefix_pattern_and_page(tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        for number in range(120):
            store.write("s", line(1), group=f"/aws/lambda/f{number:03d}")
        store.write("s", line(1), line(2), group="other/DataLogs")
        names = [group["logGroupName"] for group in await store.all("DescribeLogGroups", "logGroups")]
        assert names == [*(f"/aws/lambda/f{number:03d}" for number in range(120)), "other/DataLogs"]
        found = await store.all("DescribeLogGroups", "logGroups", logGroupNamePrefix="/aws/lambda/f11", limit=3)
        assert len(found) == 10
        (found_one,) = (await store.ask("DescribeLogGroups", logGroupNamePattern="DataLogs"))["logGroups"]
        assert set(found_one) == {"logGroupName", "creationTime", "arn"}
        assert (await store.ask("DescribeLogGroups", logGroupNamePattern="datalogs"))["logGroups"] == []
        (one,) = (await store.ask("DescribeLogGroups", logGroupNamePrefix="other"))["logGroups"]
        assert one["arn"] == "arn:aws:logs:us-east-1:000000000000:log-group:other/DataLogs:*"
        assert one["storedBytes"] > 0
        with pytest.raises(InvalidParameter, match="nextToken is invalid"):
            await store.ask("DescribeLogGroups", nextToken="made-up")

    with_store(tmp_path, scenario)


def test_streams_by_name_and_by_last_event(tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        for number in range(60):
            store.write(f"s{number:02d}", line(1000 - number), line(2000 + (number * 37) % 60))
        ask = {"logGroupName": GROUP, "limit": 7}
        by_name = await store.all("DescribeLogStreams", "logStreams", **ask)
        assert [found["logStreamName"] for found in by_name] == [f"s{number:02d}" for number in range(60)]
        assert by_name[3]["firstEventTimestamp"] == T0 + 997
        assert by_name[3]["lastEventTimestamp"] == T0 + 2000 + (3 * 37) % 60
        latest = await store.all("DescribeLogStreams", "logStreams", orderBy="LastEventTime", descending=True, **ask)
        assert [found["lastEventTimestamp"] - T0 for found in latest] == list(range(2059, 1999, -1))
        some = await store.all("DescribeLogStreams", "logStreams", logStreamNamePrefix="s1", descending=True, **ask)
        assert [found["logStreamName"] for found in some] == [f"s{number}" for number in range(19, 9, -1)]
        with pytest.raises(InvalidParameter, match="Cannot order by LastEventTime"):
            await store.ask("DescribeLogStreams", orderBy="LastEventTime", logStreamNamePrefix="s", **ask)

    with_store(tmp_path, scenario)


def test_one_stream_pages_both_ways_and_its_tokens_repeat_at_the_ends(tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        store.write("s", *(line(number) for number in range(10)))
        ask: dict[str, Any] = {"logGroupName": GROUP, "logStreamName": "s", "limit": 4}

        async def page(**more: Any) -> tuple[list[int], str, str]:
            answer = await store.ask("GetLogEvents", **ask, **more)
            times = [event["timestamp"] - T0 for event in answer["events"]]
            return times, answer["nextForwardToken"], answer["nextBackwardToken"]

        times, forward, first = await page(startFromHead=True)
        assert times == [0, 1, 2, 3]
        assert (await page(nextToken=first))[0] == []
        assert (await page(nextToken=first))[2] == first
        times, forward, _ = await page(nextToken=forward, startFromHead=True)
        times, forward, back = await page(nextToken=forward, startFromHead=True)
        assert times == [8, 9]
        assert (await page(nextToken=forward)) == ([], forward, (await page(nextToken=forward))[2])
        assert (await page(nextToken=back))[0] == [4, 5, 6, 7]
        assert (await page())[0] == [6, 7, 8, 9]
        store.write("s", line(10))
        assert (await page(nextToken=forward))[0] == [10]
        assert (await page(startTime=T0 + 3, endTime=T0 + 5))[0] == [3, 4]
        assert (await page(startTime=T0 + 3, startFromHead=True))[0] == [3, 4, 5, 6]
        assert (await page(endTime=T0 + 5))[0] == [1, 2, 3, 4]

    with_store(tmp_path, scenario)


def test_a_page_of_one_stream_stays_below_a_megabyte(tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        store.write("s", *(line(number, "x" * 300_000) for number in range(10)))
        answer = await store.ask("GetLogEvents", logGroupName=GROUP, logStreamName="s", startFromHead=True)
        assert [event["timestamp"] - T0 for event in answer["events"]] == [0, 1, 2]
        assert await store.times() == list(range(10))

    with_store(tmp_path, scenario)


def test_streams_are_interleaved_by_time_and_paged(tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        for name in ("a1", "a2", "b"):
            store.write(name, *(line(number) for number in range(0, 300, 3 if name == "b" else 2)))
        expected = sorted([*range(0, 300, 2)] * 2 + [*range(0, 300, 3)])
        for limit in (1, 7, 10_000):
            assert await store.times(limit=limit) == expected
        assert await store.times(limit=7, startFromHead=False) == expected[::-1]
        assert await store.times(logStreamNames=["b"], limit=11) == list(range(0, 300, 3))
        assert await store.times(logStreamNamePrefix="a", startTime=T0 + 290, endTime=T0 + 292) == [290, 290, 292, 292]
        events = await store.all("FilterLogEvents", "events", logGroupName=GROUP, limit=50)
        ids = [event["eventId"] for event in events]
        assert len(set(ids)) == len(ids) == len(expected)
        assert all(len(event_id) == 56 and event_id.isdigit() for event_id in ids)
        again = await store.ask("FilterLogEvents", logGroupName=GROUP, startTime=T0 + 100, limit=10)
        assert {event["eventId"] for event in again["events"]} <= set(ids)

    with_store(tmp_path, scenario)


def test_pages_go_on_where_they_were_though_lines_arrive(tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        store.write("a", line(1), line(5))
        first = await store.ask("FilterLogEvents", logGroupName=GROUP, limit=1)
        store.write("b", line(3))
        assert await store.times(nextToken=first["nextToken"]) == [3, 5]

    with_store(tmp_path, scenario)


def test_filters_by_terms(tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        store.write("s", line(1, "ERROR disk full\n"), line(2, "ERROR network\n"), line(3, "all good\n"))
        assert await store.times(filterPattern="ERROR") == [1, 2]
        assert await store.times(filterPattern='"disk full"') == [1]
        assert await store.times(filterPattern="?full ?good") == [1, 3]
        assert await store.times(filterPattern="ERROR -network") == [1]
        with pytest.raises(InvalidParameter, match="JSON patterns"):
            await store.times(filterPattern="{ $.x = 1 }")

    with_store(tmp_path, scenario)


def test_what_is_not_there_is_said_as_on_aws(tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        store.write("s", line(1))
        for operation in ("DescribeLogStreams", "FilterLogEvents"):
            with pytest.raises(ResourceNotFound, match=r"^The specified log group does not exist\.$"):
                await store.ask(operation, logGroupName="/nothing")
        for parameters in ({"logStreamNames": ["none"]}, {"logStreamNames": ["s", "none"]}):
            with pytest.raises(ResourceNotFound, match=r"^The specified log stream does not exist\.$"):
                await store.ask("FilterLogEvents", logGroupName=GROUP, **parameters)
        with pytest.raises(ResourceNotFound, match="log stream"):
            await store.ask("GetLogEvents", logGroupName=GROUP, logStreamName="none")
        other = await store.service.perform("DescribeLogGroups", AccountId("1" * 12), REGION, {})
        assert other["logGroups"] == []
        arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{GROUP}:*"
        assert len((await store.ask("DescribeLogStreams", logGroupIdentifier=arn))["logStreams"]) == 1
        with pytest.raises(InvalidParameter, match="limit"):
            await store.times(limit=10_001)

    with_store(tmp_path, scenario)


def test_a_clock_that_is_set_back_hides_no_line(tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        store.write("s", line(100), line(40), line(101))
        assert await store.times() == [100, 100, 101]
        store.write("s", line(50, "set back\n"))
        (event,) = await store.all("FilterLogEvents", "events", logGroupName=GROUP, filterPattern='"set back"')
        assert event["timestamp"] == T0 + 101

    with_store(tmp_path, scenario)


def test_half_a_surrogate_pair_becomes_a_question_mark(tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        store.service.open(stream("s")).write(WallTime(T0), ["one\n", "a\ud800b\n", "two\n"])
        events = await store.all("FilterLogEvents", "events", logGroupName=GROUP)
        assert [event["message"] for event in events] == ["one\n", "a?b\n", "two\n"]

    with_store(tmp_path, scenario)


def disk_usage(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def test_a_stream_keeps_its_newest_lines_within_its_share(tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        token = ""
        for number in range(200):
            store.write("s", line(number, "x" * 1000))
            answer = await store.ask("GetLogEvents", logGroupName=GROUP, logStreamName="s", limit=1)
            token = answer["nextForwardToken"]
        times = await store.times()
        assert times == list(range(times[0], 200))
        assert 40 < len(times) < 130
        store.write("s", line(200))
        after = await store.ask("GetLogEvents", logGroupName=GROUP, logStreamName="s", nextToken=token)
        assert [event["timestamp"] - T0 for event in after["events"]] == [200]

    with_store(tmp_path, scenario, LogLimits(stream=100_000))
    assert disk_usage(tmp_path) < 130_000


def test_in_all_the_oldest_streams_go_but_none_that_is_written(tmp_path: Path) -> None:
    limits = LogLimits(total=400_000)

    async def fill(store: Store) -> None:
        for number in range(60):
            store.write(f"s{number:02d}", line(number, "x" * 9_000))
        store.clock.time = 3_600_000

    async def add(store: Store) -> None:
        store.write("old-but-alive", line(0, "x" * 9_000))
        await store.times()
        for number in range(100, 120):
            store.write(f"s{number}", line(number, "x" * 9_000))
            await store.times(logStreamNamePrefix="none")
        names = {
            found["logStreamName"] for found in await store.all("DescribeLogStreams", "logStreams", logGroupName=GROUP)
        }
        assert {"old-but-alive", *(f"s{number}" for number in range(100, 120))} <= names
        survivors = sorted(name for name in names if name < "s60" and name != "old-but-alive" and len(name) == 3)
        assert survivors == [f"s{number:02d}" for number in range(60 - len(survivors), 60)]
        assert len(survivors) < 30

    with_store(tmp_path, fill)
    with_store(tmp_path, add, limits)
    assert disk_usage(tmp_path) <= 400_000


def test_lines_wait_for_a_disk_that_fails_and_the_oldest_are_dropped_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / path_of(ACCOUNT)
    blocked.write_text("in the way")

    async def scenario(store: Store) -> None:
        store.write("s", *(line(number, "x" * 1000) for number in range(100)))
        await asyncio.to_thread(store.service._writer.flush, 0.2)
        blocked.unlink()
        while not (times := [] if not blocked.exists() else await store.times()):
            await asyncio.to_thread(store.service._writer.flush)
        (note,) = await store.all("FilterLogEvents", "events", logGroupName=GROUP, filterPattern="dropped")
        assert f"dropped {100 - (len(times) - 1)} older log lines" in note["message"]
        assert times[-1] == 99
        assert 30 < len(times) < 60

    with_store(tmp_path, scenario, LogLimits(buffer=50_000))
    assert "wait in memory" in caplog.text


def test_a_start_reads_nothing_however_many_streams_there_are(tmp_path: Path) -> None:
    group = tmp_path / path_of(ACCOUNT) / path_of(REGION) / path_of(GROUP, T0)
    group.mkdir(parents=True)
    for number in range(10_000):
        (group / path_of(f"2025/01/01/[$LATEST]{number:032x}", 0, T0)).write_bytes(b'[%d,"x\\n"]\n' % T0)

    async def scenario() -> None:
        begin = time.process_time()
        service = TelemetryService(tmp_path, SteppedClock())
        service.open(stream("s")).write(line(1).time, [line(1).message])
        assert time.process_time() - begin < 0.02
        answer = await service.perform("DescribeLogStreams", ACCOUNT, REGION, {"logGroupName": GROUP})
        assert len(answer["logStreams"]) == 50
        await service.close()

    asyncio.run(scenario())


KILLED = """
import sys, time
from pathlib import Path
from ondol.telemetry.api import LogStream
from ondol.telemetry.service import TelemetryService

class RealClock:
    def now(self): return time.monotonic_ns()
    def wall(self): return time.time_ns() // 1_000_000

service = TelemetryService(Path(sys.argv[1]), RealClock())
log = service.open(LogStream("000000000000", "us-east-1", "/aws/lambda/greet", "s"))
number = 0
while True:
    log.write(time.time_ns() // 1_000_000, [f"{number}\\n"])
    number += 1
    print(number, flush=True)
    time.sleep(0.0005)
"""


def test_kill_9_costs_at_most_the_last_moment(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    while int(process.stdout.readline()) < 500:
        pass
    os.kill(process.pid, signal.SIGKILL)
    killed_at = time.time_ns() // 1_000_000
    said = int((process.stdout.read().split() or [b"500"])[-1])
    process.wait()
    process.stdout.close()

    async def scenario(store: Store) -> None:
        events = await store.all("FilterLogEvents", "events", logGroupName=GROUP)
        assert [event["message"] for event in events] == [f"{number}\n" for number in range(len(events))]
        assert len(events) == said or killed_at - events[-1]["timestamp"] < 500

    with_store(tmp_path, scenario)
