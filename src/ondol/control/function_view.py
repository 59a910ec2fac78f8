"""What those who run a function see of it, made from what is stored."""

from ondol.control.catalog import Stored
from ondol.control.event_invokes import settings_of
from ondol.control.machine import Stage
from ondol.control.provisioned import permits
from ondol.control.records import AliasRecord, FunctionRecord, PublishedVersion, Running, Settings
from ondol.control.urls import seen_url
from ondol.model.function import LATEST, Alias, FunctionKey, FunctionVersion, FunctionView, VersionState
from ondol.model.ids import VersionId
from ondol.model.policy import parse_policy

_FAILED = frozenset({Stage.FAILED, Stage.REPAIRING})
_PENDING = frozenset({Stage.CREATING})


def view_of(key: FunctionKey, stored: Stored, nearest_runtime: bool) -> FunctionView:
    """The function as it runs now."""
    record = stored.record
    versions = {LATEST: _latest(key, record, nearest_runtime)}
    for number, published in record.versions.items():
        settings = stored.version(number).settings
        versions[number] = _published(key, number, published, settings, nearest_runtime)
    return FunctionView(
        key=key,
        revision=stored.revision,
        versions=versions,
        aliases={name: _alias(name, alias) for name, alias in record.aliases.items()},
        reserved_concurrency=record.reserved_concurrency,
        provisioned=permits(record),
        policies={label: parse_policy(document) for label, document in record.policies.items()},
        urls=tuple(seen_url(label, url) for label, url in record.urls.items()),
        may_loop=record.recursive_loop == "Allow",
        event_settings={qualifier: settings_of(invoke) for qualifier, invoke in record.event_invokes.items()},
    )


def _latest(key: FunctionKey, record: FunctionRecord, nearest_runtime: bool) -> FunctionVersion:
    running = record.running
    if running is not None:
        return _version(key, LATEST, running, VersionState.ACTIVE, nearest_runtime)
    state = VersionState.FAILED if record.stage in _FAILED else VersionState.PENDING
    return _version(key, LATEST, Running(record.settings, record.revision_id), state, nearest_runtime)


def _published(
    key: FunctionKey, number: str, published: PublishedVersion, settings: Settings, nearest_runtime: bool
) -> FunctionVersion:
    state = VersionState.ACTIVE
    if published.stage in _FAILED:
        state = VersionState.FAILED
    elif published.stage in _PENDING:
        state = VersionState.PENDING
    return _version(key, number, Running(settings, published.publication), state, nearest_runtime)


def _version(
    key: FunctionKey, version: str, running: Running, state: VersionState, nearest_runtime: bool
) -> FunctionVersion:
    settings = running.settings
    return FunctionVersion(
        id=VersionId(f"{key.account}/{key.region}/{key.name}/{version}/{running.revision}"),
        function=key,
        version=version,
        runtime=settings.runtime,
        handler=settings.handler,
        code=settings.code,
        role=settings.role,
        memory_mb=settings.memory_mb,
        timeout_s=settings.timeout_s,
        tmp_mb=settings.tmp_mb,
        environment=settings.environment or {},
        logs=settings.logs,
        state=state,
        layers=settings.layer_packages(),
        traced=settings.tracing == "Active",
        nearest_runtime=nearest_runtime,
        dead_letter=settings.dead_letter,
        image=settings.image,
        per_tenant=settings.tenancy is not None,
        durable=settings.durable,
    )


def _alias(name: str, alias: AliasRecord) -> Alias:
    return Alias(name, alias.version, alias.additional_version, alias.additional_weight)
