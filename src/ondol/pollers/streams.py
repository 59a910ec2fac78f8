"""Kinesis and DynamoDB streams, as a client of their servers: shards, and records as functions get them.

Sources: developer guide, "Using Lambda with Kinesis" and "with DynamoDB", for the events; the services' API references.
"""

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Protocol, TypeVar

import msgspec

from ondol.aws.remote import DYNAMODB_STREAMS, KINESIS, Remote, RemoteError, understood
from ondol.model.time import WallTime
from ondol.pollers.filters import Filters
from ondol.pollers.lane import StreamRecord
from ondol.pollers.shards import Position, PositionKind, Shard
from ondol.pollers.sources import Source

PAGE_RECORDS = 500

_TURN_RECORDS = 50

R = TypeVar("R")


_Sequence = Annotated[str, msgspec.Meta(pattern=r"^[0-9]+\Z", max_length=128)]


class _Range(msgspec.Struct, rename="pascal"):
    ending_sequence_number: _Sequence | None = None


class _Shard(msgspec.Struct, rename="pascal"):
    shard_id: str
    sequence_number_range: _Range
    parent_shard_id: str | None = None
    adjacent_parent_shard_id: str | None = None


class _Listed(msgspec.Struct, rename="pascal"):
    shards: list[_Shard]
    next_token: str | None = None


class _Summary(msgspec.Struct, frozen=True, rename="pascal"):
    stream_creation_timestamp: float | None = None


class _Summarised(msgspec.Struct, rename="pascal"):
    stream_description_summary: _Summary = _Summary()


class _Table(msgspec.Struct, rename="pascal"):
    stream_label: str | None = None
    shards: list[_Shard] | None = None
    last_evaluated_shard_id: str | None = None


class _Described(msgspec.Struct, rename="pascal"):
    stream_description: _Table


class _Iterator(msgspec.Struct, rename="pascal"):
    shard_iterator: str


class _KinesisRecord(msgspec.Struct, rename="pascal"):
    sequence_number: _Sequence
    partition_key: str
    data: str
    approximate_arrival_timestamp: int | float


class _KinesisRecords(msgspec.Struct, rename="pascal"):
    records: list[_KinesisRecord]
    next_shard_iterator: str | None = None


class _Change(msgspec.Struct, rename="pascal"):
    sequence_number: _Sequence
    approximate_creation_date_time: int | float
    keys: dict[str, Any] | None = None


class _Changed(msgspec.Struct):
    dynamodb: _Change


class _Changes(msgspec.Struct, rename="pascal"):
    records: list[dict[str, Any]]
    """As functions get them."""

    next_shard_iterator: str | None = None


class Page(msgspec.Struct, frozen=True):
    """What one read of a shard gives."""

    records: list[StreamRecord]
    iterator: str | None
    """Where to go on; None at the end of a shard that has ended."""


class Stream(Protocol):
    """All methods raise `RemoteError` and `RemoteUnavailable`."""

    async def created(self) -> WallTime | None:
        """When it was made, by which it is told from another one of its name; None if nobody can say, or its ARN
        alone tells."""
        ...

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

    async def created(self) -> WallTime | None:
        try:
            answer = await self._call("DescribeStreamSummary", {"StreamName": self._source.name})
        except RemoteError:
            # It is gone, which whoever lists its shards hears too; or its server does not know this operation.
            return None
        at = understood(answer, _Summarised).stream_description_summary.stream_creation_timestamp
        return None if at is None else WallTime(int(at * 1000))

    async def shards(self) -> list[Shard]:
        shards: list[Shard] = []
        asked: dict[str, Any] = {"StreamName": self._source.name}
        while True:
            listed = understood(await self._call("ListShards", asked), _Listed)
            shards += map(_shard, listed.shards)
            if not listed.next_token:
                return shards
            asked = {"NextToken": listed.next_token}

    async def iterator(self, shard: str, position: Position) -> str:
        asked = {"StreamName": self._source.name, "ShardId": shard, "ShardIteratorType": position.kind.value}
        if position.sequence is not None:
            asked["StartingSequenceNumber"] = position.sequence
        if position.since is not None:
            asked["Timestamp"] = position.since / 1000  # type: ignore[assignment]
        return understood(await self._call("GetShardIterator", asked), _Iterator).shard_iterator

    async def read(self, shard: str, iterator: str, role: str) -> Page:
        answer = await self._call("GetRecords", {"ShardIterator": iterator, "Limit": PAGE_RECORDS})
        read = understood(answer, _KinesisRecords)
        records = await _in_turns(read.records, lambda shown: self._record(shard, role, shown))
        return Page(records, read.next_shard_iterator)

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return await self._remote.call(KINESIS, self._source.account, self._source.region, operation, parameters)

    def _record(self, shard: str, role: str, shown: _KinesisRecord) -> StreamRecord:
        kinesis = {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": shown.partition_key,
            "sequenceNumber": shown.sequence_number,
            "data": shown.data,
            "approximateArrivalTimestamp": shown.approximate_arrival_timestamp,
        }
        record = {
            "kinesis": kinesis,
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{shard}:{shown.sequence_number}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": role,
            "awsRegion": self._source.region,
            "eventSourceARN": self._arn,
        }
        return StreamRecord(
            shown.sequence_number,
            shown.partition_key,
            WallTime(int(shown.approximate_arrival_timestamp * 1000)),
            msgspec.json.encode(record),
            self._filters.pass_on({**record, **kinesis}, lambda: _text(shown.data)),
        )


class TableStream:
    """A DynamoDB stream."""

    def __init__(self, remote: Remote, source: Source, arn: str, patterns: tuple[str, ...]) -> None:
        self._remote = remote
        self._source = source
        self._arn = arn
        self._filters = Filters(patterns, None)
        self._since: dict[str, WallTime] = {}

    async def created(self) -> WallTime | None:
        return None

    async def shards(self) -> list[Shard]:
        shards: list[Shard] = []
        asked = {"StreamArn": self._arn}
        while True:
            described = understood(await self._call("DescribeStream", asked), _Described).stream_description
            if described.stream_label not in (None, self._arn.rpartition("/")[2]):
                # Servers that stand in for DynamoDB look for the table alone, which may have been made again.
                raise RemoteError("ResourceNotFoundException", f"Stream {self._arn} is not the table's any more.", 400)
            shards += map(_shard, described.shards or ())
            if not described.last_evaluated_shard_id:
                return shards
            asked["ExclusiveStartShardId"] = described.last_evaluated_shard_id

    async def iterator(self, shard: str, position: Position) -> str:
        """These streams know no time: what is older is read and passed over."""
        kind = position.kind
        self._since.pop(shard, None)
        if kind is PositionKind.AT_TIMESTAMP and position.since is not None:
            kind, self._since[shard] = PositionKind.TRIM_HORIZON, position.since
        asked = {"StreamArn": self._arn, "ShardId": shard, "ShardIteratorType": kind.value}
        if position.sequence is not None:
            asked["SequenceNumber"] = position.sequence
        return understood(await self._call("GetShardIterator", asked), _Iterator).shard_iterator

    async def read(self, shard: str, iterator: str, role: str) -> Page:
        answer = await self._call("GetRecords", {"ShardIterator": iterator, "Limit": PAGE_RECORDS})
        read, since = understood(answer, _Changes), self._since.get(shard, 0)
        records = await _in_turns(read.records, lambda shown: self._record(shown, since))
        return Page(records, read.next_shard_iterator)

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        source = self._source
        return await self._remote.call(DYNAMODB_STREAMS, source.account, source.region, operation, parameters)

    def _record(self, shown: Mapping[str, Any], since: int) -> StreamRecord:
        record = {**shown, "eventSourceARN": self._arn}
        change = understood(shown, _Changed).dynamodb
        arrival = WallTime(int(change.approximate_creation_date_time * 1000))
        # Such times may be whole seconds, cut off.
        passes = arrival + 1_000 > since and self._filters.pass_on(record, lambda: None)
        keys = msgspec.json.encode(change.keys).decode()
        return StreamRecord(change.sequence_number, keys, arrival, msgspec.json.encode(record), passes)


async def _in_turns(shown: Sequence[R], read: Callable[[R], StreamRecord]) -> list[StreamRecord]:
    """The records of a page; in between others have their turn."""
    records: list[StreamRecord] = []
    for each in shown:
        records.append(read(each))
        if len(records) % _TURN_RECORDS == 0:
            await asyncio.sleep(0)
    return records


def _shard(shown: _Shard) -> Shard:
    parents = tuple(parent for parent in (shown.parent_shard_id, shown.adjacent_parent_shard_id) if parent)
    return Shard(shown.shard_id, parents, shown.sequence_number_range.ending_sequence_number)


def _text(data: str) -> str | None:
    try:
        return base64.b64decode(data).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
