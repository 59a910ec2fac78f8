"""Messages a second that a mapping takes from a queue, beside a bare loop that receives and deletes them."""

import contextlib
import statistics
import threading
import time
from collections.abc import Iterator
from typing import Any

import boto3

import peers
from figure import Effort, Figure, Line
from functions import create
from harness import BenchmarkError, interleaved, median_ratio
from platform_under_test import ondol

LOOPS = 5
"""As many as a mapping has pollers at first."""

_REGION = "us-east-1"
_LIMIT_S = 120.0


def measure(effort: Effort) -> list[Line]:
    """The queue, on the peer's server, is filled before each turn; batches have ten messages."""
    messages = effort.pick(5_000, 1_000)
    with contextlib.ExitStack() as stack:
        server = f"http://127.0.0.1:{stack.enter_context(peers.ministack())}"
        here = stack.enter_context(ondol(endpoints_sqs=server))
        create(here.port, "echo")
        queues = _filled_queues(server, messages)
        client = _client("lambda", f"http://127.0.0.1:{here.port}")
        rates = interleaved(
            {
                "ondol": lambda: messages / _mapped_s(client, server, next(queues)),
                "loop": lambda: messages / _bare_s(server, next(queues)),
            }
        )
    return [
        Line(
            name="messages of a queue through a batch-10 echo function",
            ours=statistics.median(rates["ondol"]),
            unit="/s",
            peer=f"{LOOPS} bare receive-and-delete loops",
            theirs=statistics.median(rates["loop"]),
            judged=median_ratio(rates["ondol"], rates["loop"]),
            judged_unit="x",
            must=0.8,
            aim=0.95,
            at_most=False,
        )
    ]


def _client(service: str, endpoint: str) -> Any:
    keys = {"aws_access_key_id": "000000000000", "aws_secret_access_key": "secret"}
    return boto3.client(service, endpoint_url=endpoint, region_name=_REGION, **keys)


def _filled_queues(server: str, messages: int) -> Iterator[str]:
    """URLs of queues with so many messages."""
    sqs = _client("sqs", server)
    for queue in range(1_000):
        hidden = {"VisibilityTimeout": "60"}
        url: str = sqs.create_queue(QueueName=f"queue-{queue}", Attributes=hidden)["QueueUrl"]
        for first in range(0, messages, 10):
            entries = [{"Id": str(each), "MessageBody": f"message {first + each}"} for each in range(10)]
            sqs.send_message_batch(QueueUrl=url, Entries=entries)
        yield url


def _mapped_s(client: Any, server: str, url: str) -> float:
    """Seconds from the mapping's creation until the queue is empty."""
    source = f"arn:aws:sqs:{_REGION}:000000000000:{url.rpartition('/')[2]}"
    sqs = _client("sqs", server)
    began = time.perf_counter()
    mapping = client.create_event_source_mapping(FunctionName="echo", EventSourceArn=source)["UUID"]
    while _messages_in(sqs, url):
        if time.perf_counter() - began > _LIMIT_S:
            raise BenchmarkError(f"the queue was not empty after {_LIMIT_S:g} s")
        time.sleep(0.02)
    took = time.perf_counter() - began
    client.delete_event_source_mapping(UUID=mapping)
    return took


def _messages_in(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(told[each]) for each in names)


def _bare_s(server: str, url: str) -> float:
    loops = [threading.Thread(target=_receive_and_delete, args=(_client("sqs", server), url)) for _ in range(LOOPS)]
    began = time.perf_counter()
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()
    return time.perf_counter() - began


def _receive_and_delete(sqs: Any, url: str) -> None:
    """Until there is nothing left; it asks for what a mapping asks for."""
    wanted = {"MaxNumberOfMessages": 10, "AttributeNames": ["All"], "MessageAttributeNames": ["All"]}
    while messages := sqs.receive_message(QueueUrl=url, **wanted).get("Messages"):
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]} for number, message in enumerate(messages)
        ]
        sqs.delete_message_batch(QueueUrl=url, Entries=entries)


FIGURE = Figure("queue", measure)
