"""Tells an on-failure destination of records that the function did not take.

It decides what is told, and when a destination that refuses is given up. Source: developer guide, "Retain discarded
batch records" of Kinesis and DynamoDB mappings.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from ondol.aws.messages import publish, send_to_queue
from ondol.aws.moments import to_the_millisecond
from ondol.aws.remote import Remote, RemoteError, RemoteUnavailable
from ondol.model.arn import FunctionArn
from ondol.model.errors import PlatformError
from ondol.model.ids import AccountId, Region
from ondol.model.sns import Message
from ondol.model.time import SECOND, Clock, WallTime
from ondol.pollers.api import Failed, Mapping
from ondol.pollers.lane import Discard
from ondol.pollers.policy import retry_delay
from ondol.pollers.sources import Kind, parse_source

_REFUSALS = 5
"""A destination that refuses so often is not told: it does not exist, or takes nothing of this kind."""

_log = logging.getLogger(__name__)


class Destinations:
    def __init__(
        self,
        remote: Remote,
        clock: Clock,
        new_id: Callable[[], str],
        published: Callable[[str, Message], Awaitable[None]],
    ) -> None:
        """`published` tells functions that subscribe of what the topic's server has taken."""
        self._remote = remote
        self._clock = clock
        self._new_id = new_id
        self._published = published

    async def tell(self, mapping: Mapping, shard: str, discard: Discard, failed: Failed | None) -> None:
        """Returns once it is told, however long its server is away, or has refused for good."""
        destination = mapping.stream.on_failure if mapping.stream is not None else None
        if destination is None or not discard.records:
            return
        now = self._clock.wall()
        record = failure_record(mapping, shard, discard, failed or Failed(self._new_id(), None), now)
        key = f"aws/lambda/{mapping.id}/{shard}/{_day(now)}-{self._new_id()}"
        refusals = attempts = 0
        while refusals < _REFUSALS:
            try:
                await self._send(mapping, destination, record, discard, key)
                return
            except (RemoteUnavailable, PlatformError):
                pass
            except RemoteError as error:
                refusals += 1
                if refusals == _REFUSALS:
                    _log.warning("the mapping %s cannot tell %s of failures: %s", mapping.id, destination, error)
            attempts += 1
            await asyncio.sleep(retry_delay(attempts) / SECOND)

    async def _send(
        self, mapping: Mapping, destination: str, record: dict[str, Any], discard: Discard, key: str
    ) -> None:
        _, _, service, region, account, name = destination.split(":", 5)
        owner = AccountId(account or mapping.account), Region(region or mapping.region)
        if service == "sqs":
            await send_to_queue(self._remote, owner, name, _json(record))
        elif service == "sns":
            body = _json(record)
            await publish(self._remote, owner, destination, body)
            await self._published(destination, Message(self._new_id(), body))
        else:
            payload = b'{"Records":[' + b",".join(each.body for each in discard.records) + b"]}"
            content = _json(record | {"payload": payload.decode()})
            await self._remote.put_object(*owner, name, key, content.encode())


def failure_record(mapping: Mapping, shard: str, discard: Discard, failed: Failed, now: WallTime) -> dict[str, Any]:
    """What a queue or a topic is told; a bucket gets the payload too."""
    source = parse_source(mapping.source)
    batch_info = "KinesisBatchInfo" if source is not None and source.kind is Kind.KINESIS else "DDBStreamBatchInfo"
    function = FunctionArn(mapping.region, mapping.account, mapping.function.name, mapping.qualifier)
    first, last = discard.records[0], discard.records[-1]
    record: dict[str, Any] = {
        "requestContext": {
            "requestId": failed.request_id,
            "functionArn": str(function),
            "condition": discard.condition,
            "approximateInvokeCount": discard.invocations,
        }
    }
    if failed.executed_version is not None:
        record["responseContext"] = {
            "statusCode": 200,
            "executedVersion": failed.executed_version,
            "functionError": "Unhandled",
        }
    return record | {
        "version": "1.0",
        "timestamp": to_the_millisecond(now),
        batch_info: {
            "shardId": shard,
            "startSequenceNumber": first.sequence,
            "endSequenceNumber": last.sequence,
            "approximateArrivalOfFirstRecord": to_the_millisecond(first.arrival),
            "approximateArrivalOfLastRecord": to_the_millisecond(last.arrival),
            "batchSize": len(discard.records),
            "streamArn": mapping.source,
        },
    }


def _day(moment: WallTime) -> str:
    return datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y/%m/%d/%Y-%m-%dT%H.%M.%S")


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
