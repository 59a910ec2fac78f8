"""kill -9 in the middle of a queue and of a stream: what was not done is done after the next start."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.event_sources import mapped, until
from moto_server import Moto
from ondol_process import OndolProcess, create

COUNT = 50
KILL_AT = (8, 30)
"""Records seen by the function."""

CODE = """
import base64, json, os, time, urllib.request

def say(body):
    # Without an SDK, which takes a second to import after each kill.
    fields = {
        "X-Amz-Target": "AmazonSQS.SendMessage",
        "Content-Type": "application/x-amz-json-1.0",
        "Authorization": "AWS4-HMAC-SHA256 Credential=000000000000/20260101/us-east-1/sqs/aws4_request, "
        "SignedHeaders=host, Signature=0",
    }
    message = json.dumps({"QueueUrl": "http://server/000000000000/seen", "MessageBody": body}).encode()
    urllib.request.urlopen(urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], message, fields)).read()

def h(event, context):
    for record in event["Records"]:
        time.sleep(0.02)
        say(record["body"] if "body" in record else base64.b64decode(record["kinesis"]["data"]).decode())
"""


@pytest.fixture
def moto() -> Iterator[Moto]:
    server = Moto()
    yield server
    server.close()


class Seen:
    """What the function has said that it saw, in order."""

    def __init__(self, moto: Moto) -> None:
        self._sqs = moto.client("sqs")
        self._url = self._sqs.create_queue(QueueName="seen")["QueueUrl"]
        self._seen: list[str] = []

    def __call__(self) -> list[str]:
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            self._seen += [message["Body"] for message in messages]
        return self._seen


@pytest.mark.parametrize("kind", ["queue", "stream"])
def test_nothing_is_skipped(kind: str, moto: Moto, tmp_path: Path) -> None:
    seen = Seen(moto)
    sent = [str(number) for number in range(COUNT)]
    with OndolProcess(tmp_path / "data", {"ENDPOINTS_DEFAULT": moto.endpoint}) as ondol:
        create(ondol.client(), "fn", CODE, Timeout=1, MemorySize=1769)
        if kind == "queue":
            fill_queue(moto, sent)
            mapped(ondol, "fn", "arn:aws:sqs:us-east-1:000000000000:source", BatchSize=5)
        else:
            fill_stream(moto, sent)
            source = "arn:aws:kinesis:us-east-1:000000000000:stream/source"
            mapped(ondol, "fn", source, BatchSize=5, StartingPosition="TRIM_HORIZON")
        for count in KILL_AT:
            until(lambda count=count: len(set(seen())) >= count)
            ondol.kill()
            ondol.start()
        until(lambda: len(set(seen())) == COUNT, 40)
    if kind == "stream":
        assert list(dict.fromkeys(seen())) == sent


def fill_queue(moto: Moto, bodies: list[str]) -> None:
    sqs = moto.client("sqs")
    url = sqs.create_queue(QueueName="source", Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body)


def fill_stream(moto: Moto, data: list[str]) -> None:
    kinesis = moto.client("kinesis")
    kinesis.create_stream(StreamName="source", ShardCount=1)
    records = [{"Data": each.encode(), "PartitionKey": "key"} for each in data]
    kinesis.put_records(StreamName="source", Records=records)
