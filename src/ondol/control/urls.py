"""Function URLs: how they come about, change, and are shown.

An URL's id is the same whenever it is made for the same function or alias, as AWS says of its own; but it depends on a
key of this installation, so that no web page can guess the URL of a function by its name.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from ondol.aws.moments import to_the_millisecond
from ondol.control.checks import check_shared
from ondol.control.records import FunctionRecord, UrlRecord
from ondol.model.errors import InvalidParameterValue, ResourceConflict, ResourceNotFound
from ondol.model.function import LATEST, FunctionKey
from ondol.model.function_url import Cors, FunctionUrl
from ondol.model.time import WallTime

BUFFERED = "BUFFERED"
STREAMED = "RESPONSE_STREAM"
SIGNED = "AWS_IAM"

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 32


def url_id(secret: str, key: FunctionKey, label: str) -> str:
    """32 letters and digits, the same for the same name."""
    return stable_id(f"urls {secret}", f"{key.arn}:{label}", _ID_LENGTH)


def stable_id(secret: str, name: str, length: int) -> str:
    """Letters and digits, the same for the same name, that nobody can guess who does not know the secret."""
    number = int.from_bytes(hmac.digest(secret.encode(), name.encode(), hashlib.sha256))
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(digits)


def new_url(id: str, parameters: Mapping[str, Any], now: WallTime) -> UrlRecord:
    """Raises `InvalidParameterValue`."""
    return _changed(UrlRecord(id, parameters["AuthType"], now, now), parameters)


def with_new_url(record: FunctionRecord, key: FunctionKey, label: str, url: UrlRecord) -> FunctionRecord:
    """Raises `ResourceNotFound`, `ResourceConflict`."""
    if label != LATEST and label not in record.aliases:
        raise missing_function()
    check_shared(record.settings.tenancy, "A function URL")
    if label in record.urls:
        raise ResourceConflict(
            f"Failed to create function url config for [functionArn = {_arn(key, label)}]. "
            "Error message:  FunctionUrlConfig exists for this Lambda function"
        )
    return replace(record, urls={**record.urls, label: url})


def with_changed_url(
    record: FunctionRecord, label: str, parameters: Mapping[str, Any], now: WallTime
) -> FunctionRecord:
    """Raises `ResourceNotFound`, `InvalidParameterValue`."""
    if label != LATEST and label not in record.aliases:
        raise missing_function()
    url = replace(_changed(url_of(record, label), parameters), modified=now)
    return replace(record, urls={**record.urls, label: url})


def without_url(record: FunctionRecord, label: str) -> FunctionRecord:
    """Raises `ResourceNotFound`."""
    url_of(record, label)
    return replace(record, urls={other: url for other, url in record.urls.items() if other != label})


def url_of(record: FunctionRecord, label: str) -> UrlRecord:
    """Raises `ResourceNotFound`."""
    if label not in record.urls:
        raise ResourceNotFound("The resource you requested does not exist.")
    return record.urls[label]


def missing_function() -> ResourceNotFound:
    return ResourceNotFound("Function does not exist")


def describe_url(key: FunctionKey, label: str, url: UrlRecord) -> dict[str, Any]:
    """All of it; `FunctionUrl` is the id, of which a frontend makes the address."""
    described: dict[str, Any] = {
        "FunctionUrl": url.id,
        "FunctionArn": _arn(key, label),
        "AuthType": url.auth_type,
        "CreationTime": to_the_millisecond(url.created),
        "LastModifiedTime": to_the_millisecond(url.modified),
        "InvokeMode": url.invoke_mode or BUFFERED,
    }
    if url.cors is not None:
        described["Cors"] = msgspec.to_builtins(url.cors)
    return described


def seen_url(label: str, url: UrlRecord) -> FunctionUrl:
    """As those see it who answer there."""
    return FunctionUrl(
        id=url.id,
        qualifier=None if label == LATEST else label,
        signed=url.auth_type == SIGNED,
        streams=url.invoke_mode == STREAMED,
        cors=url.cors,
    )


def _changed(url: UrlRecord, parameters: Mapping[str, Any]) -> UrlRecord:
    cors = parameters.get("Cors")
    return replace(
        url,
        auth_type=parameters.get("AuthType", url.auth_type),
        cors=url.cors if cors is None else _cors(cors),
        invoke_mode=parameters.get("InvokeMode", url.invoke_mode),
    )


def _cors(given: Mapping[str, Any]) -> Cors | None:
    """An empty one takes away what was set: so tools remove it, and then it is not shown any more.

    Raises `InvalidParameterValue`, with a recorded text.
    """
    if not given:
        return None
    if not given.get("AllowOrigins"):
        raise InvalidParameterValue("You can't leave AllowOrigins as empty when Cors is enabled.")
    return msgspec.convert(given, Cors)


def _arn(key: FunctionKey, label: str) -> str:
    return key.arn if label == LATEST else f"{key.arn}:{label}"
