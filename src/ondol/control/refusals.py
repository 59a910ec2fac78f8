"""What AWS lets a function have and ondol does not have yet. It is refused by name, never stored and forgotten."""

from collections.abc import Callable, Mapping
from typing import Any

from ondol.model.errors import InvalidParameterValue

HOT_RELOAD = "hot-reload"
"""As a bucket: the key is a directory of this machine, by the convention of local AWS tools."""


def _given(value: Any) -> bool:
    return bool(value)


def _has_members(value: Mapping[str, Any]) -> bool:
    return any(value.get(name) for name in ("SubnetIds", "SecurityGroupIds"))


_UNSERVED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "S3ObjectStorageMode": (lambda value: value == "REFERENCE", "code that stays in S3"),
    "SourceKMSKeyArn": (_given, "encrypted packages"),
    "VpcConfig": (_has_members, "VPC access"),
    "FileSystemConfigs": (_given, "file systems"),
    "CapacityProviderConfig": (_given, "capacity providers"),
    "PublishTo": (_given, "capacity providers"),
    "RuntimeConfig": (_given, "runtimes that a customer manages"),
    "AcceleratorConfig": (_given, "accelerators"),
}


UNSERVED_SETTINGS = {member: feature for member, (_, feature) in _UNSERVED.items()}
"""What ondol lacks for each setting that it refuses."""


def is_folder(code: Mapping[str, Any]) -> bool:
    """Whether a function's code is to be a directory of this machine."""
    return bool(code.get("S3Bucket") == HOT_RELOAD and code.get("S3Key"))


def refuse_unserved(parameters: Mapping[str, Any]) -> None:
    """Raises `InvalidParameterValue` for the first setting, at the top or in `Code`, that would do nothing."""
    given = {**parameters, **parameters.get("Code", {})}
    for member, (asked_for, feature) in _UNSERVED.items():
        if member in given and asked_for(given[member]):
            raise InvalidParameterValue(f"{member} cannot be set: ondol does not have {feature} yet.")
