"""Aliases: what they may point to, and how they are shown."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from ondol.control.records import AliasRecord, FunctionRecord
from ondol.model.errors import InvalidParameterValue, ResourceNotFound
from ondol.model.function import LATEST, FunctionKey


def pointed(record: FunctionRecord, key: FunctionKey, alias: AliasRecord, parameters: Mapping[str, Any]) -> AliasRecord:
    """`alias` after the members that are there: FunctionVersion, Description, RoutingConfig.

    Raises `InvalidParameterValue` for routing that AWS refuses, `ResourceNotFound` for versions that are not there.
    """
    alias = replace(
        alias,
        version=parameters.get("FunctionVersion", alias.version),
        description=parameters.get("Description", alias.description),
    )
    if "RoutingConfig" in parameters:
        version, weight = _additional(parameters["RoutingConfig"])
        alias = replace(alias, additional_version=version, additional_weight=weight)
    _check_routing(alias)
    for version in filter(None, (alias.version, alias.additional_version)):
        if version != LATEST and version not in record.versions:
            raise ResourceNotFound(f"Function not found: {key.arn}:{version}")
    return alias


def describe_alias(key: FunctionKey, name: str, alias: AliasRecord) -> dict[str, Any]:
    described: dict[str, Any] = {
        "AliasArn": f"{key.arn}:{name}",
        "Name": name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision_id,
    }
    if alias.additional_version is not None:
        described["RoutingConfig"] = {"AdditionalVersionWeights": {alias.additional_version: alias.additional_weight}}
    return described


def _additional(routing: Mapping[str, Any] | None) -> tuple[str | None, float]:
    weights = (routing or {}).get("AdditionalVersionWeights") or {}
    if len(weights) > 1:
        raise InvalidParameterValue("Number of items in AdditionalVersionWeights cannot be greater than 1")
    return next(iter(weights.items()), (None, 0.0))


def _check_routing(alias: AliasRecord) -> None:
    if alias.additional_version is None:
        return
    if alias.version == LATEST:
        raise InvalidParameterValue("$LATEST is not supported for an alias pointing to more than 1 version", Type="")
    if alias.version == alias.additional_version:
        raise InvalidParameterValue(
            f"Invalid function version {alias.version}. "
            f"Function version {alias.version} is already included in routing configuration."
        )
