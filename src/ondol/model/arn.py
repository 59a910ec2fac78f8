"""Amazon Resource Names of functions, their parts and their text; and of runtime versions.

Grammar only. Whether a name is well-formed, whom it belongs to and what it may be used for is decided where
requests are read (`ondol.aws.names`).
"""

import hashlib
from functools import cache

import msgspec

from ondol.model.ids import AccountId, Region

_PARTS_UNQUALIFIED = 7


class FunctionArn(msgspec.Struct, frozen=True, gc=False):
    """One function, or with a qualifier one version or alias of it."""

    region: Region
    account: AccountId
    name: str
    qualifier: str | None = None

    def __str__(self) -> str:
        text = f"arn:{partition_of(self.region)}:lambda:{self.region}:{self.account}:function:{self.name}"
        return text if self.qualifier is None else f"{text}:{self.qualifier}"

    def unqualified(self) -> "FunctionArn":
        return self if self.qualifier is None else FunctionArn(self.region, self.account, self.name)

    def qualified(self, qualifier: str) -> "FunctionArn":
        """The same function under another qualifier; `$LATEST` is spelt out."""
        return FunctionArn(self.region, self.account, self.name, qualifier)


def parse_function_arn(text: str) -> FunctionArn | None:
    """The function that a full ARN names; None when it names anything else."""
    parts = text.split(":")
    if len(parts) not in (_PARTS_UNQUALIFIED, _PARTS_UNQUALIFIED + 1):
        return None
    arn, partition, service, region, account, kind, name, *qualifier = parts
    if arn != "arn" or service != "lambda" or kind != "function" or not name or partition != partition_of(region):
        return None
    return FunctionArn(Region(region), AccountId(account), name, qualifier[0] if qualifier else None)


@cache
def runtime_version_arn(runtime: str, region: str) -> str:
    """The ARN under which a runtime's version is shown: one for each name, the same for ever."""
    digest = hashlib.sha256(f"ondol runtime {runtime}".encode()).hexdigest()
    return f"arn:{partition_of(region)}:lambda:{region}::runtime:{digest}"


def partition_of(region: str) -> str:
    """Which of AWS's separate worlds a region lies in: the second part of every ARN."""
    if region.startswith("cn-"):
        return "aws-cn"
    if region.startswith("us-gov-"):
        return "aws-us-gov"
    return "aws"
