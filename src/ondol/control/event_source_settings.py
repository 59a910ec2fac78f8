"""From the parameters of Create- and UpdateEventSourceMapping to a mapping, with AWS's defaults and refusals: pure.

Sources: API reference, CreateEventSourceMapping; developer guide, the pages on each source. Texts that are marked
unconfirmed are ours: no answer of AWS's to such a request has been seen.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from ondol.control.event_invokes import can_be_told
from ondol.model.errors import InvalidParameterValue
from ondol.model.event_pattern import InvalidPattern
from ondol.model.function import FunctionKey
from ondol.pollers.api import BrokerSettings, QueueSettings, StreamSettings
from ondol.pollers.api import Mapping as EventSourceMapping
from ondol.pollers.filters import check_filters
from ondol.pollers.sources import Kind, Source, parse_source

_QUEUE_BATCH = 10
_STREAM_BATCH = 100

_POSITION = ("StartingPosition", "StartingPositionTimestamp")
_STREAM_ONLY = (
    *_POSITION,
    "ParallelizationFactor",
    "BisectBatchOnFunctionError",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "TumblingWindowInSeconds",
    "DestinationConfig",
)
_QUEUE_ONLY = ("ScalingConfig", "ProvisionedPollerConfig")
_BROKER_ONLY = ("Queues", "SourceAccessConfigurations")
_OF_OTHERS = (
    "Topics",
    "AmazonManagedKafkaEventSourceConfig",
    "SelfManagedKafkaEventSourceConfig",
    "DocumentDBEventSourceConfig",
)

_UNSERVED = {
    "KMSKeyArn": "encrypted filter criteria",
    "MetricsConfig": "metrics of event source mappings",
    "LoggingConfig": "logs of event source mappings",
}

_OTHER_SOURCES = {"kafka": "Kafka", "rds": "DocumentDB"}

_NOT_OF = {
    Kind.SQS: _STREAM_ONLY + _BROKER_ONLY,
    Kind.KINESIS: _QUEUE_ONLY + _BROKER_ONLY,
    Kind.DYNAMODB: _QUEUE_ONLY + _BROKER_ONLY,
    Kind.MQ: (*_STREAM_ONLY, *_QUEUE_ONLY, "FunctionResponseTypes"),
}
"""Which parameters mappings of a source cannot have."""


def new_mapping(id: str, function: FunctionKey, parameters: Mapping[str, Any]) -> EventSourceMapping:
    """The mapping that CreateEventSourceMapping asks for. Raises `InvalidParameterValue`."""
    _refuse_unserved(parameters)
    source = _source_of(parameters)
    bare = EventSourceMapping(
        id=id,
        account=function.account,
        region=function.region,
        function=function,
        qualifier=parameters.get("Qualifier"),
        source=parameters["EventSourceArn"],
        batch_size=_QUEUE_BATCH if source.kind is Kind.SQS else _STREAM_BATCH,
        stream=_position(source, parameters) if source.kind in {Kind.KINESIS, Kind.DYNAMODB} else None,
        queue=QueueSettings() if source.kind is Kind.SQS else None,
        broker=_broker(parameters) if source.kind is Kind.MQ else None,
    )
    return _checked(_with_settings(bare, source, parameters), source)


def changed_mapping(mapping: EventSourceMapping, parameters: Mapping[str, Any]) -> EventSourceMapping:
    """The mapping as UpdateEventSourceMapping wants it; what is not given stays. Raises `InvalidParameterValue`."""
    _refuse_unserved(parameters)
    source = parse_source(mapping.source)
    assert source is not None
    if "FunctionName" in parameters:
        function = FunctionKey(mapping.account, mapping.region, parameters["FunctionName"])
        mapping = replace(mapping, function=function, qualifier=parameters.get("Qualifier"))
    return _checked(_with_settings(mapping, source, parameters), source)


def _refuse_unserved(parameters: Mapping[str, Any]) -> None:
    for member, feature in _UNSERVED.items():
        # Tools take settings away by empty lists.
        value = parameters.get(member)
        if any(value.values()) if isinstance(value, Mapping) else value:
            raise InvalidParameterValue(f"{member} cannot be set: ondol does not have {feature} yet.")


def _source_of(parameters: Mapping[str, Any]) -> Source:
    arn = parameters.get("EventSourceArn")
    if parameters.get("SelfManagedEventSource"):
        raise _unavailable("Kafka")
    if not arn:
        raise InvalidParameterValue("Unrecognized event source.")
    source = parse_source(arn)
    if source is not None:
        return source
    service = arn.split(":")[2]
    if service in _OTHER_SOURCES:
        raise _unavailable(_OTHER_SOURCES[service])
    raise InvalidParameterValue("Unrecognized event source.")


def _unavailable(source: str) -> InvalidParameterValue:
    return InvalidParameterValue(
        f"Event sources of {source} are not available: ondol reads SQS, Kinesis, DynamoDB streams and RabbitMQ."
    )


def _position(source: Source, parameters: Mapping[str, Any]) -> StreamSettings:
    position = parameters.get("StartingPosition")
    if position is None:
        raise InvalidParameterValue(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
            "Member must not be null."
        )
    at = parameters.get("StartingPositionTimestamp")
    if at is not None and position != "AT_TIMESTAMP":
        raise InvalidParameterValue("Timestamp only valid with StartingPosition AT_TIMESTAMP")
    if source.kind is Kind.DYNAMODB and position == "AT_TIMESTAMP":
        raise InvalidParameterValue(f"Unsupported starting position for arn type: {parameters['EventSourceArn']}")
    if at is None and position == "AT_TIMESTAMP":  # unconfirmed
        raise InvalidParameterValue("StartingPositionTimestamp is required with StartingPosition AT_TIMESTAMP.")
    if at is not None and at < 0:
        raise InvalidParameterValue(
            "Received Exception while reading from provided stream. "
            "class java.lang.Long can not be converted to a Timestamp"
        )
    return StreamSettings(starting_position=position, starting_at=at)


def _broker(parameters: Mapping[str, Any]) -> BrokerSettings:
    """Unconfirmed texts."""
    queues = parameters.get("Queues") or []
    if len(queues) != 1:
        raise InvalidParameterValue("Queues must name the one queue of the broker that is to be read.")
    secret, virtual_host = _access(parameters.get("SourceAccessConfigurations") or [])
    return BrokerSettings(queues[0], secret, virtual_host)


def _access(configurations: Sequence[Mapping[str, str]]) -> tuple[str, str | None]:
    """The secret and the virtual host. Unconfirmed texts."""
    given = {one.get("Type", ""): one.get("URI", "") for one in configurations}
    if len(given) < len(configurations) or not given.keys() <= {"BASIC_AUTH", "VIRTUAL_HOST"}:
        raise InvalidParameterValue("SourceAccessConfigurations of RabbitMQ are one BASIC_AUTH and one VIRTUAL_HOST.")
    if not given.get("BASIC_AUTH", "").startswith("arn:"):
        raise InvalidParameterValue(
            "SourceAccessConfigurations must have a BASIC_AUTH: the ARN of a secret with username and password."
        )
    return given["BASIC_AUTH"], given.get("VIRTUAL_HOST")


def _changed_broker(broker: BrokerSettings, given: Mapping[str, Any]) -> BrokerSettings:
    if given.get("SourceAccessConfigurations"):
        secret, virtual_host = _access(given["SourceAccessConfigurations"])
        broker = replace(broker, secret=secret, virtual_host=virtual_host)
    window_given = broker.window_given or "MaximumBatchingWindowInSeconds" in given
    return replace(broker, window_given=window_given)


def _with_settings(mapping: EventSourceMapping, source: Source, given: Mapping[str, Any]) -> EventSourceMapping:
    if source.kind is Kind.SQS and not given.keys().isdisjoint(_POSITION):
        raise InvalidParameterValue("StartingPosition is not valid for SQS event sources.")
    for member in _NOT_OF[source.kind] + _OF_OTHERS:
        if given.get(member):
            raise _unsupported(member)
    changes: dict[str, Any] = {}
    if "BatchSize" in given:
        changes["batch_size"] = given["BatchSize"]
    if "MaximumBatchingWindowInSeconds" in given:
        changes["window_s"] = given["MaximumBatchingWindowInSeconds"]
    if "FunctionResponseTypes" in given:
        changes["partial"] = "ReportBatchItemFailures" in given["FunctionResponseTypes"]
    if "FilterCriteria" in given:
        changes["filters"] = _filters(given["FilterCriteria"])
    if mapping.stream is not None:
        changes["stream"] = replace(mapping.stream, **_changes(given, _STREAM_SETTINGS))
    if mapping.queue is not None:
        changes["queue"] = replace(mapping.queue, **_changes(given, _QUEUE_SETTINGS))
    if mapping.broker is not None:
        changes["broker"] = _changed_broker(mapping.broker, given)
    return replace(mapping, **changes)


def _filters(criteria: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Empty criteria take the filters away."""
    filters = tuple(one.get("Pattern", "") for one in criteria.get("Filters") or ())
    try:
        check_filters(filters)
    except InvalidPattern as error:
        raise InvalidParameterValue("Invalid filter pattern definition.") from error
    return filters or None


def _on_failure(config: Mapping[str, Any]) -> str | None:
    if config.get("OnSuccess"):
        raise _unsupported("DestinationConfig")
    destination = config.get("OnFailure", {}).get("Destination") or None
    if destination is not None and not can_be_told(destination, ("sqs", "sns", "s3")):  # unconfirmed
        raise InvalidParameterValue(f"The provided destination config DestinationConfig is invalid: {destination}")
    return destination


def _provisioned(config: Mapping[str, Any]) -> tuple[int, int] | None:
    """As AWS has it for SQS: two at least unless said otherwise, 200 at most. Unconfirmed text."""
    if not config:
        return None
    least = config.get("MinimumPollers", 2)
    most = config.get("MaximumPollers", max(200, least))
    if least < 2 or most < least:
        raise InvalidParameterValue("MinimumPollers must be at least 2 and not above MaximumPollers.")
    return least, most


_Settings = Mapping[str, tuple[str, Callable[[Any], Any]]]

_STREAM_SETTINGS: _Settings = {
    "ParallelizationFactor": ("parallelization", int),
    "BisectBatchOnFunctionError": ("bisect", bool),
    "MaximumRecordAgeInSeconds": ("maximum_age_s", int),
    "MaximumRetryAttempts": ("maximum_retries", int),
    "TumblingWindowInSeconds": ("tumbling_window_s", int),
    "DestinationConfig": ("on_failure", _on_failure),
}
_QUEUE_SETTINGS: _Settings = {
    "ScalingConfig": ("maximum_concurrency", lambda config: config.get("MaximumConcurrency")),
    "ProvisionedPollerConfig": ("provisioned", _provisioned),
}


def _changes(given: Mapping[str, Any], settings: _Settings) -> dict[str, Any]:
    return {field: read(given[member]) for member, (field, read) in settings.items() if member in given}


def _checked(mapping: EventSourceMapping, source: Source) -> EventSourceMapping:
    stream, queue = mapping.stream, mapping.queue
    if source.fifo and mapping.batch_size > _QUEUE_BATCH:  # unconfirmed
        raise InvalidParameterValue("Maximum batch size must be less than or equal to 10 for FIFO queues.")
    if source.fifo and mapping.window_s:
        raise InvalidParameterValue("Batching window is not supported for FIFO queues")
    if queue is not None and mapping.batch_size > _QUEUE_BATCH and not mapping.window_s:
        raise InvalidParameterValue(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
        )
    if queue is not None and queue.provisioned is not None and queue.maximum_concurrency is not None:  # unconfirmed
        raise InvalidParameterValue("ScalingConfig and ProvisionedPollerConfig cannot be set together.")
    if stream is not None and 0 <= stream.maximum_age_s < 60:  # unconfirmed
        raise InvalidParameterValue("MaximumRecordAgeInSeconds must be -1, or from 60 to 604800.")
    return mapping


def _unsupported(member: str) -> InvalidParameterValue:
    return InvalidParameterValue(f"Unsupported {member} parameter for given event source mapping type.")
