"""How a layer version is shown: what is not set is absent rather than empty."""

from collections.abc import Mapping
from typing import Any

from ondol.control.configuration import shown_time
from ondol.control.layers import LayerKey, LayerVersionRecord
from ondol.control.zip_checks import shown_sha256


def describe_layer_version(key: LayerKey, number: int, record: LayerVersionRecord) -> dict[str, Any]:
    """As lists show it."""
    described: dict[str, Any] = {
        "LayerVersionArn": key.version_arn(number),
        "Version": number,
        "Description": record.description,
        "CreatedDate": shown_time(record.created),
    }
    if record.runtimes is not None:
        described["CompatibleRuntimes"] = list(record.runtimes)
    if record.architectures is not None:
        described["CompatibleArchitectures"] = list(record.architectures)
    if record.license is not None:
        described["LicenseInfo"] = record.license
    return described


def describe_with_content(key: LayerKey, number: int, record: LayerVersionRecord) -> dict[str, Any]:
    """As it is shown alone. Of its `Content`, `Location` is the package's digest."""
    content = {"Location": record.code, "CodeSha256": shown_sha256(record.code), "CodeSize": record.code_size}
    return {**describe_layer_version(key, number, record), "LayerArn": key.arn, "Content": content}


def is_compatible(record: LayerVersionRecord, parameters: Mapping[str, Any]) -> bool:
    """Whether a version names the runtime and the architecture that a list is asked for."""
    runtime, architecture = parameters.get("CompatibleRuntime"), parameters.get("CompatibleArchitecture")
    return (runtime is None or runtime in (record.runtimes or ())) and (
        architecture is None or architecture in (record.architectures or ())
    )
