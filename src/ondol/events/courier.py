"""With which call a record is sent: to SQS, SNS, EventBridge, S3; or put on a bus of ondol's own.

Of every failure only the sentence counts. Source: developer guide, "Retaining records of asynchronous invocations".
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import msgspec

from ondol.aws.messages import publish, send_to_queue
from ondol.aws.remote import EVENTS, Remote, RemoteError, RemoteUnavailable, understood
from ondol.events.deliveries import NotDelivered
from ondol.events.records import SOURCE, Delivery, detail_type
from ondol.model.endpoint import Endpoints
from ondol.model.errors import OndolError
from ondol.model.ids import AccountId, Region
from ondol.model.sns import Message, MessageAttribute
from ondol.triggers.api import BusEntry, EventBuses, Topics


class _Entry(msgspec.Struct):
    code: str | None = msgspec.field(default=None, name="ErrorCode")
    message: str | None = msgspec.field(default=None, name="ErrorMessage")


class _Put(msgspec.Struct):
    failed: int = msgspec.field(default=0, name="FailedEntryCount")
    entries: list[_Entry] = msgspec.field(default=[], name="Entries")


class AwsCourier:
    """A `Courier`. `buses` are meant by EventBridge unless a server is named for that."""

    def __init__(
        self, remote: Remote, endpoints: Endpoints, buses: EventBuses, topics: Topics, new_id: Callable[[], str]
    ) -> None:
        """An id from `new_id` is in the name of what is made in a bucket, and is a message's for functions."""
        self._remote = remote
        self._endpoints = endpoints
        self._buses = buses
        self._topics = topics
        self._new_id = new_id

    async def send(self, delivery: Delivery) -> None:
        service = delivery.service
        if service == EVENTS.service and service not in self._endpoints.named:
            await self._put(delivery)
            return
        call = _CALLS.get(service)
        if call is None:
            raise NotDelivered(f"nothing is ever sent to the service {service}")
        try:
            await call(self._remote, delivery, self._new_id())
        except (RemoteError, RemoteUnavailable) as error:
            raise NotDelivered(str(error)) from error
        if service == "sns":
            await self._tell_subscribers(delivery)

    async def _put(self, delivery: Delivery) -> None:
        try:
            entry = BusEntry(
                SOURCE,
                detail_type(delivery),
                msgspec.json.decode(delivery.body),
                (delivery.destination, delivery.source),
                delivery.at,
                delivery.trace,
            )
            await self._buses.put(delivery.destination, entry)
        except OndolError as error:
            raise NotDelivered(str(error)) from error
        except RecursionError as error:
            # What a function answers is looked at no deeper than a record has it.
            raise NotDelivered("it is nested too deeply to be an event") from error

    async def _tell_subscribers(self, delivery: Delivery) -> None:
        """The topic's server has it; functions that subscribe are ondol's."""
        attributes = {name: MessageAttribute(*attribute) for name, attribute in delivery.attributes.items()}
        message = Message(self._new_id(), delivery.body, attributes=attributes, trace=delivery.trace)
        try:
            await self._topics.published(delivery.destination, message)
        except OndolError as error:
            raise NotDelivered(str(error)) from error


async def _send_to_queue(remote: Remote, delivery: Delivery, _: str) -> None:
    account, queue = delivery.destination.split(":")[4:6]
    owner = AccountId(account), _region(delivery)
    await send_to_queue(remote, owner, queue, delivery.body, delivery.attributes)


async def _publish(remote: Remote, delivery: Delivery, _: str) -> None:
    await publish(remote, _function_side(delivery), delivery.destination, delivery.body, delivery.attributes)


async def _put_event(remote: Remote, delivery: Delivery, _: str) -> None:
    entry = {
        "EventBusName": delivery.destination,
        "Source": SOURCE,
        "DetailType": detail_type(delivery),
        "Detail": delivery.body,
        "Resources": [delivery.destination, delivery.source],
        "Time": delivery.at // 1000,
    }
    answer = await remote.call(EVENTS, *_function_side(delivery), "PutEvents", {"Entries": [entry]})
    told = understood(answer, _Put)
    if told.failed:
        refused = next(iter(told.entries), _Entry())
        raise NotDelivered(f"{refused.message} ({refused.code})")


async def _put_object(remote: Remote, delivery: Delivery, id: str) -> None:
    at = datetime.fromtimestamp(delivery.at / 1000, UTC)
    key = f"aws/lambda/async/{delivery.function.name}/{at:%Y/%m/%d}/{at:%Y-%m-%dT%H.%M.%S}-{id}"
    bucket = delivery.destination.rpartition(":")[2]
    await remote.put_object(*_function_side(delivery), bucket, key, delivery.body.encode())


def _function_side(delivery: Delivery) -> tuple[AccountId, Region]:
    """As the function's account, where the destination is."""
    return delivery.function.account, _region(delivery)


def _region(delivery: Delivery) -> Region:
    """A bucket's ARN names none."""
    return Region(delivery.destination.split(":")[3]) or delivery.function.region


_CALLS: Mapping[str, Callable[[Remote, Delivery, str], Awaitable[None]]] = {
    "sqs": _send_to_queue,
    "sns": _publish,
    EVENTS.service: _put_event,
    "s3": _put_object,
}
