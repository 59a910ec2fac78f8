"""Code signing configurations: what is stored of them, how they are shown, and what they keep from being deployed.

```
 code-signing/<account>/<region>/<id>   one configuration
```
ondol knows nobody whom to trust: to it no package is signed. So a configuration that enforces signatures lets nothing
be deployed to its functions, as AWS lets nothing that is unsigned; one that warns changes nothing.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from ondol.control.configuration import shown_time
from ondol.model.arn import partition_of
from ondol.model.errors import CodeSigningConfigNotFound, CodeVerificationFailed, ResourceNotFound
from ondol.model.ids import AccountId, Region
from ondol.model.time import WallTime

CODE_SIGNING = "code-signing/"

ENFORCE = "Enforce"
_WARN = "Warn"
_ID_LENGTH = 17
_ARN = re.compile(r"arn:[a-z-]+:lambda:([a-z0-9-]+):([0-9]{12}):code-signing-config:(csc-[a-z0-9]{17})", re.ASCII)


class CodeSigningKey(msgspec.Struct, frozen=True, gc=False, order=True):
    account: AccountId
    region: Region
    id: str

    @property
    def arn(self) -> str:
        return f"arn:{partition_of(self.region)}:lambda:{self.region}:{self.account}:code-signing-config:{self.id}"


class CodeSigningRecord(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    publishers: tuple[str, ...]
    """ARNs of signing profiles."""

    policy: str
    modified: WallTime
    description: str | None = None
    tags: dict[str, str] = {}


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(CodeSigningRecord)


def encode_code_signing(record: CodeSigningRecord) -> bytes:
    return _encoder.encode(record)


def decode_code_signing(value: bytes) -> CodeSigningRecord:
    return _decoder.decode(value)


def code_signing_key(key: CodeSigningKey) -> str:
    return f"{CODE_SIGNING}{key.account}/{key.region}/{key.id}"


def read_code_signing_key(text: str) -> CodeSigningKey:
    _, account, region, id = text.split("/")
    return CodeSigningKey(AccountId(account), Region(region), id)


def parse_code_signing_arn(text: str) -> CodeSigningKey | None:
    """The configuration that an ARN names; None when it names anything else."""
    found = _ARN.fullmatch(text)
    return None if found is None else CodeSigningKey(AccountId(found[2]), Region(found[1]), found[3])


def new_key(account: AccountId, region: Region, chance: str) -> CodeSigningKey:
    """`chance` is a fresh UUID."""
    return CodeSigningKey(account, region, f"csc-{chance.replace('-', '')[:_ID_LENGTH]:0<{_ID_LENGTH}}")


def new_config(parameters: Mapping[str, Any], now: WallTime) -> CodeSigningRecord:
    return changed_config(CodeSigningRecord((), _WARN, now, tags=dict(parameters.get("Tags") or {})), parameters, now)


def changed_config(record: CodeSigningRecord, parameters: Mapping[str, Any], now: WallTime) -> CodeSigningRecord:
    """The record after the members that are there."""
    publishers = parameters.get("AllowedPublishers")
    policies = parameters.get("CodeSigningPolicies") or {}
    return replace(
        record,
        publishers=record.publishers if publishers is None else tuple(publishers["SigningProfileVersionArns"]),
        policy=policies.get("UntrustedArtifactOnDeployment", record.policy),
        description=parameters.get("Description", record.description),
        modified=now,
    )


def describe_config(key: CodeSigningKey, record: CodeSigningRecord) -> dict[str, Any]:
    described = {
        "CodeSigningConfigId": key.id,
        "CodeSigningConfigArn": key.arn,
        "AllowedPublishers": {"SigningProfileVersionArns": list(record.publishers)},
        "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": record.policy},
        "LastModified": shown_time(record.modified),
    }
    return described if record.description is None else {**described, "Description": record.description}


def missing_config(arn: str) -> ResourceNotFound:
    """As whoever asks for a configuration is told."""
    return ResourceNotFound(f"The Lambda code signing configuration {arn} can not be found.", Type="")


def missing_for_function(arn: str) -> CodeSigningConfigNotFound:
    """As whoever wants to give it to a function is told."""
    return CodeSigningConfigNotFound(
        f"The code signing configuration cannot be found. Check that the provided configuration is not deleted: {arn}."
    )


def require_deployable(record: CodeSigningRecord | None, function: str) -> None:
    """Raises `CodeVerificationFailed` where a function's configuration wants a signature."""
    if record is not None and record.policy == ENFORCE:
        raise CodeVerificationFailed(
            "Lambda cannot deploy the function. The function or layer might be signed using a signature that the "
            f"client is not configured to accept. Check the provided signature for {function}."
        )
