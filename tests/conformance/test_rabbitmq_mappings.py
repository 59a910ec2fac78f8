"""Event source mappings of RabbitMQ queues: a real broker, a real ondol, moto for the broker's secret."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiormq
import pytest
from aiormq.abc import AbstractChannel
from botocore.exceptions import ClientError
from pamqp.commands import Basic

from conformance.event_sources import mapped, switched, until
from moto_server import Moto
from ondol_process import OndolProcess, create
from rabbitmq_process import PASSWORD, USER, RabbitMq

BROKER = "arn:aws:mq:us-east-1:000000000000:broker:orders:b-1"
ELSEWHERE = "arn:aws:mq:us-east-1:000000000000:broker:elsewhere:b-2"
UNKNOWN = "arn:aws:mq:us-east-1:000000000000:broker:unknown:b-3"
GONE = "arn:aws:mq:us-east-1:000000000000:broker:gone:b-4"
NO_SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:none"

CODE = """
import json, os, time
def h(event, context):
    for queue, messages in event["rmqMessagesByQueue"].items():
        for message in messages:
            print("got", json.dumps(message))
    print("event", json.dumps({**event, "rmqMessagesByQueue": [*event["rmqMessagesByQueue"]]}))
    time.sleep(float(os.environ.get("TAKES", "0")))
    if os.environ.get("FAILS"):
        raise RuntimeError("no")
"""

SAYS = """
import base64, json, os, time, urllib.request
def h(event, context):
    time.sleep(0.05)
    [messages] = event["rmqMessagesByQueue"].values()
    numbers = [int(base64.b64decode(message["data"])) for message in messages]
    fields = {
        "X-Amz-Target": "AmazonSQS.SendMessage",
        "Content-Type": "application/x-amz-json-1.0",
        "Authorization": "AWS4-HMAC-SHA256 Credential=000000000000/20260101/us-east-1/sqs/aws4_request, "
        "SignedHeaders=host, Signature=0",
    }
    said = json.dumps({"QueueUrl": "http://server/000000000000/seen", "MessageBody": json.dumps(numbers)}).encode()
    urllib.request.urlopen(urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], said, fields)).read()
"""
"""Without an SDK, which takes a second to import after each kill."""


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMq]:
    server = RabbitMq(tmp_path_factory.mktemp("rabbitmq"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with Moto() as server:
        yield server


@pytest.fixture(scope="module")
def secret(moto: Moto) -> str:
    text = json.dumps({"username": USER, "password": PASSWORD})
    arn: str = moto.client("secretsmanager").create_secret(Name="broker", SecretString=text)["ARN"]
    return arn


@pytest.fixture(scope="module")
def ondol(rabbit: RabbitMq, moto: Moto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    directory: Path = tmp_path_factory.mktemp("ondol")
    config = directory / "ondol.toml"
    config.write_text(
        f'[endpoints]\ndefault = "{moto.endpoint}"\n'
        f'"{BROKER}" = "amqp://127.0.0.1:{rabbit.port}"\n'
        f'"{ELSEWHERE}" = "{rabbit.address()}"\n'
        f'"{GONE}" = "amqp://guest:guest@127.0.0.1:1"\n'
    )
    with OndolProcess(directory / "data", {"CONFIG": str(config)}) as process:
        yield process


def at_broker(rabbit: RabbitMq, work: Callable[[AbstractChannel], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        connection = await aiormq.connect(rabbit.address())
        try:
            return await work(await connection.channel())
        finally:
            await connection.close()

    return asyncio.run(main())


def filled(rabbit: RabbitMq, queue: str, bodies: list[bytes], **properties: Any) -> None:
    """A durable queue with these messages in it, on disk."""

    async def work(channel: AbstractChannel) -> None:
        await channel.queue_declare(queue, durable=True)
        for body in bodies:
            await channel.basic_publish(
                body, routing_key=queue, properties=Basic.Properties(delivery_mode=2, **properties)
            )

    at_broker(rabbit, work)


def left_in(rabbit: RabbitMq, queue: str) -> int:
    """Messages that nobody has."""

    async def work(channel: AbstractChannel) -> int:
        return (await channel.queue_declare(queue, passive=True)).message_count or 0

    count: int = at_broker(rabbit, work)
    return count


def read_by(door: OndolProcess, name: str, source: str, queue: str, secret: str, **settings: Any) -> str:
    access = [{"Type": "BASIC_AUTH", "URI": secret}]
    return mapped(door, name, source, Queues=[queue], SourceAccessConfigurations=access, **settings)


def told(door: OndolProcess, name: str, word: str) -> list[Any]:
    """What the function has printed after this word, as JSON."""
    logs = door.client("logs")
    try:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}")
        lines = [event["message"] for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [json.loads(line.partition(" ")[2]) for line in lines if line.startswith(f"{word} ")]


def bodies(door: OndolProcess, name: str) -> list[bytes]:
    return [base64.b64decode(message["data"]) for message in told(door, name, "got")]


def test_a_message_looks_as_on_aws(ondol: OndolProcess, rabbit: RabbitMq, secret: str) -> None:
    create(ondol.client(), "looks", CODE)
    headers = {"text": "value1", "number": 10, "inner": {"flag": True}}
    at = datetime(1970, 1, 1, 0, 33, 41, tzinfo=UTC)
    filled(rabbit, "pizza", [b'{"a": 1}'], content_type="text/plain", headers=headers, priority=3, timestamp=at)
    uuid = read_by(ondol, "looks", BROKER, "pizza", secret)
    [message] = until(lambda: told(ondol, "looks", "got"))
    properties = message["basicProperties"]
    assert properties["headers"] == {
        "text": {"bytes": list(b"value1")},
        "number": 10,
        "inner": {"flag": True},
    }
    assert (properties["contentType"], properties["priority"], properties["deliveryMode"]) == ("text/plain", 3, 2)
    assert properties["timestamp"] == "Jan 1, 1970, 12:33:41 AM"
    assert (properties["correlationId"], properties["bodySize"]) == (None, 8)
    assert (message["redelivered"], message["data"]) == (False, base64.b64encode(b'{"a": 1}').decode())
    [event] = until(lambda: told(ondol, "looks", "event"))
    assert event == {"eventSource": "aws:rmq", "eventSourceArn": BROKER, "rmqMessagesByQueue": ["pizza::/"]}
    until(lambda: left_in(rabbit, "pizza") == 0)
    shown = ondol.client().get_event_source_mapping(UUID=uuid)
    assert (shown["BatchSize"], shown["Queues"], shown["LastProcessingResult"]) == (100, ["pizza"], "OK")
    assert shown["SourceAccessConfigurations"] == [{"Type": "BASIC_AUTH", "URI": secret}]
    assert "MaximumBatchingWindowInSeconds" not in shown


def test_batches_are_as_large_as_configured_and_in_order(ondol: OndolProcess, rabbit: RabbitMq) -> None:
    create(ondol.client(), "batches", CODE)
    sent = [b"%d" % number for number in range(25)]
    filled(rabbit, "numbers", sent)
    read_by(ondol, "batches", ELSEWHERE, "numbers", NO_SECRET, BatchSize=10)
    until(lambda: len(bodies(ondol, "batches")) == 25)
    assert bodies(ondol, "batches") == sent
    assert len(until(lambda: len(found := told(ondol, "batches", "event")) >= 3 and found)) == 3


def test_what_a_filter_drops_is_gone_unseen(ondol: OndolProcess, rabbit: RabbitMq) -> None:
    create(ondol.client(), "filtered", CODE)
    filled(rabbit, "mixed", [b'{"kind": "a"}', b'{"kind": "b"}', b"no json", b"\xff", b'{"kind": "a", "n": 2}'])
    criteria = {"Filters": [{"Pattern": '{"data": {"kind": ["a"]}}'}]}
    read_by(ondol, "filtered", ELSEWHERE, "mixed", NO_SECRET, FilterCriteria=criteria, BatchSize=1)
    until(lambda: len(bodies(ondol, "filtered")) == 2)
    assert [json.loads(body)["kind"] for body in bodies(ondol, "filtered")] == ["a", "a"]
    until(lambda: left_in(rabbit, "mixed") == 0)


def test_a_batch_that_fails_comes_again_in_its_place(ondol: OndolProcess, rabbit: RabbitMq) -> None:
    client = ondol.client()
    create(client, "fails", CODE, Environment={"Variables": {"FAILS": "yes"}})
    filled(rabbit, "again", [b"1", b"2", b"3"])
    uuid = read_by(ondol, "fails", ELSEWHERE, "again", NO_SECRET, BatchSize=2, MaximumBatchingWindowInSeconds=0)
    until(lambda: len(bodies(ondol, "fails")) >= 4)
    assert bodies(ondol, "fails")[:4] == [b"1", b"2", b"1", b"2"]
    assert [message["redelivered"] for message in told(ondol, "fails", "got")[:4]] == [False, False, True, True]
    assert client.get_event_source_mapping(UUID=uuid)["LastProcessingResult"] == "PROBLEM: Function call failed"
    client.update_function_configuration(FunctionName="fails", Environment={"Variables": {}})
    until(lambda: bodies(ondol, "fails")[-1:] == [b"3"])
    until(lambda: left_in(rabbit, "again") == 0)


def test_a_disabled_mapping_stops_and_what_it_held_is_back(ondol: OndolProcess, rabbit: RabbitMq) -> None:
    create(ondol.client(), "slow", CODE, Environment={"Variables": {"TAKES": "0.1"}})
    filled(rabbit, "held", [b"%d" % number for number in range(12)])
    uuid = read_by(ondol, "slow", ELSEWHERE, "held", NO_SECRET, BatchSize=1, MaximumBatchingWindowInSeconds=0)
    until(lambda: bodies(ondol, "slow"))
    switched(ondol, uuid, on=False)
    seen = len(until(lambda: told(ondol, "slow", "event")))
    assert seen < 12 and left_in(rabbit, "held") == 12 - seen
    switched(ondol, uuid, on=True)
    until(lambda: len(set(bodies(ondol, "slow"))) == 12)
    assert len(bodies(ondol, "slow")) == 12


def test_a_queue_that_was_deleted_is_read_once_it_is_there_again(ondol: OndolProcess, rabbit: RabbitMq) -> None:
    create(ondol.client(), "patient", CODE)
    filled(rabbit, "comes-and-goes", [b"before"])
    read_by(ondol, "patient", ELSEWHERE, "comes-and-goes", NO_SECRET, MaximumBatchingWindowInSeconds=0)
    until(lambda: bodies(ondol, "patient") == [b"before"])
    at_broker(rabbit, lambda channel: channel.queue_delete("comes-and-goes"))
    filled(rabbit, "comes-and-goes", [b"after"])
    until(lambda: bodies(ondol, "patient") == [b"before", b"after"])
    assert "cannot read its broker" in ondol.complaints()


def test_a_message_that_no_function_can_take_is_dead_lettered(ondol: OndolProcess, rabbit: RabbitMq) -> None:
    async def arrange(channel: AbstractChannel) -> None:
        await channel.queue_declare("dead", durable=True)
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
        await channel.queue_declare("large", durable=True, arguments=arguments)
        await channel.basic_publish(b"x" * 5_000_000, routing_key="large")
        await channel.basic_publish(b"small", routing_key="large")

    at_broker(rabbit, arrange)
    create(ondol.client(), "large", CODE)
    read_by(ondol, "large", ELSEWHERE, "large", NO_SECRET, MaximumBatchingWindowInSeconds=0)
    until(lambda: bodies(ondol, "large") == [b"small"])
    until(lambda: left_in(rabbit, "dead") == 1)


def test_kill_9_in_the_middle_loses_none(ondol: OndolProcess, rabbit: RabbitMq, moto: Moto) -> None:
    sqs = moto.client("sqs")
    url = sqs.create_queue(QueueName="seen")["QueueUrl"]
    seen: list[int] = []

    def seen_so_far() -> list[int]:
        while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            seen.extend(number for message in found for number in json.loads(message["Body"]))
        return seen

    create(ondol.client(), "killed", SAYS, MemorySize=1769, Timeout=30)
    filled(rabbit, "survives", [b"%d" % number for number in range(60)])
    read_by(ondol, "killed", ELSEWHERE, "survives", NO_SECRET, BatchSize=4, MaximumBatchingWindowInSeconds=0)
    for count in (8, 30):
        until(lambda count=count: len(seen_so_far()) >= count)
        ondol.kill()
        ondol.start()
    until(lambda: len(set(seen_so_far())) == 60)
    assert list(dict.fromkeys(seen)) == [*range(60)]
    assert len(seen) <= 60 + 2 * 4, "more came again than the broker had in doubt"
    until(lambda: left_in(rabbit, "survives") == 0)


@pytest.mark.parametrize(
    ("source", "settings", "words"),
    [
        (BROKER, {"Queues": ["none"]}, "The queue none cannot be read"),
        (BROKER, {"secret": NO_SECRET}, "The secret"),
        (BROKER, {"Queues": None}, "Queues must name the one queue"),
        (BROKER, {"secret": "guest"}, "must have a BASIC_AUTH"),
        (BROKER, {"StartingPosition": "LATEST"}, "Unsupported StartingPosition parameter"),
        (UNKNOWN, {}, "no address is configured for this broker"),
        (GONE, {}, "does not answer"),
    ],
)
def test_what_cannot_be_read_is_refused(
    ondol: OndolProcess, rabbit: RabbitMq, secret: str, source: str, settings: dict[str, Any], words: str
) -> None:
    client = ondol.client()
    if "refused" not in {function["FunctionName"] for function in client.list_functions()["Functions"]}:
        create(client, "refused", CODE)
    filled(rabbit, "there", [])
    access = [{"Type": "BASIC_AUTH", "URI": settings.pop("secret", secret)}]
    given = {"Queues": ["there"], "SourceAccessConfigurations": access} | settings
    given = {name: value for name, value in given.items() if value}
    with pytest.raises(ClientError, match=words):
        client.create_event_source_mapping(FunctionName="refused", EventSourceArn=source, **given)


def test_a_wrong_password_is_refused(ondol: OndolProcess, rabbit: RabbitMq, moto: Moto) -> None:
    text = json.dumps({"username": USER, "password": "wrong"})
    arn = moto.client("secretsmanager").create_secret(Name="wrong", SecretString=text)["ARN"]
    create(ondol.client(), "stranger", CODE)
    filled(rabbit, "there", [])
    access = [{"Type": "BASIC_AUTH", "URI": arn}]
    with pytest.raises(ClientError, match="does not let guest in"):
        ondol.client().create_event_source_mapping(
            FunctionName="stranger", EventSourceArn=BROKER, Queues=["there"], SourceAccessConfigurations=access
        )
