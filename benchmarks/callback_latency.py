"""How long boto3 in a function takes to invoke another one, beside the same call made outside of any sandbox."""

import json
import statistics
import time

import boto3
from botocore.config import Config

from client import Caller, answer_of
from figure import Effort, Figure, Line
from functions import create
from harness import interleaved
from platform_under_test import ondol

CALLS = 200

CALLS_BACK = """
import statistics, time
import boto3

client = boto3.client("lambda")

def handler(event, context):
    took = []
    for _ in range(event["calls"]):
        began = time.perf_counter()
        client.invoke(FunctionName="echo", Payload=b"{}")["Payload"].read()
        took.append(time.perf_counter() - began)
    return {"p50_ms": statistics.median(took) * 1000}
"""


def measure(effort: Effort) -> list[Line]:
    """One client each, one call after the other, in turns of 200 calls; both verify and sign as boto3 does."""
    calls = effort.pick(CALLS, 50)
    with ondol() as here, Caller(here.port) as caller:
        create(here.port, "echo")
        create(here.port, "calls-back", CALLS_BACK)
        outside = boto3.client(
            "lambda",
            endpoint_url=f"http://127.0.0.1:{here.port}",
            region_name="us-east-1",
            aws_access_key_id="000000000000",
            aws_secret_access_key="secret",
            config=Config(retries={"max_attempts": 0}),
        )

        def inside_p50() -> float:
            answer = answer_of(caller.invoke("calls-back", json.dumps({"calls": calls}).encode()))
            return float(str(answer["p50_ms"]))

        def outside_p50() -> float:
            took = []
            for _ in range(calls):
                began = time.perf_counter()
                outside.invoke(FunctionName="echo", Payload=b"{}")["Payload"].read()
                took.append(time.perf_counter() - began)
            return statistics.median(took) * 1000

        p50s = interleaved({"inside": inside_p50, "outside": outside_p50}, effort.pick(9, 5))
    return [
        Line(
            name="callback: boto3 in a function invokes another, p50",
            ours=statistics.median(p50s["inside"]),
            unit="ms",
            peer="the same call outside",
            theirs=statistics.median(p50s["outside"]),
            judged=statistics.median(a - b for a, b in zip(p50s["inside"], p50s["outside"], strict=True)),
            judged_unit="ms more",
            must=2.0,
            aim=0.5,
        )
    ]


FIGURE = Figure("callback", measure)
