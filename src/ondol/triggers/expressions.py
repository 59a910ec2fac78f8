"""Schedule expressions, `rate(...)`, `cron(...)` and `at(...)`, and when one is due next.

Pure: by the expression, the zone and the times that are given. Days are of 24 hours in a rate, and of the zone's
calendar in the others. Where the clocks go forward, what falls into the hour that is left out is skipped; where they go
back, what falls into the hour that comes twice is due the first time alone.

Source: EventBridge user guide, "Setting a schedule pattern"; EventBridge Scheduler user guide, "Schedule types".
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from ondol.model.time import WallTime
from ondol.triggers.cron import Cron, InvalidExpression, parse_cron

MINUTE_MS = 60_000
_UNIT_MS = {"minute": MINUTE_MS, "hour": 60 * MINUTE_MS, "day": 1440 * MINUTE_MS}
_LONGEST_ZONE = 50

UTC_ZONE = ZoneInfo("UTC")

_FORM = re.compile(r"(rate|cron|at)\((.*)\)", re.DOTALL)
_RATE = re.compile(r"([1-9][0-9]{0,8}) +(minute|hour|day)(s?)")
_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")


class Rate(msgspec.Struct, frozen=True):
    """At an anchor, and from there each so many milliseconds."""

    period_ms: int
    exact: bool
    """It is `1 minute` and `5 minutes`, as grammar has it."""


class Once(msgspec.Struct, frozen=True):
    at: datetime
    """By the clocks of a zone."""


Expression = Rate | Cron | Once


@lru_cache(maxsize=4096)
def parse_expression(text: str) -> Expression:
    """Raises `InvalidExpression`."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise InvalidExpression("it is none of rate(...), cron(...) and at(...)")
    kind, inner = found[1], found[2].strip()
    if kind == "cron":
        return parse_cron(inner)
    if kind == "rate":
        rate = _RATE.fullmatch(inner)
        if rate is None:
            raise InvalidExpression("a rate is a positive number and minutes, hours or days")
        return Rate(int(rate[1]) * _UNIT_MS[rate[2]], (rate[1] == "1") != (rate[3] == "s"))
    if not _AT.fullmatch(inner):
        raise InvalidExpression("a time is written as at(yyyy-mm-ddThh:mm:ss)")
    try:
        return Once(datetime.fromisoformat(inner))
    except ValueError as error:
        raise InvalidExpression(f"there is no such time: {error}") from error


def zone_of(name: str) -> ZoneInfo:
    """A zone of the IANA's database. Raises `InvalidExpression`."""
    try:
        if len(name) <= _LONGEST_ZONE:
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise InvalidExpression(f"there is no time zone {name}")


def next_time(expression: Expression, zone: ZoneInfo, anchor: WallTime, after: WallTime) -> WallTime | None:
    """The first time later than `after` that the expression names; `anchor` is a rate's first."""
    match expression:
        case Rate(period_ms):
            return WallTime(anchor + max(0, (after - anchor) // period_ms + 1) * period_ms)
        case Once(at):
            # In an hour that is left out: as if the clocks had not been changed yet.
            due = _moment(at, zone)
            return due if due > after else None
        case Cron():
            return _next_minute(expression, zone, after)


def _next_minute(cron: Cron, zone: ZoneInfo, after: WallTime) -> WallTime | None:
    start = _local(after, zone).replace(second=0, microsecond=0)
    for local in cron.minutes_from(start):
        due = _moment(local, zone)
        if due > after and _local(due, zone) == local:
            return due
    return None


def _local(moment: WallTime, zone: ZoneInfo) -> datetime:
    return (
        (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment))
        .astimezone(zone)
        .replace(tzinfo=None, fold=0)
    )


def _moment(local: datetime, zone: ZoneInfo) -> WallTime:
    return WallTime(round(local.replace(tzinfo=zone, fold=0).timestamp() * 1000))
