"""Publishing and deleting versions. Numbers are never used twice, not even after a version was deleted."""

from msgspec.structs import replace

from ondol.control.lifecycle import NewId
from ondol.control.machine import Stage
from ondol.control.permissions import without_policy
from ondol.control.records import Edit, FunctionRecord, PublishedVersion, VersionRecord
from ondol.model.errors import InvalidParameterValue, ResourceConflict


def last_number(record: FunctionRecord) -> str | None:
    """The latest version that was published, if it still exists."""
    number = str(record.next_version - 1)
    return number if number in record.versions else None


def require_code(shown: str, wanted: str | None) -> None:
    """Raises `InvalidParameterValue` if the caller means other code than `$LATEST` has."""
    if wanted is not None and wanted != shown:
        raise InvalidParameterValue(
            f"CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST ({shown}). "
            "Please try again with the CodeSHA256 in $LATEST."
        )


def published(record: FunctionRecord, last: VersionRecord | None, description: str | None, new_id: NewId) -> Edit:
    """Freeze `$LATEST` as a new version, which is then the last. `last` is the record that belongs to `last_number`.

    Nothing is published where nothing has changed since (developer guide, "Manage Lambda function versions"); the
    description given with the publication does not count as a change. Where one is published, `$LATEST` has another
    revision from then on, as was recorded of AWS.
    """
    settings = record.settings
    if last is not None and last.settings == settings:
        return Edit(record)
    number = str(record.next_version)
    version = PublishedVersion(
        publication=new_id(),
        revision_id=new_id(),
        code=settings.code,
        code_size=settings.code_size,
        stage=Stage.READY if record.stage is Stage.READY else Stage.CREATING,
        layers=settings.layer_packages(),
    )
    frozen = VersionRecord(settings, settings.description if description is None else description, record.last_modified)
    record = replace(
        record,
        revision_id=new_id(),
        next_version=record.next_version + 1,
        versions={**record.versions, number: version},
    )
    return Edit(record, (number, frozen))


def without(record: FunctionRecord, number: str) -> FunctionRecord:
    """The record without a version. Raises `ResourceConflict` while an alias leads to it."""
    aliases = [name for name, alias in record.aliases.items() if number in (alias.version, alias.additional_version)]
    if aliases:
        names = ", ".join(sorted(aliases))
        raise ResourceConflict(f"Unable to delete version because the following aliases reference it: [{names}]")
    return replace(
        record,
        versions={n: version for n, version in record.versions.items() if n != number},
        policies=without_policy(record.policies, number),
        provisioned={n: config for n, config in record.provisioned.items() if n != number},
        runtime_updates={label: mode for label, mode in record.runtime_updates.items() if label != number},
        event_invokes={n: invoke for n, invoke in record.event_invokes.items() if n != number},
    )
