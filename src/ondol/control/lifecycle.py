"""How a function record changes as it is created, updated and settled. Pure: ids and time are given.

A label is `$LATEST` or the number of a published version; each has a stage of its own.
"""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from ondol.control.machine import AWAITING_ADOPTION, AWAITING_CODE, SETTLED, Event, Stage, step
from ondol.control.records import FunctionRecord, PublishedVersion, Reason, Running, Settings
from ondol.model.errors import PreconditionFailed, ResourceConflict
from ondol.model.function import LATEST, FunctionKey
from ondol.model.time import WallTime

NewId = Callable[[], str]
"""Makes a fresh identifier, unlike any before."""

Verdicts = Mapping[str, Reason | None]
"""By label: None where the code is ready, or why it cannot be."""

_NOT_IN_STATE = "The operation cannot be performed at this time. The function is currently in the following state: {}"
_STALE_REVISION = (
    "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve "
    "the latest Revision Id"
)


def created(settings: Settings, now: WallTime, new_id: NewId, tags: dict[str, str]) -> FunctionRecord:
    return FunctionRecord(
        incarnation=new_id(),
        settings=settings,
        stage=Stage.CREATING,
        revision_id=new_id(),
        last_modified=now,
        tags=tags,
    )


def require_idle(record: FunctionRecord, key: FunctionKey) -> None:
    """Updates and publications wait for the one before them. Raises `ResourceConflict`."""
    if record.stage in (Stage.CREATING, Stage.OPENING):
        raise ResourceConflict(_NOT_IN_STATE.format("Pending"))
    if record.stage not in SETTLED:
        raise ResourceConflict(
            f"The operation cannot be performed at this time. An update is in progress for resource: {key.arn}"
        )


def require_publishable(record: FunctionRecord, key: FunctionKey) -> None:
    """What never was ready is not published. Raises `ResourceConflict`."""
    require_idle(record, key)
    if record.stage is Stage.FAILED:
        raise ResourceConflict(_NOT_IN_STATE.format("Failed"))


def require_revision(current: str, wanted: str | None) -> None:
    """Raises `PreconditionFailed` if the caller decided by an older state."""
    if wanted is not None and wanted != current:
        raise PreconditionFailed(_STALE_REVISION)


def updated(record: FunctionRecord, settings: Settings, now: WallTime, new_id: NewId) -> FunctionRecord:
    """The record once an update was accepted; what runs stays what it was."""
    return replace(
        record,
        settings=settings,
        stage=step(record.stage, Event.UPDATED),
        reason=record.reason if record.stage is Stage.FAILED else None,
        revision_id=new_id(),
        last_modified=now,
    )


def awaiting_code(record: FunctionRecord) -> list[str]:
    """The labels whose code must be made ready."""
    return [label for label, stage in _stages(record) if stage in AWAITING_CODE]


def awaiting_adoption(record: FunctionRecord) -> bool:
    """Whether something runs that not every holder knows of."""
    return any(stage in AWAITING_ADOPTION for _, stage in _stages(record))


def prepared(record: FunctionRecord, verdicts: Verdicts, new_id: NewId) -> FunctionRecord:
    """What the workers said of the code. What is ready runs from here on; what was refused is settled."""
    versions = {
        number: _version_prepared(version, verdicts[number], new_id)
        if number in verdicts and version.stage in AWAITING_CODE
        else version
        for number, version in record.versions.items()
    }
    record = replace(record, versions=versions)
    if LATEST not in verdicts or record.stage not in AWAITING_CODE:
        return record
    reason = verdicts[LATEST]
    if reason is not None:
        return replace(record, stage=step(record.stage, Event.REFUSED), reason=reason, revision_id=new_id())
    return replace(record, stage=step(record.stage, Event.PREPARED), reason=None, running=_running(record))


def adopted(record: FunctionRecord, new_id: NewId) -> FunctionRecord:
    """Every holder decides by the new view, or may not decide any more."""
    versions = {
        number: replace(version, stage=step(version.stage, Event.ADOPTED), revision_id=new_id())
        if version.stage in AWAITING_ADOPTION
        else version
        for number, version in record.versions.items()
    }
    record = replace(record, versions=versions)
    if record.stage not in AWAITING_ADOPTION:
        return record
    return replace(record, stage=step(record.stage, Event.ADOPTED), revision_id=new_id())


def _stages(record: FunctionRecord) -> list[tuple[str, Stage]]:
    return [(LATEST, record.stage), *((number, version.stage) for number, version in record.versions.items())]


def _version_prepared(version: PublishedVersion, reason: Reason | None, new_id: NewId) -> PublishedVersion:
    if reason is None:
        return replace(version, stage=step(version.stage, Event.PREPARED))
    return replace(version, stage=step(version.stage, Event.REFUSED), reason=reason, revision_id=new_id())


def _running(record: FunctionRecord) -> Running:
    """Environments outlive an update that they cannot notice."""
    before = record.running
    if before is not None and before.settings.execution() == record.settings.execution():
        return Running(record.settings, before.revision)
    return Running(record.settings, record.revision_id)
