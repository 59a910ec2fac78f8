"""Provisioned concurrency: what may have it, and what it comes to for each version.

A configuration belongs to a version or to an alias. What an alias has goes to the version that it leads to. When it is
led to another one, its traffic stays where it is, by a weight of 1 (`AliasRecord.moving`), until as many environments
of the new version are ready: so AWS does it. An alias whose weights somebody has set shares by these.

Source: developer guide, "Configuring provisioned concurrency for a function"; texts are recorded answers of AWS's.
"""

from msgspec.structs import replace

from ondol.control.checks import check_shared
from ondol.control.records import AliasRecord, FunctionRecord, ProvisionedRecord
from ondol.model.errors import (
    InvalidParameterValue,
    ProvisionedConcurrencyConfigNotFound,
    ResourceConflict,
    ResourceNotFound,
)
from ondol.model.function import LATEST, FunctionKey
from ondol.model.limits import MINIMUM_UNRESERVED
from ondol.model.time import WallTime

_ON_UNPUBLISHED = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
_VERSION_TAKEN = "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"


# Which name


def require_label(key: FunctionKey, record: FunctionRecord | None, qualifier: str, text: str) -> str:
    """The version or alias that has the configuration. Raises `InvalidParameterValue` (`text` for `$LATEST`, which is
    told before anything is looked up) and `ResourceNotFound`."""
    if qualifier == LATEST:
        raise InvalidParameterValue(text)
    if qualifier.isdecimal():
        if record is None or qualifier not in record.versions:
            raise ResourceNotFound(f"Function not found: {key.arn}:{qualifier}")
    elif record is None or qualifier not in record.aliases:
        raise ResourceNotFound(f"Cannot find alias arn: {key.arn}:{qualifier}")
    return qualifier


NOT_ON_LATEST = "The function resource provided must be an alias or a published version."
"""Of reading and deleting; of writing it is another text."""


def config_of(record: FunctionRecord, label: str) -> ProvisionedRecord:
    """Raises `ProvisionedConcurrencyConfigNotFound`."""
    if label not in record.provisioned:
        raise ProvisionedConcurrencyConfigNotFound("No Provisioned Concurrency Config found for this function")
    return record.provisioned[label]


# Changes


def with_config(
    record: FunctionRecord | None, key: FunctionKey, qualifier: str, config: ProvisionedRecord, unclaimed: int
) -> FunctionRecord:
    """`unclaimed` is what no function of the account has for itself.

    Raises `InvalidParameterValue`, `ResourceConflict`, `ResourceNotFound`.
    """
    label = require_label(key, record, qualifier, _ON_UNPUBLISHED)
    assert record is not None
    check_shared(record.settings.tenancy, "Provisioned concurrency")
    _require_free(record, label)
    before = record.provisioned.get(label)
    others = provisioned_total(record) - (before.n if before is not None else 0)
    n = config.n
    if record.reserved_concurrency is not None:
        if others + n > record.reserved_concurrency:
            raise InvalidParameterValue(
                "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for "
                "function"
            )
    elif before is None or n > before.n:
        _require_unreserved(n, unclaimed + claim(record) - others)
    return replace(record, provisioned={**record.provisioned, label: config})


def without_config(record: FunctionRecord, label: str) -> FunctionRecord:
    """Without the configuration of this version or alias, if it has one; an alias that was being led elsewhere
    is there now."""
    aliases = record.aliases
    if label in aliases and aliases[label].moving:
        aliases = {**aliases, label: arrived(aliases[label])}
    left = {other: config for other, config in record.provisioned.items() if other != label}
    return replace(record, provisioned=left, aliases=aliases)


def led(record: FunctionRecord, name: str, before: AliasRecord, after: AliasRecord, weighted: bool) -> AliasRecord:
    """An alias as it is stored when it is to be `after`; `weighted`: the request says itself where its traffic goes.

    Raises `InvalidParameterValue`, `ResourceConflict`.
    """
    if name not in record.provisioned:
        return after
    serving = before.additional_version if before.moving else before.version
    if not weighted and (before.moving or before.additional_version is None):
        after = arrived(after)
        if after.version != serving:
            after = replace(after, additional_version=serving, additional_weight=1.0, moving=True)
    else:
        after = replace(after, moving=False)
    _require_unshared(replace(record, aliases={**record.aliases, name: after}), name, _versions_of(after))
    return after


def arrived(alias: AliasRecord) -> AliasRecord:
    """It leads to its version, and nowhere else."""
    return replace(alias, additional_version=None, additional_weight=0.0, moving=False)


# What it comes to


def claim(record: FunctionRecord) -> int:
    """What a function takes of its account's concurrency."""
    total = provisioned_total(record)
    return total if record.reserved_concurrency is None else record.reserved_concurrency


def provisioned_total(record: FunctionRecord) -> int:
    return sum(config.n for config in record.provisioned.values())


def permits(record: FunctionRecord) -> dict[str, int]:
    """How many invocations each version may run of its own, by its number."""
    versions: dict[str, int] = {}
    for label, config in record.provisioned.items():
        alias = record.aliases.get(label)
        shares = {label: config.n} if alias is None else _shares(alias, config.n)
        for version, n in shares.items():
            versions[version] = versions.get(version, 0) + n
    return {version: n for version, n in versions.items() if n}


def environments(record: FunctionRecord) -> dict[str, tuple[int, WallTime]]:
    """How many environments of each version, by its number, are to be ready, and when that was asked for.

    While an alias is led to another version there are all of the old one and all of the new one.
    """
    wanted: dict[str, tuple[int, WallTime]] = {}
    for label, config in record.provisioned.items():
        alias = record.aliases.get(label)
        shares = {label: config.n} if alias is None else _shares(alias, config.n)
        if alias is not None and alias.moving:
            shares[alias.version] = config.n
        for version, n in shares.items():
            if n:
                wanted[version] = (n, config.last_modified)
    return wanted


def moving(record: FunctionRecord) -> list[str]:
    """The aliases whose traffic waits for another version to be ready."""
    return [name for name, alias in record.aliases.items() if alias.moving]


def watched(record: FunctionRecord, label: str) -> tuple[str, ...]:
    """The versions whose environments tell how far the configuration of `label` has come."""
    alias = record.aliases.get(label)
    if alias is None:
        return (label,)
    if alias.moving:
        return (alias.version,)
    return tuple(version for version, n in _shares(alias, record.provisioned[label].n).items() if n)


# Inside


def _shares(alias: AliasRecord, n: int) -> dict[str, int]:
    """By version, how its traffic goes now."""
    if alias.additional_version is None:
        return {alias.version: n}
    additional = int(n * alias.additional_weight + 0.5)
    return {alias.additional_version: additional, alias.version: n - additional}


def _versions_of(alias: AliasRecord) -> set[str]:
    return {alias.version} | ({alias.additional_version} if alias.additional_version is not None else set())


def _require_free(record: FunctionRecord, label: str) -> None:
    """A version has one configuration: its own, or that of an alias that leads to it."""
    alias = record.aliases.get(label)
    if alias is None:
        for name in record.provisioned.keys() & record.aliases.keys():
            if label in _versions_of(record.aliases[name]):
                raise ResourceConflict("Version is pointed by a Provisioned Concurrency alias")
        return
    if alias.additional_version is not None:
        raise InvalidParameterValue("Alias with weights can not be used with Provisioned Concurrency")
    _require_unshared(record, label, _versions_of(alias))


def _require_unshared(record: FunctionRecord, name: str, versions: set[str]) -> None:
    if LATEST in versions:
        raise InvalidParameterValue(_ON_UNPUBLISHED)
    for other in record.provisioned.keys() - {name}:
        taken = _versions_of(record.aliases[other]) if other in record.aliases else {other}
        if taken & versions:
            raise ResourceConflict(_VERSION_TAKEN)


def _require_unreserved(n: int, unreserved: int) -> None:
    if n > unreserved:
        raise InvalidParameterValue(
            f"Specified ConcurrentExecutions for function is greater than account's unreserved concurrency "
            f"[{unreserved}].",
            Type="",
        )
    if unreserved - n < MINIMUM_UNRESERVED:
        raise InvalidParameterValue(
            "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
            f"minimum value of [{MINIMUM_UNRESERVED}].",
            Type="",
        )
