"""How long a function takes to invoke another through the SDK, beside the same call from outside."""

import contextlib
import json
import statistics
import time

import boto3

from client import EVENT, Caller, answer_of
from figure import Effort, Figure, Line
from functions import create
from harness import interleaved
from platform_under_test import ondol

CALLS = 100

CALLS_ANOTHER = """
import time
import boto3

client = boto3.client("lambda")

def handler(event, context):
    taken = []
    for _ in range(event["calls"]):
        began = time.perf_counter()
        client.invoke(FunctionName="echo", Payload=event["payload"])["Payload"].read()
        taken.append((time.perf_counter() - began) * 1e3)
    return {"taken": taken}
"""


def measure(effort: Effort) -> list[Line]:
    """The same SDK of the same version on the same interpreter; turns of 100 calls on one kept-alive connection."""
    with contextlib.ExitStack() as stack:
        here = stack.enter_context(ondol())
        caller = stack.enter_context(Caller(here.port))
        create(here.port, "echo")
        create(here.port, "calls", CALLS_ANOTHER)
        client = boto3.client(
            "lambda",
            endpoint_url=f"http://127.0.0.1:{here.port}",
            region_name="us-east-1",
            aws_access_key_id="000000000000",
            aws_secret_access_key="secret",
        )
        stack.callback(client.close)

        def outside() -> float:
            taken = []
            for _ in range(CALLS):
                began = time.perf_counter()
                client.invoke(FunctionName="echo", Payload=EVENT)["Payload"].read()
                taken.append((time.perf_counter() - began) * 1e3)
            return statistics.median(taken)

        def inside() -> float:
            event = json.dumps({"calls": CALLS, "payload": EVENT.decode()}).encode()
            taken = answer_of(caller.invoke("calls", event))["taken"]
            assert isinstance(taken, list)
            return statistics.median(taken)

        p50s = interleaved({"inside": inside, "outside": outside}, effort.pick(15, 5))
    return [
        Line(
            name="callback: boto3 in a function invokes another, p50",
            ours=statistics.median(p50s["inside"]),
            unit="ms",
            peer="the same outside",
            theirs=statistics.median(p50s["outside"]),
            judged=statistics.median(a - b for a, b in zip(p50s["inside"], p50s["outside"], strict=True)),
            judged_unit="ms more",
            must=2,
            aim=0.5,
        )
    ]


FIGURE = Figure("callback", measure)
