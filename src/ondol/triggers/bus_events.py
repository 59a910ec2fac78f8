"""Events of EventBridge, as rules hold them against their patterns and as targets get them. Pure.

Source: EventBridge user guide, "Event structure" and "Calculating PutEvents event entry size".
"""

from collections.abc import Mapping
from typing import Any

from ondol.aws.moments import to_the_second
from ondol.model.time import WallTime
from ondol.triggers.api import BusEntry, Owner

LARGEST_ENTRIES = 1_048_576
"""Bytes of all entries of one PutEvents together."""

_TIME_BYTES = 14


def event_of(entry: BusEntry, owner: Owner, id: str, now: WallTime) -> dict[str, Any]:
    return {
        "version": "0",
        "id": id,
        "detail-type": entry.detail_type,
        "source": entry.source,
        "account": owner.account,
        "time": to_the_second(now if entry.time is None else entry.time),
        "region": owner.region,
        "resources": list(entry.resources),
        "detail": entry.detail,
    }


def size_of(entry: Mapping[str, Any]) -> int:
    """The bytes of one entry of PutEvents, as AWS counts them."""
    texts = [entry.get(name) or "" for name in ("Source", "DetailType", "Detail")] + entry.get("Resources", [])
    return sum(len(text.encode()) for text in texts) + (_TIME_BYTES if "Time" in entry else 0)
