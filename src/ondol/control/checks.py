"""What an account may have, and what a request must bring. Texts are AWS's."""

from collections.abc import Mapping
from typing import Any

from ondol.control.records import Settings
from ondol.model.errors import CodeStorageExceeded, InvalidParameterValue
from ondol.model.limits import MINIMUM_UNRESERVED, UNZIPPED_BYTES, AccountLimits

TAGS = 50
SNAP_START_RUNTIMES = frozenset(
    (
        *("java11", "java17", "java21", "java25", "python3.12", "python3.13", "python3.14"),
        *("dotnet8", "dotnet10"),
    )
)
"""Java from 11, Python from 3.12, .NET from 8 (developer guide, "Lambda SnapStart")."""

CODE_STORAGE_BYTES = 75 * (1 << 30)
"""For all packages of an account in a region together (developer guide, "Lambda quotas")."""


def check_source(code: Mapping[str, Any], image: bool = False) -> None:
    """A package comes with the request or from elsewhere; an image is named. Raises `InvalidParameterValue`."""
    elsewhere = any(code.get(member) for member in ("S3Bucket", "S3Key", "S3ObjectVersion", "ImageUri"))
    named = code.get("ImageUri") if image else code.get("S3Bucket") and code.get("S3Key")
    if not ("ZipFile" in code or named):
        raise InvalidParameterValue("Please provide a source for function code.")
    if "ZipFile" in code and elsewhere:
        raise InvalidParameterValue("Please do not provide other FunctionCode parameters when providing a ZipFile.")


def check_kind(code: Mapping[str, Any], image: bool, doing: str) -> None:
    """Code is of the kind that its function is of. `doing` is what is done, for the text.

    Raises `InvalidParameterValue`.
    """
    if image and (not code.get("ImageUri") or "ZipFile" in code or code.get("S3Bucket")):
        raise InvalidParameterValue(f"Please provide ImageUri when {doing} a function with packageType Image.")
    if not image and code.get("ImageUri"):
        raise InvalidParameterValue(f"Please don't provide ImageUri when {doing} a function with packageType Zip.")


def check_image_parameters(parameters: Mapping[str, Any]) -> None:
    """What a function whose code is an image cannot have. Raises `InvalidParameterValue`."""
    if "Runtime" in parameters or "Handler" in parameters:
        raise InvalidParameterValue(
            "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."
        )
    if parameters.get("Layers"):
        raise InvalidParameterValue("Lambda layers are not supported for functions created with container images.")
    if parameters.get("CodeSigningConfigArn"):
        raise InvalidParameterValue("Code signing is not supported for functions created with container images.")


def check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > TAGS:
        raise InvalidParameterValue("Number of tags exceeds resource tag limit.")


def check_shared(tenancy: str | None, feature: str) -> None:
    """Raises `InvalidParameterValue` for what goes not with environments of one tenant each (developer guide, "Tenant
    isolation", limitations; the text is not AWS's own)."""
    if tenancy is not None:
        raise InvalidParameterValue(f"{feature} is not supported for functions enabled with tenancy configuration.")


def check_snap_start(settings: Settings) -> None:
    """Raises `InvalidParameterValue` if SnapStart is wanted of a runtime that has none on AWS."""
    if settings.snap_start == "None":
        return
    check_shared(settings.tenancy, "SnapStart")
    if settings.runtime not in SNAP_START_RUNTIMES:
        what = settings.runtime or "A container image"
        raise InvalidParameterValue(f"{what} is not supported for SnapStart enabled functions.")


def check_storage(stored: int, added: int) -> None:
    """Bytes that an account has stored, and that are to be added. Raises `CodeStorageExceeded`."""
    if stored + added > CODE_STORAGE_BYTES:
        raise CodeStorageExceeded("Code storage limit exceeded.")


def check_unzipped(size: int) -> None:
    """Unzipped bytes of a function's code and its layers together. Raises `InvalidParameterValue`."""
    if size > UNZIPPED_BYTES:
        raise InvalidParameterValue(
            f"Function code combined with layers exceeds the maximum allowed size of {UNZIPPED_BYTES} bytes. "
            f"The actual size is {size} bytes."
        )


def check_reservation(limits: AccountLimits, claimed: int, before: int, provisioned: int, wanted: int) -> None:
    """`claimed` by all functions together, of which `before` by the one that wants another amount, and has so much
    provisioned.

    What takes nothing from the others is allowed even where they have too little already.
    Raises `InvalidParameterValue`.
    """
    if wanted < provisioned:
        raise InvalidParameterValue(
            f" ReservedConcurrentExecutions  {wanted} should not be lower than function's total provisioned "
            f"concurrency [{provisioned}].",
            Type="",
        )
    unreserved = limits.concurrency - (claimed - before + wanted)
    if wanted > before and unreserved < MINIMUM_UNRESERVED:
        raise InvalidParameterValue(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
            f"below its minimum value of [{MINIMUM_UNRESERVED}].",
            Type="",
        )
