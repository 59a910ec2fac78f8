"""Moments as AWS writes them in events, records and logs: ISO 8601, in UTC."""

from datetime import UTC, datetime

from ondol.model.time import WallTime


def to_the_millisecond(time: WallTime) -> str:
    """Such as `2026-01-31T12:00:00.123Z`."""
    return datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_the_second(time: WallTime) -> str:
    """Such as `2026-01-31T12:00:00Z`; what is less than a second is left out."""
    return datetime.fromtimestamp(time // 1000, UTC).isoformat().replace("+00:00", "Z")
