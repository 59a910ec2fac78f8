"""One SQS queue, as a client of its server: messages as functions get them, and what is done with them then.

Source: developer guide, "Using Lambda with Amazon SQS", for the event; SQS API reference.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from ondol.aws.remote import SQS, Remote, RemoteError, understood
from ondol.pollers.sources import Source

RECEIVE_MESSAGES = 10
"""At most so many come with one receive, and go with one deletion."""

_CALLS = 16
"""So many deletions of one batch are under way at once: a batch of 10,000 messages needs 1,000 of them."""

WAIT_S = 2
"""For so long an empty queue holds a receive. What a receive gets whose answer nobody hears comes back only after
the visibility timeout, so it is much shorter than SQS would allow."""


class Message(msgspec.Struct, frozen=True, gc=False):
    id: str
    receipt: str
    group: str
    """Of a FIFO queue."""

    record: dict[str, Any]
    body: bytes
    """The record as JSON."""


class _Found(msgspec.Struct, rename="pascal"):
    queue_url: str


class _Attributes(msgspec.Struct, frozen=True, rename="pascal"):
    visibility_timeout: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}\Z")] = "30"


class _Described(msgspec.Struct, rename="pascal"):
    attributes: _Attributes = _Attributes()


class _Attribute(msgspec.Struct, rename="pascal"):
    data_type: str
    string_value: str | None = None
    binary_value: str | None = None


class _Received(msgspec.Struct, rename="pascal"):
    message_id: str
    receipt_handle: str
    body: str
    md5_of_body: str | None = msgspec.field(default=None, name="MD5OfBody")
    md5_of_attributes: str | None = msgspec.field(default=None, name="MD5OfMessageAttributes")
    attributes: dict[str, Any] = {}
    message_attributes: dict[str, _Attribute] | None = None


class _Answer(msgspec.Struct, rename="pascal"):
    """Of all that is done with messages."""

    messages: list[_Received] | None = None
    failed: list[dict[str, Any]] | None = None


class Queue:
    def __init__(self, remote: Remote, source: Source, arn: str) -> None:
        self._remote = remote
        self._source = source
        self._arn = arn
        self._url: str | None = None

    async def visibility_s(self) -> int:
        """For how long it hides a message that somebody has received.

        Raises `RemoteError` and `RemoteUnavailable`, as all methods do.
        """
        answer = await self._call("GetQueueAttributes", {"AttributeNames": ["All"]})
        return int(understood(answer, _Described).attributes.visibility_timeout)

    async def receive(self, most: int) -> list[Message]:
        wanted = {
            "MaxNumberOfMessages": most,
            "WaitTimeSeconds": WAIT_S,
            "AttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        answer = await self._call("ReceiveMessage", wanted)
        return [self._message(received) for received in understood(answer, _Answer).messages or ()]

    async def delete(self, messages: Sequence[Message]) -> None:
        await self._each_ten("DeleteMessageBatch", messages, {})

    async def put_back(self, messages: Sequence[Message]) -> None:
        """Let others receive them at once."""
        await self._each_ten("ChangeMessageVisibilityBatch", messages, {"VisibilityTimeout": 0})

    async def _each_ten(self, operation: str, messages: Sequence[Message], more: Mapping[str, Any]) -> None:
        """All are tried; what was refused, or could not be asked, is raised then."""
        tens = [messages[first : first + RECEIVE_MESSAGES] for first in range(0, len(messages), RECEIVE_MESSAGES)]
        failed: list[BaseException] = []
        for first in range(0, len(tens), _CALLS):
            calls = (self._settle(operation, ten, more) for ten in tens[first : first + _CALLS])
            answers = await asyncio.gather(*calls, return_exceptions=True)
            failed += [answer for answer in answers if answer is not None]
        if failed:
            raise failed[0]

    async def _settle(self, operation: str, messages: Sequence[Message], more: Mapping[str, Any]) -> None:
        entries = [
            {"Id": str(number), "ReceiptHandle": message.receipt, **more} for number, message in enumerate(messages)
        ]
        if refused := understood(await self._call(operation, {"Entries": entries}), _Answer).failed:
            raise RemoteError(str(refused[0].get("Code")), str(refused[0].get("Message", "")), 200)

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        source = self._source
        if self._url is None:
            named = {"QueueName": source.name, "QueueOwnerAWSAccountId": source.account}
            found = await self._remote.call(SQS, source.account, source.region, "GetQueueUrl", named)
            self._url = understood(found, _Found).queue_url
        parameters = {"QueueUrl": self._url, **parameters}
        return await self._remote.call(SQS, source.account, source.region, operation, parameters)

    def _message(self, received: _Received) -> Message:
        attributes = received.attributes
        record = {
            "messageId": received.message_id,
            "receiptHandle": received.receipt_handle,
            "body": received.body,
            "attributes": attributes,
            "messageAttributes": {
                name: _shown(attribute) for name, attribute in (received.message_attributes or {}).items()
            },
            "md5OfMessageAttributes": received.md5_of_attributes,
            "md5OfBody": received.md5_of_body,
            "eventSource": "aws:sqs",
            "eventSourceARN": self._arn,
            "awsRegion": self._source.region,
        }
        group = str(attributes.get("MessageGroupId", ""))
        return Message(received.message_id, received.receipt_handle, group, record, msgspec.json.encode(record))


def _shown(attribute: _Attribute) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if attribute.string_value is not None:
        shown["stringValue"] = attribute.string_value
    if attribute.binary_value is not None:
        shown["binaryValue"] = attribute.binary_value
    return {**shown, "stringListValues": [], "binaryListValues": [], "dataType": attribute.data_type}


def event_of(bodies: Sequence[bytes]) -> bytes:
    """The payload that a function gets: records that are JSON already."""
    return b'{"Records":[' + b",".join(bodies) + b"]}"
