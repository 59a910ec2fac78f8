"""Event source mappings as control keeps them: records, their states, and how they are shown.

```
 create ─▶ CREATING ─┬─▶ ENABLED ◀─▶ update ─▶ ENABLING │ DISABLING │ UPDATING ─▶ ENABLED │ DISABLED
                     └─▶ DISABLED                                    delete ─▶ DELETING ─▶ gone
```
What is on its way is settled in the background, after a restart too. Pure.

Source: API reference, EventSourceMappingConfiguration.
"""

from enum import Enum
from typing import Any

import msgspec

from ondol.model.arn import FunctionArn, partition_of
from ondol.model.ids import AccountId, Region
from ondol.model.time import WallTime
from ondol.pollers.api import Mapping

MAPPINGS = "mapping/"

NO_RECORDS = "No records processed"


class MappingState(Enum):
    """As `State` on the wire."""

    CREATING = "Creating"
    ENABLING = "Enabling"
    ENABLED = "Enabled"
    UPDATING = "Updating"
    DISABLING = "Disabling"
    DISABLED = "Disabled"
    DELETING = "Deleting"


SETTLED = frozenset({MappingState.ENABLED, MappingState.DISABLED})


class MappingRecord(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    mapping: Mapping
    state: MappingState
    enabled: bool
    """What it is to be, or to become."""

    modified: WallTime
    tags: dict[str, str] = {}


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(MappingRecord)


def encode_mapping(record: MappingRecord) -> bytes:
    return _encoder.encode(record)


def decode_mapping(value: bytes) -> MappingRecord:
    return _decoder.decode(value)


def mapping_key(mapping: Mapping) -> str:
    return f"{MAPPINGS}{mapping.account}/{mapping.region}/{mapping.id}"


def function_arn(mapping: Mapping) -> str:
    """Of the function, as it was named: with a qualifier if one was."""
    return str(FunctionArn(mapping.region, mapping.function.account, mapping.function.name, mapping.qualifier))


def mapping_arn(account: AccountId, region: Region, mapping_id: str) -> str:
    return f"arn:{partition_of(region)}:lambda:{region}:{account}:event-source-mapping:{mapping_id}"


def settled_state(record: MappingRecord) -> MappingState | None:
    """What the mapping becomes once what is on its way is done; None: it is gone."""
    if record.state is MappingState.DELETING:
        return None
    return MappingState.ENABLED if record.enabled else MappingState.DISABLED


def changed_state(record: MappingRecord, enabled: bool) -> MappingState:
    """What an update makes of a settled mapping."""
    if enabled == record.enabled:
        return MappingState.UPDATING
    return MappingState.ENABLING if enabled else MappingState.DISABLING


def describe_mapping(record: MappingRecord, last_result: str | None) -> dict[str, Any]:
    """Everything that is shown of a mapping; its state too."""
    mapping = record.mapping
    shown: dict[str, Any] = {
        "UUID": mapping.id,
        "BatchSize": mapping.batch_size,
        "EventSourceArn": mapping.source,
        "EventSourceMappingArn": mapping_arn(mapping.account, mapping.region, mapping.id),
        "FunctionArn": function_arn(mapping),
        "LastModified": record.modified,
        "State": record.state.value,
        "StateTransitionReason": "USER_INITIATED" if mapping.stream is None else "User action",
    }
    if mapping.broker is None:
        shown["FunctionResponseTypes"] = ["ReportBatchItemFailures"] if mapping.partial else []
    if mapping.broker is None or mapping.broker.window_given:
        shown["MaximumBatchingWindowInSeconds"] = mapping.window_s
    if mapping.filters is not None:
        shown["FilterCriteria"] = {"Filters": [{"Pattern": pattern} for pattern in mapping.filters]}
    return shown | _of_queue(mapping) | _of_stream(mapping, last_result) | _of_broker(mapping, last_result)


def _of_queue(mapping: Mapping) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    queue = mapping.queue
    if queue is not None and queue.maximum_concurrency is not None:
        shown["ScalingConfig"] = {"MaximumConcurrency": queue.maximum_concurrency}
    if queue is not None and queue.provisioned is not None:
        least, most = queue.provisioned
        shown["ProvisionedPollerConfig"] = {"MinimumPollers": least, "MaximumPollers": most}
    return shown


def _of_broker(mapping: Mapping, last_result: str | None) -> dict[str, Any]:
    broker = mapping.broker
    if broker is None:
        return {}
    access = [{"Type": "BASIC_AUTH", "URI": broker.secret}]
    if broker.virtual_host is not None:
        access.append({"Type": "VIRTUAL_HOST", "URI": broker.virtual_host})
    return {
        "Queues": [broker.queue],
        "SourceAccessConfigurations": access,
        "LastProcessingResult": last_result or NO_RECORDS,
    }


def _of_stream(mapping: Mapping, last_result: str | None) -> dict[str, Any]:
    stream = mapping.stream
    if stream is None:
        return {}
    shown: dict[str, Any] = {
        "StartingPosition": stream.starting_position,
        "ParallelizationFactor": stream.parallelization,
        "BisectBatchOnFunctionError": stream.bisect,
        "MaximumRecordAgeInSeconds": stream.maximum_age_s,
        "MaximumRetryAttempts": stream.maximum_retries,
        "TumblingWindowInSeconds": stream.tumbling_window_s,
        "DestinationConfig": {"OnFailure": {"Destination": stream.on_failure} if stream.on_failure else {}},
        "LastProcessingResult": last_result or NO_RECORDS,
    }
    if stream.starting_at is not None:
        shown["StartingPositionTimestamp"] = stream.starting_at
    return shown
