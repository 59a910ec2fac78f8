"""What functions, and EventBridge, are told of objects. Pure.

Source: S3 user guide, "Event message structure", "Event notification types and destinations", "Object key name
filtering"; EventBridge user guide, "Amazon S3 events". Unconfirmed: `x-amz-id-2`, and the ids of principals.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote_plus

from ondol.aws.moments import to_the_millisecond
from ondol.model.s3 import FunctionNotification
from ondol.model.time import WallTime
from ondol.triggers.api import BusEntry, ObjectEvent, Requester
from ondol.triggers.records import Bucket

CREATED, REMOVED = "ObjectCreated", "ObjectRemoved"
SERVED = frozenset(
    {
        *(f"s3:{CREATED}:{how}" for how in ("*", "Put", "Post", "Copy", "CompleteMultipartUpload")),
        *(f"s3:{REMOVED}:{how}" for how in ("*", "Delete", "DeleteMarkerCreated")),
    }
)
"""The events that ondol sees happen."""

_COUNTED = 1 << 20


class Sequencer:
    """Numbers that go up for ever, as those that tell which of two events of a key came later."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, now: WallTime) -> str:
        self._last = max(self._last + 1, now * _COUNTED)
        return f"{self._last:018X}"


def wants(notification: FunctionNotification, event: ObjectEvent) -> bool:
    """Whether this function is told of this event."""
    return (
        any(_covers(each, f"s3:{event.name}") for each in notification.events)
        and event.key.startswith(notification.prefix or "")
        and event.key.endswith(notification.suffix or "")
    )


def overlap(notifications: Sequence[FunctionNotification]) -> bool:
    """Whether an event could be for two of them, which S3 refuses."""
    return any(
        _share_event(one, other) and _share_keys(one, other)
        for number, one in enumerate(notifications)
        for other in notifications[:number]
    )


def record_of(
    bucket: Bucket,
    notification: FunctionNotification,
    event: ObjectEvent,
    who: Requester,
    *,
    sequencer: str,
    now: WallTime,
) -> dict[str, Any]:
    """One record of the event that a function gets."""
    told: dict[str, Any] = {"key": quote_plus(event.key, safe="/*-._")}
    if event.size is not None:
        told["size"] = event.size
    if event.etag is not None:
        told["eTag"] = event.etag
    if event.version is not None:
        told["versionId"] = event.version
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": bucket.region,
        "eventTime": to_the_millisecond(now),
        "eventName": event.name,
        "userIdentity": {"principalId": f"AWS:{who.principal}"},
        "requestParameters": {"sourceIPAddress": who.address},
        "responseElements": {"x-amz-request-id": who.request_id, "x-amz-id-2": who.request_id},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": notification.id,
            "bucket": {
                "name": bucket.name,
                "ownerIdentity": {"principalId": bucket.account},
                "arn": arn_of(bucket),
            },
            "object": {**told, "sequencer": sequencer},
        },
    }


def bus_entry_of(bucket: Bucket, event: ObjectEvent, who: Requester, *, sequencer: str, now: WallTime) -> BusEntry:
    """What EventBridge is told."""
    created = event.name.startswith(CREATED)
    told: dict[str, Any] = {"key": event.key}
    for name, value in (("size", event.size), ("etag", event.etag), ("version-id", event.version)):
        if value is not None:
            told[name] = value
    detail: dict[str, Any] = {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": {**told, "sequencer": sequencer},
        "request-id": who.request_id,
        "requester": who.account,
        "source-ip-address": who.address,
        "reason": event.reason,
    }
    if not created:
        marked = event.name.endswith("DeleteMarkerCreated")
        detail["deletion-type"] = "Delete Marker Created" if marked else "Permanently Deleted"
    kind = "Object Created" if created else "Object Deleted"
    return BusEntry("aws.s3", kind, detail, (arn_of(bucket),), now)


def arn_of(bucket: Bucket) -> str:
    return f"arn:{bucket.partition}:s3:::{bucket.name}"


def _covers(configured: str, event: str) -> bool:
    return configured == event or (configured.endswith("*") and event.startswith(configured[:-1]))


def _share_event(one: FunctionNotification, other: FunctionNotification) -> bool:
    return any(_covers(a, b) or _covers(b, a) for a in one.events for b in other.events)


def _share_keys(one: FunctionNotification, other: FunctionNotification) -> bool:
    (prefix, longer), (suffix, further) = (
        sorted((a or "", b or ""), key=len) for a, b in ((one.prefix, other.prefix), (one.suffix, other.suffix))
    )
    return longer.startswith(prefix) and further.endswith(suffix)
