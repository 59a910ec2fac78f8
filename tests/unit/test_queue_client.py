"""A queue as its server sees ondol: how much is asked at once, and what one refusal does to the rest."""

import asyncio
from typing import Any

import pytest

from ondol.aws.remote import RemoteError
from ondol.pollers.queue import Message, Queue
from ondol.pollers.sources import parse_source

ARN = "arn:aws:sqs:us-east-1:000000000000:q"


class Server:
    """A `Remote` that deletes all but what it is told to refuse."""

    def __init__(self, refuses: str = "") -> None:
        self._refuses = refuses
        self.deleted: list[str] = []
        self.at_once = 0
        self._under_way = 0

    async def call(self, protocol: Any, account: str, region: str, operation: str, asked: Any) -> Any:
        if operation == "GetQueueUrl":
            return {"QueueUrl": "http://server/q"}
        self._under_way += 1
        self.at_once = max(self.at_once, self._under_way)
        await asyncio.sleep(0)
        self._under_way -= 1
        receipts = [entry["ReceiptHandle"] for entry in asked["Entries"]]
        if self._refuses in receipts:
            raise RemoteError("ServiceUnavailable", "", 503)
        self.deleted += receipts
        return {}


def deleted(server: Any, count: int) -> None:
    queue = Queue(server, parse_source(ARN), ARN)  # type: ignore[arg-type]
    asyncio.run(queue.delete([Message(str(number), str(number), "", {}, b"{}") for number in range(count)]))


def test_a_large_batch_is_deleted_with_few_requests_at_once() -> None:
    server = Server()
    deleted(server, 10_000)
    assert len(set(server.deleted)) == 10_000
    assert 2 <= server.at_once <= 64


def test_what_can_be_deleted_is_though_some_cannot() -> None:
    server = Server(refuses="5")
    with pytest.raises(RemoteError, match="ServiceUnavailable"):
        deleted(server, 1_000)
    assert len(server.deleted) == 990
