"""With which call a record is sent: to SQS, SNS, EventBridge, S3. By botocore; every method blocks.

Of every failure only the sentence counts. ondol acts as the function's account here, with an access key that is the
account's number: a server that verifies signatures refuses it.

Source: developer guide, "Retaining records of asynchronous invocations".
"""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ondol.events.deliveries import NotDelivered
from ondol.events.records import SOURCE, Delivery, detail_type
from ondol.model.endpoint import Endpoints
from ondol.model.ids import AccountId

CONNECT_S = 5
ANSWER_S = 20

_SECRET = "ondol"

Client = Any
"""botocore has no types."""


class AwsCalls:
    """Clients of the servers that are configured, made as they are needed. For several threads."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._making = threading.Lock()
        self._session = botocore.session.Session()
        self._clients: dict[tuple[str, str, AccountId], Client] = {}

    def send(self, delivery: Delivery, id: str) -> None:
        """Raises `NotDelivered`. `id` is in the name of what is made for it."""
        call = _CALLS.get(delivery.service)
        if call is None:
            raise NotDelivered(f"nothing is ever sent to the service {delivery.service}")
        try:
            call(self._client(delivery), delivery, id)
        except (BotoCoreError, ClientError) as error:
            raise NotDelivered(str(error)) from error

    def _client(self, delivery: Delivery) -> Client:
        service, named = delivery.destination.split(":")[2:4]
        region, account = named or delivery.function.region, delivery.function.account
        with self._making:
            client = self._clients.get((service, region, account))
            if client is None:
                client = self._clients[service, region, account] = self._make(service, region, account)
        return client

    def _make(self, service: str, region: str, account: AccountId) -> Client:
        return self._session.create_client(
            service,
            region_name=region,
            endpoint_url=str(self._endpoints.of(service)),
            aws_access_key_id=account,
            aws_secret_access_key=_SECRET,
            config=Config(
                connect_timeout=CONNECT_S,
                read_timeout=ANSWER_S,
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
            ),
        )


def _send_to_queue(client: Client, delivery: Delivery, _: str) -> None:
    account, name = delivery.destination.split(":")[4:6]
    url = client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody=delivery.body, MessageAttributes=_attributes(delivery.attributes))


def _publish(client: Client, delivery: Delivery, _: str) -> None:
    client.publish(
        TopicArn=delivery.destination, Message=delivery.body, MessageAttributes=_attributes(delivery.attributes)
    )


def _put_event(client: Client, delivery: Delivery, _: str) -> None:
    answer = client.put_events(
        Entries=[
            {
                "EventBusName": delivery.destination,
                "Source": SOURCE,
                "DetailType": detail_type(delivery),
                "Detail": delivery.body,
                "Resources": [delivery.destination, delivery.source],
                "Time": datetime.fromtimestamp(delivery.at // 1000, UTC),
            }
        ]
    )
    if answer["FailedEntryCount"]:
        entry = answer["Entries"][0]
        raise NotDelivered(f"{entry.get('ErrorMessage')} ({entry.get('ErrorCode')})")


def _put_object(client: Client, delivery: Delivery, id: str) -> None:
    at = datetime.fromtimestamp(delivery.at / 1000, UTC)
    key = f"aws/lambda/async/{delivery.function.name}/{at:%Y/%m/%d}/{at:%Y-%m-%dT%H.%M.%S}-{id}"
    bucket = delivery.destination.rpartition(":")[2]
    client.put_object(Bucket=bucket, Key=key, Body=delivery.body.encode(), ContentType="application/json")


def _attributes(attributes: Mapping[str, tuple[str, str]]) -> dict[str, dict[str, str]]:
    return {name: {"DataType": kind, "StringValue": value} for name, (kind, value) in attributes.items()}


_CALLS: Mapping[str, Callable[[Client, Delivery, str], None]] = {
    "sqs": _send_to_queue,
    "sns": _publish,
    "events": _put_event,
    "s3": _put_object,
}
