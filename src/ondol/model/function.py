"""Functions as the invoke path sees them: what runs, under which limits, behind which name."""

from collections.abc import Mapping
from enum import Enum

import msgspec

from ondol.model.arn import FunctionArn
from ondol.model.function_url import FunctionUrl
from ondol.model.ids import AccountId, CodeDigest, Region, VersionId
from ondol.model.policy import Policy, Principal, allows

LATEST = "$LATEST"
"""The qualifier of the unpublished version."""


class FunctionKey(msgspec.Struct, frozen=True, gc=False, order=True):
    """Which function: its account, region and name."""

    account: AccountId
    region: Region
    name: str

    @property
    def arn(self) -> str:
        """The unqualified ARN."""
        return str(FunctionArn(self.region, self.account, self.name))


class VersionState(Enum):
    """As `State` of a function configuration on AWS."""

    PENDING = "Pending"
    ACTIVE = "Active"
    FAILED = "Failed"


class LogSettings(msgspec.Struct, frozen=True, gc=False):
    """As `LoggingConfig` on AWS; the two levels are there in JSON format only."""

    group: str
    format: str = "Text"
    application_level: str | None = None
    system_level: str | None = None


class EventSettings(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What becomes of an asynchronous event in the end, and how often it is tried (AWS: EventInvokeConfig)."""

    max_retries: int = 2
    """After an error of the function."""

    max_age_s: int = 21_600
    on_success: str | None = None
    """ARN of the destination of records."""

    on_failure: str | None = None
    dead_letter: str | None = None
    """ARN of the queue or topic that gets the event itself."""

    may_loop: bool = False
    """The function is not stopped when it calls itself."""


class ImageOverrides(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """As `ImageConfig` on AWS: what a function says in place of its image. What is empty, the image decides."""

    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    directory: str = ""


class FunctionImage(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The image that is a function's code. Its digest is the function's `code`."""

    uri: str
    """As it was asked for."""

    resolved_uri: str
    """The very image, by its digest: what a tag means later changes nothing."""

    overrides: ImageOverrides = ImageOverrides()


class DurableSettings(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What makes a function durable (AWS: DurableConfig)."""

    timeout_s: int
    """Of a whole execution."""

    retention_days: int = 14
    """For so long an execution that has ended can be looked at."""

    kms_key: str | None = None
    """Kept and shown, as everywhere."""


class FunctionVersion(msgspec.Struct, frozen=True, gc=False):
    """One version (or `$LATEST`) as it runs. Immutable: whatever changes how it runs makes a new `id`."""

    id: VersionId
    function: FunctionKey
    version: str
    """`$LATEST` or a number."""

    runtime: str
    """Empty, like `handler`, where an image is the code."""

    handler: str
    code: CodeDigest
    role: str
    memory_mb: int
    timeout_s: int
    tmp_mb: int
    environment: Mapping[str, str]
    logs: LogSettings
    state: VersionState = VersionState.ACTIVE
    layers: tuple[CodeDigest, ...] = ()
    traced: bool = False
    """TracingConfig says so of every invocation; otherwise the client decides."""

    nearest_runtime: bool = False
    """The operator opted in to another interpreter of the same language if this machine lacks this one."""

    dead_letter: str | None = None
    """Where events go that it failed for good. How it runs is another matter: `id` stays when this changes."""

    image: FunctionImage | None = None
    """What its code is, if not a package."""

    durable: DurableSettings | None = None
    """It is run by durable executions alone; `id` stays when what is set of them changes."""

    per_tenant: bool = False
    """Its environments serve one tenant each (AWS: TenantIsolationMode PER_TENANT)."""

    tenant: str | None = None
    """Whom its environments serve, of a version that runs per tenant."""

    def of_tenant(self, tenant: str) -> "FunctionVersion":
        """As it runs for one tenant: its id is another for each, so that no environment is assigned across them."""
        return msgspec.structs.replace(self, id=VersionId(f"{self.id}/{tenant}"), tenant=tenant)

    @property
    def common_id(self) -> VersionId:
        """The id that it has for all tenants together."""
        return self.id if self.tenant is None else VersionId(self.id.removesuffix(f"/{self.tenant}"))

    @property
    def arn(self) -> str:
        """The ARN qualified with the version."""
        return f"{self.function.arn}:{self.version}"


class Alias(msgspec.Struct, frozen=True, gc=False):
    """A name for a version, and perhaps for a second one with a share of the traffic."""

    name: str
    version: str
    additional_version: str | None = None
    additional_weight: float = 0.0
    """The share, from 0 to 1, that goes to `additional_version`."""


class FunctionView(msgspec.Struct, frozen=True, gc=False):
    """All that the invoke path needs of one function, as of one revision."""

    key: FunctionKey
    revision: int
    """Grows with every change; a holder keeps the highest it has seen."""

    versions: Mapping[str, FunctionVersion]
    """By version, `$LATEST` included."""

    aliases: Mapping[str, Alias]
    reserved_concurrency: int | None = None
    provisioned: Mapping[str, int] = {}
    """How many invocations each version may run at once that has provisioned concurrency."""

    event_settings: Mapping[str, EventSettings] = {}
    """By qualifier, `$LATEST` included; one that is not there has the default ones."""

    may_loop: bool = False
    """As AWS's RecursiveLoop: Allow."""

    policies: Mapping[str, Policy] = {}
    """Who else may use it, by version or alias; under `$LATEST` the function's own."""

    urls: tuple[FunctionUrl, ...] = ()

    def permits(
        self, qualifier: str | None, action: str, principal: Principal, context: Mapping[str, str] | None = None
    ) -> bool:
        """Whether its policy lets somebody use it under this name.

        A policy holds for the very name that it is attached to (API reference, AddPermission).
        """
        label = qualifier or LATEST
        resource = self.key.arn if label == LATEST else f"{self.key.arn}:{label}"
        return allows(self.policies.get(label, ()), action, resource, principal, context)
