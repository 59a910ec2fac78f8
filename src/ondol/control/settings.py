"""From parameters to settings: what a request says is merged into what was there."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from ondol.control.checks import check_shared, check_snap_start, check_unzipped
from ondol.control.packages import NewCode, NewImage
from ondol.control.records import Settings, UsedLayer
from ondol.control.zip_checks import Package
from ondol.model.errors import InvalidParameterValue
from ondol.model.function import DurableSettings, ImageOverrides, LogSettings
from ondol.model.ids import CodeDigest
from ondol.model.limits import ENVIRONMENT_BYTES

RESERVED_VARIABLES = frozenset(
    (
        *("_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV"),
        *("AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION"),
        *("AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME"),
        *("AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
        *("AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"),
    )
)
"""Set by the platform (developer guide, "Defined runtime environment variables")."""

_UNCONFIGURABLE = (
    "Lambda was unable to configure your environment variables because the environment variables you have provided "
)
_LEVELS = ("ApplicationLogLevel", "SystemLogLevel")


def first_settings(name: str, parameters: Mapping[str, Any], code: NewCode | NewImage) -> Settings:
    """The settings of a new function. Raises `InvalidParameterValue`."""
    if isinstance(code, NewCode) and not ("Runtime" in parameters and "Handler" in parameters):
        raise InvalidParameterValue(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    without = Settings(
        runtime=parameters.get("Runtime", ""),
        handler=parameters.get("Handler", ""),
        role=parameters["Role"],
        code=CodeDigest(""),
        code_size=0,
        logs=_default_logs(name),
        tenancy=parameters.get("TenancyConfig", {}).get("TenantIsolationMode"),
    )
    config = parameters.get("DurableConfig")
    if config is not None:
        check_shared(without.tenancy, "DurableConfig")
        without = replace(without, durable=_first_durable(config))
    return merged(with_code(without, code), parameters)


def merged(settings: Settings, parameters: Mapping[str, Any]) -> Settings:
    """`settings` after every setting that the request has a member for. Raises `InvalidParameterValue`."""
    for member, change in _CHANGES.items():
        if member in parameters:
            settings = change(settings, parameters[member])
    if "LoggingConfig" in parameters:
        logs = _changed_logs(settings.logs, parameters["LoggingConfig"], parameters["FunctionName"])
        settings = replace(settings, logs=logs)
    check_snap_start(settings)
    return settings


def with_code(settings: Settings, code: NewCode | NewImage) -> Settings:
    """Raises `InvalidParameterValue` if a package is too large beside the layers."""
    return with_image(settings, code) if isinstance(code, NewImage) else with_package(settings, code.package)


def with_image(settings: Settings, code: NewImage) -> Settings:
    """The function's own ImageConfig stays."""
    before = settings.image
    image = code.image if before is None else replace(code.image, overrides=before.overrides)
    return replace(settings, code=code.digest, image=image)


def with_package(settings: Settings, package: Package) -> Settings:
    """Raises `InvalidParameterValue` if the code is too large beside the layers."""
    return _fitting(replace(settings, code=package.digest, code_size=package.size, unzipped_size=package.unzipped_size))


def with_layers(settings: Settings, layers: tuple[UsedLayer, ...]) -> Settings:
    """Raises `InvalidParameterValue` if the layers are too large beside the code."""
    return _fitting(replace(settings, layers=layers))


def _fitting(settings: Settings) -> Settings:
    check_unzipped(settings.unzipped_size + sum(layer.unzipped_size for layer in settings.layers))
    return settings


def _field(name: str) -> Callable[[Settings, Any], Settings]:
    return lambda settings, value: replace(settings, **{name: value})


def _image_config(settings: Settings, value: Mapping[str, Any]) -> Settings:
    """It is replaced as a whole; what it does not say is the image's to say again."""
    if settings.image is None:
        raise InvalidParameterValue("Please don't provide ImageConfig when the intended function PackageType is Zip.")
    overrides = ImageOverrides(
        entry_point=tuple(value.get("EntryPoint") or ()),
        command=tuple(value.get("Command") or ()),
        directory=value.get("WorkingDirectory") or "",
    )
    return replace(settings, image=replace(settings.image, overrides=overrides))


def _environment(settings: Settings, value: Mapping[str, Any]) -> Settings:
    """Without `Variables` those that were set stay: only an empty map takes them away."""
    if "Variables" not in value:
        return replace(settings, environment=settings.environment or {})
    variables = dict(value["Variables"])
    reserved = [name for name in variables if name in RESERVED_VARIABLES]
    if reserved:
        raise InvalidParameterValue(
            f"{_UNCONFIGURABLE}contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    measured = msgspec.json.encode(variables)
    if len(measured) > ENVIRONMENT_BYTES:
        raise InvalidParameterValue(f"{_UNCONFIGURABLE}exceeded the 4KB limit. String measured: {measured.decode()}")
    return replace(settings, environment=variables)


def _default_logs(function: str) -> LogSettings:
    return LogSettings(f"/aws/lambda/{function}")


def _changed_logs(before: LogSettings, value: Mapping[str, Any], function: str) -> LogSettings:
    """JSON has levels, which begin at INFO; Text has none (developer guide, "Advanced logging controls").

    A configuration that says its format is taken for whole, the group's default included; else what it does not say
    stays. So tools that reset a function's logging find it reset, which was seen on AWS.
    """
    if "LogFormat" in value:
        before = _default_logs(function)
    group = value.get("LogGroup", before.group)
    if value.get("LogFormat", before.format) == "JSON":
        application = value.get("ApplicationLogLevel", before.application_level or "INFO")
        system = value.get("SystemLogLevel", before.system_level or "INFO")
        return LogSettings(group, "JSON", application, system)
    if any(level in value for level in _LEVELS):
        raise InvalidParameterValue(f"{' and '.join(_LEVELS)} can be set only when LogFormat is JSON.")
    return LogSettings(group)


def _first_durable(config: Mapping[str, Any]) -> DurableSettings:
    if "ExecutionTimeout" not in config:
        raise InvalidParameterValue("ExecutionTimeout is required in DurableConfig.")
    return _merged_durable(DurableSettings(config["ExecutionTimeout"]), config)


def _durable(settings: Settings, config: Mapping[str, Any]) -> Settings:
    """Source: developer guide, "Configure Lambda durable functions": a function is durable from the first, or never."""
    if settings.durable is None:
        raise InvalidParameterValue("DurableConfig cannot be set for a function that was created without it.")
    return replace(settings, durable=_merged_durable(settings.durable, config))


def _merged_durable(durable: DurableSettings, config: Mapping[str, Any]) -> DurableSettings:
    return DurableSettings(
        config.get("ExecutionTimeout", durable.timeout_s),
        config.get("RetentionPeriodInDays", durable.retention_days),
        config.get("KMSKeyArn", durable.kms_key) or None,
    )


_CHANGES: dict[str, Callable[[Settings, Any], Settings]] = {
    "Runtime": _field("runtime"),
    "Handler": _field("handler"),
    "Role": _field("role"),
    "Description": _field("description"),
    "Timeout": _field("timeout_s"),
    "MemorySize": _field("memory_mb"),
    "EphemeralStorage": lambda settings, value: replace(settings, tmp_mb=value["Size"]),
    "Environment": _environment,
    "ImageConfig": _image_config,
    "Architectures": lambda settings, value: replace(settings, architecture=value[0]),
    "TracingConfig": lambda settings, value: replace(settings, tracing=value.get("Mode", settings.tracing)),
    "KMSKeyArn": lambda settings, value: replace(settings, kms_key=value or None),
    "DurableConfig": _durable,
    "DeadLetterConfig": lambda settings, value: replace(settings, dead_letter=value.get("TargetArn") or None),
    "SnapStart": lambda settings, value: replace(settings, snap_start=value.get("ApplyOn", settings.snap_start)),
    "VpcConfig": lambda settings, _: replace(settings, emptied_vpc=True),
}
