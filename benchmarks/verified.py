"""What it costs to verify callers: warm calls a second of 32 connections, beside an ondol that verifies nobody."""

import contextlib
import statistics
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from client import EVENT, invoke_path, wrk
from figure import Effort, Figure, Line
from functions import create
from harness import interleaved, median_ratio
from ondol.callers.credentials_file import OPERATOR_FILE, read_credentials
from platform_under_test import Ondol, data_directory, started

CONNECTIONS = 32
SECONDS = 4


def measure(effort: Effort) -> list[Line]:
    """Two ondols take turns, many of them: the machine's own pace changes by more than what is looked for.

    Both are sent what one of them verifies.
    """
    with contextlib.ExitStack() as stack:
        without = stack.enter_context(data_directory())
        verifying = stack.enter_context(data_directory())
        for data in (without, verifying):
            with started(data) as here:
                create(here.port, "echo")
        # The account's request rate is ten times its concurrency: at the default, 10,000/s would be the answer.
        plain = stack.enter_context(started(without, limits_concurrency=100_000))
        verified = stack.enter_context(started(verifying, limits_concurrency=100_000, auth="sigv4"))
        rates = interleaved(
            {
                "verified": lambda: _rate(verified, verified.data),
                "unverified": lambda: _rate(plain, verified.data),
            },
            effort.pick(8, 2),
        )
    return [
        Line(
            name=f"warm throughput with --auth sigv4, {CONNECTIONS} connections",
            ours=statistics.median(rates["verified"]),
            unit="/s",
            peer="without",
            theirs=statistics.median(rates["unverified"]),
            judged=median_ratio(rates["verified"], rates["unverified"]),
            judged_unit="x",
            must=0.9,
            aim=0.95,
            at_most=False,
        )
    ]


def _rate(here: Ondol, signer: Path) -> float:
    operator = read_credentials(signer / OPERATOR_FILE)
    assert operator is not None
    url = f"http://127.0.0.1:{here.port}{invoke_path('echo')}"
    request = AWSRequest("POST", url, {"Content-Type": "application/json"}, EVENT)
    SigV4Auth(Credentials(operator.access_key, operator.secret), "lambda", "us-east-1").add_auth(request)
    date = {"X-Amz-Date": request.headers["X-Amz-Date"]}
    authorization = request.headers["Authorization"]
    return wrk(here.port, "echo", CONNECTIONS, SECONDS, authorization=authorization, headers=date)


FIGURE = Figure("verified", measure)
