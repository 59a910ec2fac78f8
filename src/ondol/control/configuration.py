"""How a function is shown: AWS's FunctionConfiguration, in which what is not set is absent rather than empty."""

from datetime import UTC, datetime, timedelta
from typing import Any

from ondol.control.machine import Stage
from ondol.control.records import FunctionRecord, PublishedVersion, Reason, Settings, VersionRecord
from ondol.control.zip_checks import shown_sha256
from ondol.model.arn import runtime_version_arn
from ondol.model.function import LATEST, DurableSettings, FunctionImage, FunctionKey, LogSettings
from ondol.model.time import WallTime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BEING_CREATED = Reason("Creating", "The function is being created.")

_STATE = {
    Stage.CREATING: "Pending",
    Stage.OPENING: "Pending",
    Stage.FAILED: "Failed",
    Stage.REPAIRING: "Failed",
}
_LAST_UPDATE = {
    Stage.READY: "Successful",
    Stage.UPDATING: "InProgress",
    Stage.HANDING_OVER: "InProgress",
    Stage.UPDATE_FAILED: "Failed",
    Stage.FAILED: "Failed",
    Stage.REPAIRING: "InProgress",
}
_NOT_LISTED = frozenset(
    (
        *("State", "StateReason", "StateReasonCode", "RuntimeVersionConfig"),
        *("LastUpdateStatus", "LastUpdateStatusReason", "LastUpdateStatusReasonCode"),
    )
)


def describe_latest(key: FunctionKey, record: FunctionRecord, qualifier: str | None = None) -> dict[str, Any]:
    """`$LATEST`, under the name that was asked for."""
    return {
        **_describe_settings(key, record.settings),
        **_describe_stage(record.stage, record.reason),
        "FunctionArn": key.arn if qualifier is None else f"{key.arn}:{qualifier}",
        "Version": LATEST,
        "RevisionId": record.revision_id,
        "LastModified": shown_time(record.last_modified),
    }


def describe_version(
    key: FunctionKey, number: str, published: PublishedVersion, version: VersionRecord, qualifier: str | None
) -> dict[str, Any]:
    """A published version, under the name that was asked for: its number or an alias."""
    return {
        **_describe_settings(key, version.settings),
        **_describe_stage(published.stage, published.reason),
        "Description": version.description,
        "FunctionArn": key.arn if qualifier is None else f"{key.arn}:{qualifier}",
        "Version": number,
        "RevisionId": published.revision_id,
        "LastModified": shown_time(version.last_modified),
    }


def listed(configuration: dict[str, Any]) -> dict[str, Any]:
    """What a list shows of a configuration."""
    return {member: value for member, value in configuration.items() if member not in _NOT_LISTED}


def shown_time(time: WallTime) -> str:
    """As functions show it, in milliseconds; other resources do otherwise."""
    moment = _EPOCH + timedelta(milliseconds=time)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time % 1000:03d}+0000"


def describe_code(settings: Settings) -> dict[str, Any]:
    """AWS's FunctionCodeLocation; the `Location` of a package is its digest."""
    image = settings.image
    if image is None:
        return {"RepositoryType": "S3", "Location": settings.code}
    return {"RepositoryType": "ECR", "ImageUri": image.uri, "ResolvedImageUri": image.resolved_uri}


def shown_digest(settings: Settings) -> str:
    """`CodeSha256`: of an image in hexadecimal."""
    return settings.code if settings.image is not None else shown_sha256(settings.code)


def _describe_settings(key: FunctionKey, settings: Settings) -> dict[str, Any]:
    described: dict[str, Any] = {
        "FunctionName": key.name,
        "Role": settings.role,
        "CodeSize": settings.code_size,
        "CodeSha256": shown_digest(settings),
        "Description": settings.description,
        "Timeout": settings.timeout_s,
        "MemorySize": settings.memory_mb,
        "EphemeralStorage": {"Size": settings.tmp_mb},
        "Architectures": [settings.architecture],
        "TracingConfig": {"Mode": settings.tracing},
        "SnapStart": {"ApplyOn": settings.snap_start, "OptimizationStatus": "Off"},
        "LoggingConfig": _describe_logs(settings.logs),
        **(_describe_runtime(key, settings) if settings.image is None else _describe_image(settings.image)),
    }
    if settings.environment is not None:
        described["Environment"] = {"Variables": dict(settings.environment)}
    if settings.layers:
        described["Layers"] = [{"Arn": layer.arn, "CodeSize": layer.code_size} for layer in settings.layers]
    if settings.kms_key is not None:
        described["KMSKeyArn"] = settings.kms_key
    if settings.dead_letter is not None:
        described["DeadLetterConfig"] = {"TargetArn": settings.dead_letter}
    if settings.tenancy is not None:
        described["TenancyConfig"] = {"TenantIsolationMode": settings.tenancy}
    if settings.durable is not None:
        described["DurableConfig"] = _describe_durable(settings.durable)
    if settings.emptied_vpc:
        described["VpcConfig"] = {
            "SubnetIds": [],
            "SecurityGroupIds": [],
            "VpcId": "",
            "Ipv6AllowedForDualStack": False,
        }
    return described


def _describe_runtime(key: FunctionKey, settings: Settings) -> dict[str, Any]:
    return {
        "PackageType": "Zip",
        "Runtime": settings.runtime,
        "Handler": settings.handler,
        "RuntimeVersionConfig": {"RuntimeVersionArn": runtime_version_arn(settings.runtime, key.region)},
    }


def _describe_image(image: FunctionImage) -> dict[str, Any]:
    overrides = image.overrides
    members = {
        "EntryPoint": list(overrides.entry_point),
        "Command": list(overrides.command),
        "WorkingDirectory": overrides.directory,
    }
    config = {member: value for member, value in members.items() if value}
    return {"PackageType": "Image"} | ({"ImageConfigResponse": {"ImageConfig": config}} if config else {})


def _describe_durable(durable: DurableSettings) -> dict[str, Any]:
    described: dict[str, Any] = {
        "ExecutionTimeout": durable.timeout_s,
        "RetentionPeriodInDays": durable.retention_days,
    }
    if durable.kms_key is not None:
        described["KMSKeyArn"] = durable.kms_key
    return described


def _describe_logs(logs: LogSettings) -> dict[str, str]:
    described = {"LogFormat": logs.format, "LogGroup": logs.group}
    if logs.application_level is not None:
        described["ApplicationLogLevel"] = logs.application_level
    if logs.system_level is not None:
        described["SystemLogLevel"] = logs.system_level
    return described


def _describe_stage(stage: Stage, reason: Reason | None) -> dict[str, str]:
    """A state or status that is not the good one says why."""
    described = {"State": _STATE.get(stage, "Active")}
    if described["State"] != "Active":
        described |= _because("StateReason", reason)
    if stage in _LAST_UPDATE:
        described["LastUpdateStatus"] = _LAST_UPDATE[stage]
    if described.get("LastUpdateStatus") == "InProgress":
        described |= _because("LastUpdateStatusReason", None)
    elif described.get("LastUpdateStatus") == "Failed":
        described |= _because("LastUpdateStatusReason", reason)
    return described


def _because(member: str, reason: Reason | None) -> dict[str, str]:
    reason = reason or _BEING_CREATED
    return {member: reason.text, f"{member}Code": reason.code}
