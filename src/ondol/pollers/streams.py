"""Kinesis and DynamoDB streams, as a client of their servers: shards, and records as functions get them.

Sources: developer guide, "Using Lambda with Kinesis" and "with DynamoDB", for the events; the services' API references.
"""

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from ondol.aws.remote import DYNAMODB_STREAMS, KINESIS, Remote
from ondol.model.time import WallTime
from ondol.pollers.filters import Filters
from ondol.pollers.lane import StreamRecord
from ondol.pollers.shards import Position, PositionKind, Shard
from ondol.pollers.sources import Source

PAGE_RECORDS = 500

_TURN_RECORDS = 50


class Page(msgspec.Struct, frozen=True):
    """What one read of a shard gives."""

    records: list[StreamRecord]
    iterator: str | None
    """Where to go on; None at the end of a shard that has ended."""


class Stream(Protocol):
    """All methods raise `RemoteError` and `RemoteUnavailable`."""

    async def shards(self) -> list[Shard]: ...

    async def iterator(self, shard: str, position: Position) -> str: ...

    async def read(self, shard: str, iterator: str, role: str) -> Page:
        """`role` is the function's, which events name."""
        ...


class KinesisStream:
    def __init__(self, remote: Remote, source: Source, arn: str, patterns: tuple[str, ...]) -> None:
        self._remote = remote
        self._source = source
        self._arn = arn
        self._filters = Filters(patterns, "data")

    async def shards(self) -> list[Shard]:
        shards: list[Shard] = []
        asked: dict[str, Any] = {"StreamName": self._source.name}
        while True:
            answer = await self._call("ListShards", asked)
            shards += [_shard(shown) for shown in answer["Shards"]]
            if not answer.get("NextToken"):
                return shards
            asked = {"NextToken": answer["NextToken"]}

    async def iterator(self, shard: str, position: Position) -> str:
        asked = {"StreamName": self._source.name, "ShardId": shard, "ShardIteratorType": position.kind.value}
        if position.sequence is not None:
            asked["StartingSequenceNumber"] = position.sequence
        if position.since is not None:
            asked["Timestamp"] = position.since / 1000  # type: ignore[assignment]
        iterator: str = (await self._call("GetShardIterator", asked))["ShardIterator"]
        return iterator

    async def read(self, shard: str, iterator: str, role: str) -> Page:
        answer = await self._call("GetRecords", {"ShardIterator": iterator, "Limit": PAGE_RECORDS})
        records = await _in_turns(answer["Records"], lambda shown: self._record(shard, role, shown))
        return Page(records, answer.get("NextShardIterator"))

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return await self._remote.call(KINESIS, self._source.account, self._source.region, operation, parameters)

    def _record(self, shard: str, role: str, shown: Mapping[str, Any]) -> StreamRecord:
        kinesis = {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": shown["PartitionKey"],
            "sequenceNumber": shown["SequenceNumber"],
            "data": shown["Data"],
            "approximateArrivalTimestamp": shown["ApproximateArrivalTimestamp"],
        }
        record = {
            "kinesis": kinesis,
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{shard}:{shown['SequenceNumber']}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": role,
            "awsRegion": self._source.region,
            "eventSourceARN": self._arn,
        }
        return StreamRecord(
            shown["SequenceNumber"],
            shown["PartitionKey"],
            WallTime(int(shown["ApproximateArrivalTimestamp"] * 1000)),
            msgspec.json.encode(record),
            self._filters.pass_on({**record, **kinesis}, lambda: _text(shown["Data"])),
        )


class TableStream:
    """A DynamoDB stream."""

    def __init__(self, remote: Remote, source: Source, arn: str, patterns: tuple[str, ...]) -> None:
        self._remote = remote
        self._source = source
        self._arn = arn
        self._filters = Filters(patterns, None)
        self._since: dict[str, WallTime] = {}

    async def shards(self) -> list[Shard]:
        shards: list[Shard] = []
        asked = {"StreamArn": self._arn}
        while True:
            described = (await self._call("DescribeStream", asked))["StreamDescription"]
            shards += [_shard(shown) for shown in described.get("Shards") or ()]
            if not described.get("LastEvaluatedShardId"):
                return shards
            asked["ExclusiveStartShardId"] = described["LastEvaluatedShardId"]

    async def iterator(self, shard: str, position: Position) -> str:
        """These streams know no time: what is older is read and passed over."""
        kind = position.kind
        self._since.pop(shard, None)
        if kind is PositionKind.AT_TIMESTAMP and position.since is not None:
            kind, self._since[shard] = PositionKind.TRIM_HORIZON, position.since
        asked = {"StreamArn": self._arn, "ShardId": shard, "ShardIteratorType": kind.value}
        if position.sequence is not None:
            asked["SequenceNumber"] = position.sequence
        iterator: str = (await self._call("GetShardIterator", asked))["ShardIterator"]
        return iterator

    async def read(self, shard: str, iterator: str, role: str) -> Page:
        answer = await self._call("GetRecords", {"ShardIterator": iterator, "Limit": PAGE_RECORDS})
        since = self._since.get(shard, 0)
        records = await _in_turns(answer["Records"], lambda shown: self._record(shown, since))
        return Page(records, answer.get("NextShardIterator"))

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        source = self._source
        return await self._remote.call(DYNAMODB_STREAMS, source.account, source.region, operation, parameters)

    def _record(self, shown: Mapping[str, Any], since: int) -> StreamRecord:
        record = {**shown, "eventSourceARN": self._arn}
        change = shown["dynamodb"]
        arrival = WallTime(int(change["ApproximateCreationDateTime"] * 1000))
        # Such times may be whole seconds, cut off.
        passes = arrival + 1_000 > since and self._filters.pass_on(record, lambda: None)
        keys = msgspec.json.encode(change.get("Keys")).decode()
        return StreamRecord(change["SequenceNumber"], keys, arrival, msgspec.json.encode(record), passes)


async def _in_turns(
    shown: Sequence[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], StreamRecord]
) -> list[StreamRecord]:
    """The records of a page; in between others have their turn."""
    records: list[StreamRecord] = []
    for each in shown:
        records.append(read(each))
        if len(records) % _TURN_RECORDS == 0:
            await asyncio.sleep(0)
    return records


def _shard(shown: Mapping[str, Any]) -> Shard:
    parents = tuple(shown[name] for name in ("ParentShardId", "AdjacentParentShardId") if shown.get(name))
    return Shard(shown["ShardId"], parents, shown["SequenceNumberRange"].get("EndingSequenceNumber"))


def _text(data: str) -> str | None:
    try:
        return base64.b64decode(data).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
