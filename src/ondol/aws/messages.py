"""What ondol sends to queues and topics of other servers: the two calls, with attributes.

Each raises `RemoteError` and `RemoteUnavailable`.
"""

from collections.abc import Mapping

from ondol.aws.remote import SQS, Remote
from ondol.model.ids import AccountId, Region

Attributes = Mapping[str, tuple[str, str]]
"""Of a message: by name, its type and its value."""

_SNS_VERSION = "2010-03-31"


async def send_to_queue(
    remote: Remote, owner: tuple[AccountId, Region], queue: str, body: str, attributes: Attributes | None = None
) -> None:
    """SendMessage; the queue is looked up by its name, since only its server knows its URL."""
    named = {"QueueName": queue, "QueueOwnerAWSAccountId": owner[0]}
    found = await remote.call(SQS, *owner, "GetQueueUrl", named)
    sent = {"QueueUrl": found.get("QueueUrl"), "MessageBody": body, "MessageAttributes": _described(attributes or {})}
    await remote.call(SQS, *owner, "SendMessage", sent)


async def publish(
    remote: Remote, owner: tuple[AccountId, Region], topic: str, message: str, attributes: Attributes | None = None
) -> None:
    """Publish to the topic with this ARN."""
    form = {"Action": "Publish", "Version": _SNS_VERSION, "TopicArn": topic, "Message": message}
    for number, (name, (kind, value)) in enumerate((attributes or {}).items(), 1):
        entry = f"MessageAttributes.entry.{number}"
        form |= {f"{entry}.Name": name, f"{entry}.Value.DataType": kind, f"{entry}.Value.StringValue": value}
    await remote.query("sns", *owner, form)


def _described(attributes: Attributes) -> dict[str, dict[str, str]]:
    return {name: {"DataType": kind, "StringValue": value} for name, (kind, value) in attributes.items()}
