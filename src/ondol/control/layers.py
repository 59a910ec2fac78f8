"""What is stored of layers, and under which keys.

```
 layer/<account>/<region>/<name>/<number>   one version: what was published, and who else may use it
```

A version is written once and whole, so that none is ever half made. One that is deleted leaves an empty record: its
number stays taken for ever, whoever publishes next.
"""

import msgspec

from ondol.model.arn import partition_of
from ondol.model.ids import AccountId, CodeDigest, Region
from ondol.model.time import WallTime

LAYERS = "layer/"

_UNQUALIFIED_PARTS = 7


class LayerKey(msgspec.Struct, frozen=True, gc=False):
    """Which layer: its account, region and name."""

    account: AccountId
    region: Region
    name: str

    @property
    def arn(self) -> str:
        return f"arn:{partition_of(self.region)}:lambda:{self.region}:{self.account}:layer:{self.name}"

    def version_arn(self, number: int) -> str:
        return f"{self.arn}:{number}"


class Statement(msgspec.Struct, frozen=True, gc=False):
    """Who may use a layer version: an account, or "*", within an organization if one is named."""

    id: str
    principal: str
    organization: str | None = None


class LayerVersionRecord(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    code: CodeDigest
    code_size: int
    unzipped_size: int
    created: WallTime
    description: str = ""
    license: str | None = None
    runtimes: tuple[str, ...] | None = None
    """None: never given, and then not shown."""

    architectures: tuple[str, ...] | None = None
    statements: tuple[Statement, ...] = ()
    policy_revision: str = ""


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[LayerVersionRecord | None] = msgspec.msgpack.Decoder(LayerVersionRecord | None)


def encode_layer_version(record: LayerVersionRecord | None) -> bytes:
    """`None` is a version that was deleted."""
    return _encoder.encode(record)


def decode_layer_version(value: bytes) -> LayerVersionRecord | None:
    return _decoder.decode(value)


def layer_prefix(key: LayerKey) -> str:
    return f"{LAYERS}{key.account}/{key.region}/{key.name}/"


def layer_version_key(key: LayerKey, number: int) -> str:
    return f"{layer_prefix(key)}{number}"


def read_layer_version_key(text: str) -> tuple[LayerKey, int]:
    _, account, region, name, number = text.split("/")
    return LayerKey(AccountId(account), Region(region), name), int(number)


def parse_layer_arn(text: str) -> tuple[LayerKey, int | None] | None:
    """The layer that a full ARN names, and the version if it names one; None when it names anything else."""
    parts = text.split(":")
    if len(parts) not in (_UNQUALIFIED_PARTS, _UNQUALIFIED_PARTS + 1):
        return None
    arn, partition, service, region, account, kind, name, *number = parts
    if (arn, partition, service, kind) != ("arn", partition_of(region), "lambda", "layer"):
        return None
    return LayerKey(AccountId(account), Region(region), name), int(number[0]) if number else None
