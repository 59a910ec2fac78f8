"""What is to become of asynchronous events: how it is set, refused, shown, and seen by those who run them.

Source: API reference, PutFunctionEventInvokeConfig; the texts are recorded answers of AWS's. For a FIFO queue only
the error's name has been seen (aws-cdk, issue 13793).
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from msgspec.structs import replace

from ondol.control.records import EventInvokeRecord
from ondol.model.arn import parse_function_arn
from ondol.model.errors import InvalidParameterValue
from ondol.model.function import EventSettings, FunctionKey
from ondol.model.time import WallTime

_ON_FAILURE = frozenset({"sqs", "sns", "lambda", "events", "s3"})
_ON_SUCCESS = _ON_FAILURE - {"s3"}

Exists = Callable[[FunctionKey], bool]


def changed(
    record: EventInvokeRecord | None, parameters: Mapping[str, Any], key: FunctionKey, exists: Exists, now: WallTime
) -> EventInvokeRecord:
    """`record` (None: there is none yet) after the members that are there. Destinations go together.

    Raises `InvalidParameterValue` for destinations that AWS refuses.
    """
    record = replace(record or EventInvokeRecord(now), last_modified=now)
    if "MaximumRetryAttempts" in parameters:
        record = replace(record, max_retries=parameters["MaximumRetryAttempts"])
    if "MaximumEventAgeInSeconds" in parameters:
        record = replace(record, max_age_s=parameters["MaximumEventAgeInSeconds"])
    if "DestinationConfig" in parameters:
        destinations = parameters["DestinationConfig"]
        on_success = destinations.get("OnSuccess", {}).get("Destination") or None
        on_failure = destinations.get("OnFailure", {}).get("Destination") or None
        _check_destinations(on_success, on_failure, key, exists)
        record = replace(record, on_success=on_success, on_failure=on_failure)
    return record


def require_setting(parameters: Mapping[str, Any]) -> None:
    """Raises `InvalidParameterValue` for a request that sets nothing."""
    if not any(parameters.get(member) is not None for member in _MEMBERS):
        raise InvalidParameterValue("You must specify at least one of error handling or destination setting.")


_MEMBERS = ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")


def describe_event_invoke(key: FunctionKey, qualifier: str, record: EventInvokeRecord) -> dict[str, Any]:
    described: dict[str, Any] = {
        "LastModified": record.last_modified,
        "FunctionArn": f"{key.arn}:{qualifier}",
        "DestinationConfig": {"OnSuccess": _shown(record.on_success), "OnFailure": _shown(record.on_failure)},
    }
    if record.max_retries is not None:
        described["MaximumRetryAttempts"] = record.max_retries
    if record.max_age_s is not None:
        described["MaximumEventAgeInSeconds"] = record.max_age_s
    return described


def settings_of(record: EventInvokeRecord) -> EventSettings:
    settings = EventSettings(on_success=record.on_success, on_failure=record.on_failure)
    if record.max_retries is not None:
        settings = replace(settings, max_retries=record.max_retries)
    if record.max_age_s is not None:
        settings = replace(settings, max_age_s=record.max_age_s)
    return settings


def can_be_told(destination: str, services: Collection[str]) -> bool:
    """Whether a record can be sent there. FIFO queues and topics take none: a record belongs to no group."""
    parts = destination.split(":", 5)
    if len(parts) < 6 or parts[0] != "arn" or parts[2] not in services or not parts[5]:
        return False
    return parts[2] == "s3" or not destination.endswith(".fifo")


def _shown(destination: str | None) -> dict[str, str]:
    return {} if destination is None else {"Destination": destination}


def _check_destinations(on_success: str | None, on_failure: str | None, key: FunctionKey, exists: Exists) -> None:
    for destination, services in ((on_failure, _ON_FAILURE), (on_success, _ON_SUCCESS)):
        if destination is None:
            continue
        if not can_be_told(destination, services):
            success = "null" if on_success is None else f"OnSuccess(destination={on_success})"
            failure = "null" if on_failure is None else f"OnFailure(destination={on_failure})"
            raise InvalidParameterValue(
                "The provided destination config "
                f"DestinationConfig(onSuccess={success}, onFailure={failure}) is invalid."
            )
        if destination.split(":")[2] == "lambda":
            _check_function(destination, key, exists)


def _check_function(destination: str, key: FunctionKey, exists: Exists) -> None:
    arn = parse_function_arn(destination)
    named = None if arn is None else FunctionKey(arn.account, arn.region, arn.name)
    if named is None or not exists(named):
        raise InvalidParameterValue(f"The destination ARN {destination} is invalid.")
    if named == key:
        raise InvalidParameterValue("You can't specify the function as a destination for itself.")
