"""Sources that answer what they should not: a mapping waits for better answers, and ondol goes on."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from ondol.aws.remote import RemoteError, RemoteUnavailable
from ondol.pollers.queue import Queue
from ondol.pollers.shards import Position, PositionKind
from ondol.pollers.sources import parse_source
from ondol.pollers.streams import KinesisStream, TableStream

QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026-01-01T00:00:00.000"
MESSAGE = {"MessageId": "1", "ReceiptHandle": "r", "Body": "{}", "MD5OfBody": "m"}
SHARD = {"ShardId": "shard", "SequenceNumberRange": {"StartingSequenceNumber": "1"}}
RECORD = {"SequenceNumber": "1", "PartitionKey": "k", "Data": "eA==", "ApproximateArrivalTimestamp": 1.5}
CHANGE = {"dynamodb": {"SequenceNumber": "1", "ApproximateCreationDateTime": 1}}


class Server:
    """A `Remote` that answers each operation as it is told to."""

    def __init__(self, **answers: Any) -> None:
        self._answers = {"GetQueueUrl": {"QueueUrl": "http://server/q"}, **answers}

    async def call(self, protocol: Any, account: str, region: str, operation: str, _: Mapping[str, Any]) -> Any:
        return self._answers[operation]


def queue_at(server: Any) -> Queue:
    return Queue(server, parse_source(QUEUE), QUEUE)  # type: ignore[arg-type]


def stream_at(server: Any) -> KinesisStream:
    return KinesisStream(server, parse_source(STREAM), STREAM, ())  # type: ignore[arg-type]


def table_at(server: Any) -> TableStream:
    return TableStream(server, parse_source(TABLE), TABLE, ())  # type: ignore[arg-type]


def iterator_of(server: Any) -> Awaitable[Any]:
    return stream_at(server).iterator("shard", Position(PositionKind.LATEST))


@pytest.mark.parametrize(
    ("asked", "answers"),
    [
        (lambda server: queue_at(server).receive(10), {"GetQueueUrl": {}}),
        (lambda server: queue_at(server).visibility_s(), {"GetQueueAttributes": {"Attributes": []}}),
        (lambda server: queue_at(server).receive(10), {"ReceiveMessage": {"Messages": [{"MessageId": "1"}]}}),
        (lambda server: queue_at(server).receive(10), {"ReceiveMessage": {"Messages": "none"}}),
        (
            lambda server: queue_at(server).receive(10),
            {"ReceiveMessage": {"Messages": [{**MESSAGE, "MessageAttributes": {"a": {}}}]}},
        ),
        (lambda server: stream_at(server).shards(), {"ListShards": {}}),
        (lambda server: stream_at(server).shards(), {"ListShards": {"Shards": [{"ShardId": "shard"}]}}),
        (
            lambda server: stream_at(server).shards(),
            {"ListShards": {"Shards": [{**SHARD, "SequenceNumberRange": {"EndingSequenceNumber": "last"}}]}},
        ),
        (iterator_of, {"GetShardIterator": {}}),
        (lambda server: stream_at(server).read("shard", "i", "role"), {"GetRecords": {}}),
        (
            lambda server: stream_at(server).read("shard", "i", "role"),
            {"GetRecords": {"Records": [{**RECORD, "PartitionKey": None}]}},
        ),
        (lambda server: table_at(server).shards(), {"DescribeStream": {"Stream": {}}}),
        (lambda server: table_at(server).read("shard", "i", "role"), {"GetRecords": {"Records": [{}]}}),
    ],
)
def test_an_answer_that_cannot_be_understood_is_none(
    asked: Callable[[Any], Awaitable[Any]], answers: dict[str, Any]
) -> None:
    async def ask() -> None:
        with pytest.raises(RemoteUnavailable, match="what cannot be understood"):
            await asked(Server(**answers))

    asyncio.run(ask())


def test_what_a_service_need_not_say_may_be_missing() -> None:
    async def ask() -> None:
        bare = {"MessageId": "1", "ReceiptHandle": "r", "Body": "{}"}
        [message] = await queue_at(Server(ReceiveMessage={"Messages": [bare]})).receive(10)
        assert message.record["md5OfBody"] is None
        assert await queue_at(Server(ReceiveMessage={"Messages": None})).receive(10) == []
        page = await stream_at(Server(GetRecords={"Records": [RECORD]})).read("shard", "i", "role")
        assert (page.records[0].arrival, page.iterator) == (1500, None)
        page = await table_at(Server(GetRecords={"Records": [CHANGE]})).read("shard", "i", "role")
        assert page.records[0].partition == "null"

    asyncio.run(ask())


def test_a_table_that_was_made_again_has_another_stream() -> None:
    """moto answers for the table, whatever stream of it is asked for."""

    async def ask() -> None:
        label = TABLE.rpartition("/")[2]
        now = {"StreamDescription": {"StreamLabel": label, "Shards": [SHARD]}}
        assert [shard.id for shard in await table_at(Server(DescribeStream=now)).shards()] == ["shard"]
        later = {"StreamDescription": {"StreamLabel": label.replace("2026", "2027"), "Shards": [SHARD]}}
        with pytest.raises(RemoteError, match="ResourceNotFoundException"):
            await table_at(Server(DescribeStream=later)).shards()

    asyncio.run(ask())


def test_a_stream_tells_when_it_was_made_if_its_server_can() -> None:
    class Old(Server):
        async def call(self, *asked: Any) -> Any:
            raise RemoteError("UnknownOperationException", "", 400)

    async def ask() -> None:
        summary = {"StreamDescriptionSummary": {"StreamCreationTimestamp": 1.5}}
        assert await stream_at(Server(DescribeStreamSummary=summary)).created() == 1500
        assert await stream_at(Old()).created() is None

    asyncio.run(ask())
