"""The door of triggers: AWS's operations on them, and where others bring events."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from ondol.model.ids import AccountId, Region
from ondol.model.s3 import FunctionNotification
from ondol.model.sns import Message
from ondol.model.time import WallTime


class Owner(msgspec.Struct, frozen=True, gc=False):
    """On whose behalf an operation is done."""

    account: AccountId
    region: Region


class BusEntry(msgspec.Struct, frozen=True):
    """Something that happened, for an event bus."""

    source: str
    detail_type: str
    detail: Mapping[str, Any]

    resources: tuple[str, ...] = ()
    time: WallTime | None = None
    """None: now."""

    trace: str | None = None


class EventBuses(Protocol):
    """Who has event buses."""

    async def put(self, bus_arn: str, entry: BusEntry) -> None:
        """Every invocation that follows is durable when it returns. Raises `ResourceNotFound`, `PlatformError`."""
        ...


class ObjectEvent(msgspec.Struct, frozen=True):
    """What has become of an object of S3. What is not known of it, or was not asked of it, is None."""

    name: str
    """As `ObjectCreated:Put`."""

    key: str
    reason: str
    """The operation that did it."""

    size: int | None = None
    etag: str | None = None
    version: str | None = None


class Requester(msgspec.Struct, frozen=True):
    """Who did it, and from where."""

    account: AccountId
    principal: str
    address: str
    request_id: str
    trace: str | None = None
    """The X-Ray trace header of the request, by which endless loops are noticed."""


class Told(msgspec.Struct, frozen=True):
    """Who is told of a bucket's objects."""

    notifications: tuple[FunctionNotification, ...] = ()
    to_events: bool = False
    """EventBridge is, of everything."""


class NotificationRefused(Exception):
    """A configuration that cannot be: S3's error code, and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Buckets(Protocol):
    """Which buckets tell whom. Methods that write are durable when they return, and raise `PlatformError`."""

    def told_by(self, bucket: str) -> Told | None:
        """Who is told of its objects; None: nobody is."""
        ...

    async def check(self, bucket: str, owner: Owner, notifications: Sequence[FunctionNotification]) -> None:
        """Raises `NotificationRefused` for what S3 would refuse, and for events that ondol does not see."""
        ...

    async def keep(self, bucket: str, owner: Owner, told: Told) -> None:
        """These, and no others, are told."""
        ...

    async def forget(self, bucket: str) -> None: ...

    async def happened(self, bucket: str, who: Requester, events: Sequence[ObjectEvent]) -> None:
        """Tell whoever is to be told: every invocation is durable when it returns."""
        ...


class Subscription(msgspec.Struct, frozen=True):
    """A function's, to a topic."""

    arn: str
    attributes: Mapping[str, str]
    """Named as by GetSubscriptionAttributes."""


class SubscriptionRefused(Exception):
    """A subscription that cannot be, or may not: SNS's error code and status, and a sentence."""

    def __init__(self, message: str, code: str = "InvalidParameter", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class Topics(Protocol):
    """Functions that subscribe to topics. What is written is durable on return; `PlatformError` if it was not."""

    def of_topic(self, topic: str) -> list[Subscription]: ...

    def of_owner(self, owner: Owner) -> list[Subscription]: ...

    def get(self, arn: str) -> Subscription | None: ...

    async def subscribe(self, owner: Owner, topic: str, function: str, attributes: Mapping[str, str]) -> str:
        """The ARN of the subscription that the function has from now on. Raises `SubscriptionRefused`."""
        ...

    async def set_attribute(self, arn: str, name: str, value: str) -> None:
        """Raises `SubscriptionRefused`."""
        ...

    async def unsubscribe(self, arn: str) -> None: ...

    async def forget_topic(self, topic: str) -> None: ...

    async def published(self, topic: str, message: Message) -> None:
        """The topic has it: every invocation that follows is durable when this returns."""
        ...


class Triggers(Protocol):
    @property
    def buckets(self) -> Buckets: ...

    @property
    def topics(self) -> Topics: ...

    async def perform(
        self, service: str, operation: str, owner: Owner, parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Do one operation of EventBridge (`events`) or its Scheduler (`scheduler`).

        `operation` and the members of `parameters` and of the result are named as in the service model; parameters have
        passed its constraints. What is answered is durable. Raises `CallerError` as AWS does, `NotServed` for what
        ondol does not have, `PlatformError`.
        """
        ...

    async def forget_all(self) -> None:
        """Rules, buses, schedules and groups of all accounts are gone. Raises `PlatformError`."""
        ...
