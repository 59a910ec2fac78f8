"""What is stored of functions, and under which keys.

```
 function/<account>/<region>/<name>                                       one record: all that must change together
 version/<account>/<region>/<name>/<incarnation>/<number>/<publication>   one immutable record per published version
```

A version is written before the function record that counts it, under a name that nobody else can write: the
incarnation keeps it from a later function of the same name, the publication from a publisher that lost the race
for the number. A version key that no function record names is an orphan, and may be deleted at any time.
"""

import msgspec

from ondol.control.machine import Stage
from ondol.model.function import DurableSettings, FunctionImage, FunctionKey, LogSettings
from ondol.model.function_url import Cors
from ondol.model.ids import AccountId, CodeDigest, Region
from ondol.model.time import WallTime

FUNCTIONS = "function/"
VERSIONS = "version/"


class UsedLayer(msgspec.Struct, frozen=True, gc=False):
    """A layer version as it was when a function was told to use it; what becomes of the layer changes nothing."""

    arn: str
    code: CodeDigest
    code_size: int
    unzipped_size: int


class Settings(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Code and configuration of a version: all that is copied when it is published."""

    runtime: str
    handler: str
    role: str
    code: CodeDigest
    code_size: int
    logs: LogSettings
    description: str = ""
    timeout_s: int = 3
    memory_mb: int = 128
    tmp_mb: int = 512
    environment: dict[str, str] | None = None
    """None: never given, and then not shown."""

    architecture: str = "x86_64"
    tracing: str = "PassThrough"
    kms_key: str | None = None
    dead_letter: str | None = None
    emptied_vpc: bool = False
    """A VpcConfig without members was given, and is shown as such."""

    unzipped_size: int = 0
    """Of the code; 0 where nobody counted."""

    layers: tuple[UsedLayer, ...] = ()
    image: FunctionImage | None = None
    """What the code is, if not a package: runtime and handler are empty then, and `code` is its digest."""

    tenancy: str | None = None
    """As TenantIsolationMode; set when the function is made, and never after."""

    snap_start: str = "None"
    """What SnapStart would apply on: kept and shown, and nothing is done by it (ADR 10)."""

    durable: DurableSettings | None = None

    def layer_packages(self) -> tuple[CodeDigest, ...]:
        """What is merged at /opt, in order. A package that several layers have counts where the last of them is."""
        return tuple(dict.fromkeys(layer.code for layer in reversed(self.layers)))[::-1]

    def execution(self) -> "Settings":
        """These settings without what no environment can notice."""
        return msgspec.structs.replace(
            self,
            description="",
            kms_key=None,
            dead_letter=None,
            emptied_vpc=False,
            snap_start="None",
            durable=None,
        )


class Reason(msgspec.Struct, frozen=True, gc=False):
    """Why a stage is what it is: AWS's reason code and a sentence."""

    code: str
    text: str


class Running(msgspec.Struct, frozen=True, gc=False):
    """What invocations of `$LATEST` use. `revision` changes when environments started before must not be used."""

    settings: Settings
    revision: str


class PublishedVersion(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What the function record keeps of a version: its life cycle, and what totals are made of."""

    publication: str
    revision_id: str
    code: CodeDigest
    code_size: int
    stage: Stage
    reason: Reason | None = None
    layers: tuple[CodeDigest, ...] = ()


class AliasRecord(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    version: str
    revision_id: str
    description: str = ""
    additional_version: str | None = None
    additional_weight: float = 0.0
    moving: bool = False
    """Its provisioned concurrency is on its way to `version`; until it is there, all goes to `additional_version`."""


class UrlRecord(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    id: str
    auth_type: str
    created: WallTime
    modified: WallTime
    cors: Cors | None = None
    invoke_mode: str | None = None
    """None: never given, which means the same as BUFFERED but is not always shown."""


class EventInvokeRecord(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a qualifier's asynchronous events are to be done with; None: never said, and then not shown."""

    last_modified: WallTime
    max_retries: int | None = None
    max_age_s: int | None = None
    on_success: str | None = None
    on_failure: str | None = None


class ProvisionedRecord(msgspec.Struct, frozen=True, gc=False):
    """Provisioned concurrency that somebody asked for."""

    n: int
    last_modified: WallTime


class FunctionRecord(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Everything about a function that must change together. `settings` are `$LATEST`'s, as shown."""

    incarnation: str
    settings: Settings
    stage: Stage
    revision_id: str
    last_modified: WallTime
    running: Running | None = None
    """None until its code has been ready once."""

    reason: Reason | None = None
    next_version: int = 1
    versions: dict[str, PublishedVersion] = {}
    """By number, in the order of publication."""

    aliases: dict[str, AliasRecord] = {}
    tags: dict[str, str] = {}
    reserved_concurrency: int | None = None
    provisioned: dict[str, ProvisionedRecord] = {}
    """By version or alias."""

    folder: str | None = None
    """The directory of this machine that `$LATEST`'s code is taken from again whenever it changes."""
    event_invokes: dict[str, EventInvokeRecord] = {}
    """By qualifier, `$LATEST` included."""

    policies: dict[str, str] = {}
    """JSON documents by version or alias; under `$LATEST` the function's own."""

    urls: dict[str, UrlRecord] = {}
    """By alias; under `$LATEST` the function's own."""

    code_signing: str | None = None
    """The ARN of its code signing configuration."""

    recursive_loop: str = "Terminate"
    runtime_updates: dict[str, str] = {}
    """By `$LATEST` or version, where it was set: when AWS would change the runtime."""


class VersionRecord(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A published version. `settings` are `$LATEST`'s of that moment, so that an unchanged function is noticed."""

    settings: Settings
    description: str
    last_modified: WallTime


class VersionKey(msgspec.Struct, frozen=True, gc=False):
    function: FunctionKey
    incarnation: str
    number: str
    publication: str


class Edit(msgspec.Struct, frozen=True, gc=False):
    """What a decision wants written: the new record (None: the function is deleted), and a new version's."""

    record: FunctionRecord | None
    version: tuple[str, VersionRecord] | None = None


_encoder = msgspec.msgpack.Encoder()
_functions = msgspec.msgpack.Decoder(FunctionRecord)
_versions = msgspec.msgpack.Decoder(VersionRecord)


def encode(record: FunctionRecord | VersionRecord) -> bytes:
    return _encoder.encode(record)


def decode_function(value: bytes) -> FunctionRecord:
    return _functions.decode(value)


def decode_version(value: bytes) -> VersionRecord:
    return _versions.decode(value)


def function_key(key: FunctionKey) -> str:
    return f"{FUNCTIONS}{key.account}/{key.region}/{key.name}"


def read_function_key(text: str) -> FunctionKey:
    _, account, region, name = text.split("/")
    return FunctionKey(AccountId(account), Region(region), name)


def version_prefix(key: FunctionKey) -> str:
    return f"{VERSIONS}{key.account}/{key.region}/{key.name}/"


def version_key(key: VersionKey) -> str:
    return f"{version_prefix(key.function)}{key.incarnation}/{key.number}/{key.publication}"


def read_version_key(text: str) -> VersionKey:
    _, account, region, name, incarnation, number, publication = text.split("/")
    return VersionKey(FunctionKey(AccountId(account), Region(region), name), incarnation, number, publication)
