"""Sources by their ARNs: of which kind they are, and what each kind is called. Pure."""

from enum import Enum

import msgspec

from ondol.model.ids import AccountId, Region


class Kind(Enum):
    """As the service is named in an ARN."""

    SQS = "sqs"
    KINESIS = "kinesis"
    DYNAMODB = "dynamodb"
    MQ = "mq"


class Source(msgspec.Struct, frozen=True):
    kind: Kind
    region: Region
    account: AccountId
    name: str
    """Of the queue, the stream, the table, or the broker."""

    @property
    def fifo(self) -> bool:
        return self.kind is Kind.SQS and self.name.endswith(".fifo")


def parse_source(arn: str) -> Source | None:
    """None for what is no source that ondol reads."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn":
        return None
    _, _, service, region, account, resource = parts
    pieces = resource.split("/")
    match service, pieces:
        case "sqs", [name]:
            kind = Kind.SQS
        case "kinesis", ["stream", name]:
            kind = Kind.KINESIS
        case "dynamodb", ["table", name, "stream", _]:
            kind = Kind.DYNAMODB
        case "mq", [broker] if broker.startswith("broker:") and broker.count(":") == 2:
            kind, name = Kind.MQ, broker.split(":")[1]
        case _:
            return None
    return Source(kind, Region(region), AccountId(account), name) if name else None
