"""Which function, version or alias a request means, and AWS's words when there is none."""

from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

from ondol.control.api import Caller
from ondol.control.catalog import Stored
from ondol.control.configuration import describe_latest, describe_version
from ondol.control.records import FunctionRecord
from ondol.model.errors import InvalidParameterValue, ResourceNotFound
from ondol.model.function import LATEST, FunctionKey

Parameters = Mapping[str, Any]
Answer = dict[str, Any]
Operation = Callable[[Caller, Parameters], Coroutine[Any, Any, Answer]]
Operations = dict[str, Operation]


def key_of(caller: Caller, parameters: Parameters) -> FunctionKey:
    return FunctionKey(caller.account, caller.region, parameters["FunctionName"])


def existing(key: FunctionKey, stored: Stored | None, qualifier: str | None = None) -> Stored:
    """Raises `ResourceNotFound` under the name that was asked for."""
    if stored is None:
        raise not_found(key, qualifier)
    return stored


def not_found(key: FunctionKey, qualifier: str | None = None) -> ResourceNotFound:
    return ResourceNotFound(f"Function not found: {key.arn}" + ("" if qualifier is None else f":{qualifier}"))


def describe(key: FunctionKey, stored: Stored, qualifier: str | None) -> Answer:
    """The configuration of what a qualifier means. Raises `ResourceNotFound`."""
    record = stored.record
    alias = record.aliases.get(qualifier) if qualifier is not None else None
    version = alias.version if alias is not None else qualifier
    if version is None or version == LATEST:
        return describe_latest(key, record, qualifier)
    if version not in record.versions:
        raise not_found(key, qualifier)
    return describe_version(key, version, record.versions[version], stored.version(version), qualifier)


def label_of(key: FunctionKey, record: FunctionRecord, qualifier: str | None) -> str:
    """`$LATEST`, or the version or alias that a qualifier names. Raises `ResourceNotFound`."""
    label = qualifier or LATEST
    if label == LATEST or label in record.versions or label in record.aliases:
        return label
    if label.isdecimal() or "$" in label:  # which no alias has
        raise not_found(key, label)
    raise ResourceNotFound(f"Cannot find alias arn: {key.arn}:{label}")


def labels_from(stored: Stored, first: str) -> Iterator[str]:
    """`$LATEST` and the versions by number, beginning with `first` or what follows it."""
    if _rank(first) == 0:
        yield LATEST
    yield from (number for number in stored.record.versions if int(number) >= _rank(first))


def require_function(parameters: Parameters, *allowed: str) -> None:
    """Raises `InvalidParameterValue` if a version or alias is named where a function is meant."""
    qualifier = parameters.get("Qualifier")
    if qualifier is not None and qualifier not in allowed:
        raise InvalidParameterValue(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
            "Please specify either a function name or an unqualified function ARN."
        )


def _rank(label: str) -> int:
    return int(label) if label.isdecimal() else 0
