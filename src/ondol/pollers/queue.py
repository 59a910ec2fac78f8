"""One SQS queue, as a client of its server: messages as functions get them, and what is done with them then.

Source: developer guide, "Using Lambda with Amazon SQS", for the event; SQS API reference.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ondol.aws.remote import SQS, Remote, RemoteError
from ondol.pollers.sources import Source

RECEIVE_MESSAGES = 10
"""At most so many come with one receive, and go with one deletion."""

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


class Queue:
    def __init__(self, remote: Remote, source: Source, arn: str) -> None:
        self._remote = remote
        self._source = source
        self._arn = arn
        self._url: str | None = None

    async def attributes(self) -> dict[str, str]:
        """Raises `RemoteError` and `RemoteUnavailable`, as all methods do."""
        answer = await self._call("GetQueueAttributes", {"AttributeNames": ["All"]})
        attributes: dict[str, str] = answer.get("Attributes", {})
        return attributes

    async def receive(self, most: int) -> list[Message]:
        wanted = {
            "MaxNumberOfMessages": most,
            "WaitTimeSeconds": WAIT_S,
            "AttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        answer = await self._call("ReceiveMessage", wanted)
        return [self._message(received) for received in answer.get("Messages") or ()]

    async def delete(self, messages: Sequence[Message]) -> None:
        await self._each_ten("DeleteMessageBatch", messages, {})

    async def put_back(self, messages: Sequence[Message]) -> None:
        """Let others receive them at once."""
        await self._each_ten("ChangeMessageVisibilityBatch", messages, {"VisibilityTimeout": 0})

    async def _each_ten(self, operation: str, messages: Sequence[Message], more: Mapping[str, Any]) -> None:
        calls = []
        for first in range(0, len(messages), RECEIVE_MESSAGES):
            entries = [
                {"Id": str(number), "ReceiptHandle": message.receipt, **more}
                for number, message in enumerate(messages[first : first + RECEIVE_MESSAGES])
            ]
            calls.append(self._call(operation, {"Entries": entries}))
        for answer in await asyncio.gather(*calls):
            if refused := answer.get("Failed"):
                raise RemoteError(refused[0].get("Code", operation), refused[0].get("Message", ""), 200)

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        source = self._source
        if self._url is None:
            named = {"QueueName": source.name, "QueueOwnerAWSAccountId": source.account}
            self._url = (await self._remote.call(SQS, source.account, source.region, "GetQueueUrl", named))["QueueUrl"]
        parameters = {"QueueUrl": self._url, **parameters}
        return await self._remote.call(SQS, source.account, source.region, operation, parameters)

    def _message(self, received: Mapping[str, Any]) -> Message:
        attributes = received.get("Attributes", {})
        record = {
            "messageId": received["MessageId"],
            "receiptHandle": received["ReceiptHandle"],
            "body": received["Body"],
            "attributes": attributes,
            "messageAttributes": {
                name: _attribute(value) for name, value in (received.get("MessageAttributes") or {}).items()
            },
            "md5OfMessageAttributes": received.get("MD5OfMessageAttributes"),
            "md5OfBody": received["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self._arn,
            "awsRegion": self._source.region,
        }
        group = attributes.get("MessageGroupId", "")
        return Message(record["messageId"], record["receiptHandle"], group, record, msgspec.json.encode(record))


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if value.get("StringValue") is not None:
        shown["stringValue"] = value["StringValue"]
    if value.get("BinaryValue") is not None:
        shown["binaryValue"] = value["BinaryValue"]
    return {**shown, "stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}


def event_of(bodies: Sequence[bytes]) -> bytes:
    """The payload that a function gets: records that are JSON already."""
    return b'{"Records":[' + b",".join(bodies) + b"]}"
