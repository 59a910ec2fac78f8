"""Which buckets tell functions, and EventBridge, of their objects; and the telling."""

import asyncio
import re
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from ondol.model.arn import partition_of
from ondol.model.s3 import FunctionNotification
from ondol.model.time import Clock
from ondol.triggers.api import BusEntry, NotificationRefused, ObjectEvent, Owner, Requester, Told
from ondol.triggers.invoking import Invoking, Source, Undeliverable, is_function
from ondol.triggers.object_events import SERVED, Sequencer, arn_of, bus_entry_of, overlap, record_of, wants
from ondol.triggers.records import DEFAULT_BUS, Bucket
from ondol.triggers.registry import Registry
from ondol.triggers.rule_delivery import RuleDelivery

SERVICE = "s3.amazonaws.com"

_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}", re.ASCII)


class BucketNotifications:
    """`Buckets`. A bucket's name is its own in the whole world."""

    def __init__(
        self,
        buckets: Registry[Bucket],
        invoking: Invoking,
        rules: RuleDelivery,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._buckets = buckets
        self._invoking = invoking
        self._rules = rules
        self._clock = clock
        self._new_id = new_id
        self._sequencer = Sequencer()

    @property
    def anybody_told(self) -> bool:
        """Whether objects must pass ondol to be seen."""
        return not self._buckets.empty

    def told_by(self, bucket: str) -> Told | None:
        kept = self._buckets.get((), bucket)
        return None if kept is None else kept.told

    async def check(self, bucket: str, owner: Owner, notifications: Sequence[FunctionNotification]) -> None:
        if not _NAME.fullmatch(bucket):
            raise NotificationRefused("InvalidBucketName", "The specified bucket is not valid.")
        for each in notifications:
            for event in each.events:
                if event not in SERVED:
                    raise NotificationRefused(
                        "NotImplemented",
                        f"ondol tells functions of {', '.join(sorted(SERVED))}, and not of {event}.",
                    )
            if not is_function(each.function):
                raise NotificationRefused("InvalidArgument", "The ARN could not be parsed")
        if overlap(notifications):
            raise NotificationRefused(
                "InvalidArgument",
                "Configurations overlap. Configurations on the same bucket cannot share a common event type.",
            )
        source = self._source(Bucket(bucket, owner.account, owner.region, partition_of(owner.region)))
        for each in notifications:
            try:
                await self._invoking.allowed(each.function, source)
            except Undeliverable as error:
                raise NotificationRefused(
                    "InvalidArgument",
                    f"Unable to validate the following destination configurations: {each.function}, {error}",
                ) from error

    async def keep(self, bucket: str, owner: Owner, told: Told) -> None:
        named = tuple(each if each.id else replace(each, id=self._new_id()) for each in told.notifications)
        wanted = Bucket(
            bucket, owner.account, owner.region, partition_of(owner.region), replace(told, notifications=named)
        )
        await self._buckets.change((), bucket, lambda _: None if told == Told() else wanted)

    async def forget(self, bucket: str) -> None:
        await self._buckets.change((), bucket, lambda _: None)

    async def happened(self, bucket: str, who: Requester, events: Sequence[ObjectEvent]) -> None:
        kept = self._buckets.get((), bucket)
        if kept is None:
            return
        now = self._clock.wall()
        telling = []
        for event in events:
            sequencer = self._sequencer.next(now)
            for each in kept.told.notifications:
                if wants(each, event):
                    record = record_of(kept, each, event, who, sequencer=sequencer, now=now)
                    payload = msgspec.json.encode({"Records": [record]})
                    telling.append(self._invoking.invoke(each.function, payload, self._source(kept), trace=who.trace))
            if kept.told.to_events:
                entry = bus_entry_of(kept, event, who, sequencer=sequencer, now=now)
                telling.append(self._publish(kept, entry))
        await asyncio.gather(*telling)

    async def _publish(self, bucket: Bucket, entry: BusEntry) -> None:
        await self._rules.publish(Owner(bucket.account, bucket.region), DEFAULT_BUS, entry)

    def _source(self, bucket: Bucket) -> Source:
        return Source(arn_of(bucket), bucket.account, SERVICE)
