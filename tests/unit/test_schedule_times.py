"""When schedules are due: rate, cron and at, over changes of the clocks, and after a time in which nobody looked."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.model.time import WallTime
from ondol.triggers.cron import InvalidExpression
from ondol.triggers.expressions import UTC_ZONE, next_time, parse_expression, zone_of
from ondol.triggers.occurrences import Timing, next_occurrence

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def at(text: str) -> WallTime:
    """A time in UTC."""
    return WallTime(round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000))


def said(time: WallTime | None) -> str | None:
    return None if time is None else datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="seconds")[:19]


def following(text: str, after: str, zone: str = "UTC", anchor: str = "2026-01-01T00:00:00") -> str | None:
    return said(next_time(parse_expression(text), zone_of(zone), at(anchor), at(after)))


@pytest.mark.parametrize(
    ("cron", "after", "due"),
    [
        ("* * * * ? *", "2026-03-01T10:00:30", "2026-03-01T10:01:00"),
        ("* * * * ? *", "2026-03-01T10:01:00", "2026-03-01T10:02:00"),
        ("0/15 * * * ? *", "2026-03-01T10:31:00", "2026-03-01T10:45:00"),
        ("*/20 9-17 ? * MON-FRI *", "2026-03-06T17:41:00", "2026-03-09T09:00:00"),
        ("15 10 ? * 6L 2022-2027", "2026-03-01T00:00:00", "2026-03-27T10:15:00"),
        ("0 10 * * ? *", "2026-12-31T10:00:00", "2027-01-01T10:00:00"),
        ("0 18 ? * MON-FRI *", "2026-03-07T00:00:00", "2026-03-09T18:00:00"),
        ("0 8 1 * ? *", "2026-03-01T08:00:00", "2026-04-01T08:00:00"),
        ("0 9 ? * 2#1 *", "2026-03-03T00:00:00", "2026-04-06T09:00:00"),
        ("0 0 ? 2 FRI#5 *", "2026-01-01T00:00:00", "2036-02-29T00:00:00"),
        ("0 0 L * ? *", "2026-02-10T00:00:00", "2026-02-28T00:00:00"),
        ("0 0 L 2 ? *", "2026-03-01T00:00:00", "2027-02-28T00:00:00"),
        ("0 0 LW * ? *", "2026-05-02T00:00:00", "2026-05-29T00:00:00"),
        ("0 0 1W * ? *", "2026-07-31T00:00:00", "2026-08-03T00:00:00"),
        ("0 0 15W * ? *", "2026-08-02T00:00:00", "2026-08-14T00:00:00"),
        ("0 0 31W * ? *", "2026-05-02T00:00:00", "2026-05-29T00:00:00"),
        ("0 0 ? * L *", "2026-03-01T00:00:00", "2026-03-07T00:00:00"),
        ("0 0 ? * 1,WED *", "2026-03-02T00:00:00", "2026-03-04T00:00:00"),
        ("0 0 29 2 ? *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 ? jan,JUL sun *", "2026-02-01T00:00:00", "2026-07-05T00:00:00"),
        ("5,10 14 3 3 ? 2026", "2026-03-03T14:05:00", "2026-03-03T14:10:00"),
        ("5,10 14 3 3 ? 2026", "2026-03-03T14:10:00", None),
        ("0 0 31 2 ? *", "2026-01-01T00:00:00", None),
        ("0 12 * * ? 2025", "2026-01-01T00:00:00", None),
    ],
)
def test_minutes_of_cron(cron: str, after: str, due: str | None) -> None:
    assert following(f"cron({cron})", after) == due


@pytest.mark.parametrize(
    ("cron", "after", "due"),
    [
        # New York goes from 2:00 to 3:00 on March 8, and from 2:00 back to 1:00 on November 1.
        ("30 2 * * ? *", "2026-03-07T12:00:00", "2026-03-09T06:30:00"),
        ("0/30 * * * ? *", "2026-03-08T06:30:00", "2026-03-08T07:00:00"),
        ("30 1 * * ? *", "2026-11-01T00:00:00", "2026-11-01T05:30:00"),
        ("30 1 * * ? *", "2026-11-01T05:30:00", "2026-11-02T06:30:00"),
        ("0 * * * ? *", "2026-11-01T05:00:00", "2026-11-01T07:00:00"),
        ("0 9 * * ? *", "2026-03-07T14:00:00", "2026-03-08T13:00:00"),
    ],
)
def test_cron_goes_by_the_clocks_of_its_zone(cron: str, after: str, due: str) -> None:
    assert following(f"cron({cron})", after, "America/New_York") == due


def test_zones_with_odd_offsets() -> None:
    assert following("cron(0 9 * * ? *)", "2026-03-01T00:00:00", "Asia/Kathmandu") == "2026-03-01T03:15:00"
    # Lord Howe changes by half an hour: 2:00 to 2:30 on October 4.
    assert following("cron(10 2 * * ? *)", "2026-10-03T00:00:00", "Australia/Lord_Howe") == "2026-10-04T15:10:00"


def test_a_rate_goes_on_from_its_anchor() -> None:
    assert following("rate(5 minutes)", "2026-01-01T00:00:00") == "2026-01-01T00:05:00"
    assert following("rate(1 hour)", "2026-01-02T10:30:00", anchor="2026-01-01T00:07:00") == "2026-01-02T11:07:00"
    assert following("rate(1 day)", "2025-12-01T00:00:00") == "2026-01-01T00:00:00"


def test_one_time() -> None:
    assert following("at(2026-03-01T10:00:30)", "2026-03-01T00:00:00") == "2026-03-01T10:00:30"
    assert following("at(2026-03-01T10:00:30)", "2026-03-01T10:00:30") is None
    assert following("at(2026-07-01T10:00:00)", "2026-01-01T00:00:00", "Europe/Berlin") == "2026-07-01T08:00:00"


@pytest.mark.parametrize(
    "text",
    [
        *("", "rate", "rate()", "rate(5)", "rate(0 minutes)", "rate(-1 hours)", "rate(1.5 hours)", "rate(5 weeks)"),
        *("cron()", "cron(* * * * *)", "cron(* * * * * *)", "cron(* * ? * ? *)", "cron(60 * * * ? *)"),
        *(
            "cron(* 24 * * ? *)",
            "cron(* * 0 * ? *)",
            "cron(* * 32 * ? *)",
            "cron(* * * 13 ? *)",
            "cron(* * * * ? 1969)",
        ),
        *("cron(* * ? * 8 *)", "cron(* * ? * MON#6 *)", "cron(* * ? * FRI-MON *)", "cron(0/0 * * * ? *)"),
        *("cron(a * * * ? *)", "cron(5- * * * ? *)", "cron(, * * * ? *)", "cron(? * * * ? *)", "cron(* * W * ? *)"),
        *(
            "at(2026-02-30T00:00:00)",
            "at(tomorrow)",
            "at(2026-03-01T10:00:00Z)",
            "every(1 minute)",
            "cron(٣ * * * ? *)",
        ),
    ],
)
def test_what_is_no_expression(text: str) -> None:
    with pytest.raises(InvalidExpression):
        parse_expression(text)


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "x" * 51, "a\0b"])
def test_what_is_no_zone(zone: str) -> None:
    with pytest.raises(InvalidExpression):
        zone_of(zone)


# Which occurrence is next


def timing(text: str, *, since: str = "2026-03-01T00:00:00", fired: str = "1970-01-01T00:00:00", **more: int) -> Timing:
    settings = {"longest_delay": DAY, **more}
    return Timing(parse_expression(text), UTC_ZONE, anchor=at(since), since=at(since), fired=at(fired), **settings)  # type: ignore[arg-type]


def occurs(wanted: Timing, now: str) -> str | None:
    return said(next_occurrence(wanted, at(now)))


def test_the_next_occurrence_follows_the_last_that_was_acted_on() -> None:
    hourly = timing("rate(1 hour)", fired="2026-03-01T05:00:00")
    assert occurs(hourly, "2026-03-01T05:00:01") == "2026-03-01T06:00:00"


def test_of_several_that_were_missed_only_the_last_is_made_up_for() -> None:
    minutely = timing("cron(* * * * ? *)", fired="2026-03-01T05:00:00")
    assert occurs(minutely, "2026-03-01T08:30:20") == "2026-03-01T08:30:00"
    daily = timing("cron(0 6 * * ? *)", fired="2026-03-01T06:00:00")
    assert occurs(daily, "2026-03-05T05:00:00") == "2026-03-04T06:00:00"


def test_what_is_too_old_is_not_made_up_for() -> None:
    hourly = timing("cron(0 6 * * ? *)", fired="2026-03-01T06:00:00", longest_delay=HOUR)
    assert occurs(hourly, "2026-03-02T06:30:00") == "2026-03-02T06:00:00"
    assert occurs(hourly, "2026-03-02T07:30:00") == "2026-03-03T06:00:00"
    once = timing("at(2026-03-02T06:00:00)", longest_delay=HOUR)
    assert occurs(once, "2026-03-02T06:30:00") == "2026-03-02T06:00:00"
    assert occurs(once, "2026-03-02T07:30:00") is None


def test_what_was_before_the_schedule_does_not_count() -> None:
    assert (
        occurs(timing("cron(0 6 * * ? *)", since="2026-03-01T07:00:00"), "2026-03-01T07:00:00") == "2026-03-02T06:00:00"
    )
    assert occurs(timing("at(2026-02-01T00:00:00)"), "2026-03-01T00:00:00") is None
    assert occurs(timing("at(2026-03-01T00:00:00)"), "2026-03-01T00:00:00") == "2026-03-01T00:00:00"


def test_an_occurrence_whose_window_is_open_is_not_missed() -> None:
    wide = timing("rate(5 minutes)", fired="2026-03-01T05:00:00", window=15 * MINUTE)
    assert occurs(wide, "2026-03-01T05:16:00") == "2026-03-01T05:05:00"
    assert occurs(wide, "2026-03-01T05:21:00") == "2026-03-01T05:05:00"


def test_nothing_occurs_after_the_end() -> None:
    ending = timing("rate(1 hour)", fired="2026-03-01T05:00:00", end=at("2026-03-01T06:00:00"))
    assert occurs(ending, "2026-03-01T05:30:00") == "2026-03-01T06:00:00"
    over = timing("rate(1 hour)", fired="2026-03-01T06:00:00", end=at("2026-03-01T06:00:00"))
    assert occurs(over, "2026-03-01T06:30:00") is None


TEXTS = st.sampled_from(
    ["rate(7 minutes)", "rate(1 day)", "cron(*/7 * * * ? *)", "cron(30 1,2 * * ? *)", "cron(0 12 ? * MON#1 *)"]
)
TIMES = st.integers(at("2026-01-01T00:00:00"), at("2028-01-01T00:00:00")).map(WallTime)


@given(TEXTS, st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe"]), TIMES)
def test_times_go_up_and_none_is_left_out(text: str, zone: str, after: WallTime) -> None:
    expression, within = parse_expression(text), zone_of(zone)
    times = [after]
    for _ in range(6):
        found = next_time(expression, within, WallTime(0), times[-1])
        assert found is not None
        times.append(found)
    assert all(earlier < later for earlier, later in pairwise(times))
    # Whatever is asked between two of them, the second comes next.
    assert next_time(expression, within, WallTime(0), WallTime((times[1] + times[2]) // 2)) == times[2]


@given(TEXTS, TIMES, st.integers(0, 90 * DAY))
def test_what_is_made_up_for_is_the_last_before_now(text: str, fired: WallTime, later: int) -> None:
    expression, now = parse_expression(text), WallTime(fired + later)
    wanted = Timing(expression, UTC_ZONE, WallTime(0), WallTime(0), fired, longest_delay=1000 * DAY)
    found = next_occurrence(wanted, now)
    assert found is not None and found > fired
    if found < now:
        afterwards = next_time(expression, UTC_ZONE, WallTime(0), found)
        assert afterwards is not None and afterwards >= now
