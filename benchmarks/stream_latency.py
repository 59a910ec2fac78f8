"""How long what a streaming function writes takes to its client: the first piece of a response, and later ones."""

import contextlib
import http.client
import json
import re
import statistics
import time
from collections.abc import Iterator

from client import HEADERS
from figure import Effort, Figure, Line
from functions import create
from harness import BenchmarkError
from platform_under_test import ondol

STREAMS = """
import json, os, socket, time

host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
connection = socket.create_connection((host, int(port)))
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
incoming = connection.makefile("rb")

def receive():
    incoming.readline()
    fields = dict(iter(lambda: tuple(incoming.readline().decode().rstrip().lower().split(": ", 1)), ("",)))
    return fields, incoming.read(int(fields["content-length"]))

while True:
    connection.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: runtime\\r\\n\\r\\n")
    fields, event = receive()
    outgoing = (
        f"POST /2018-06-01/runtime/invocation/{fields['lambda-runtime-aws-request-id']}/response HTTP/1.1\\r\\n"
        "Host: runtime\\r\\nLambda-Runtime-Function-Response-Mode: streaming\\r\\n"
        "Transfer-Encoding: chunked\\r\\n\\r\\n"
    ).encode()
    for _ in range(json.loads(event)["pieces"]):
        time.sleep(0.005)
        connection.sendall(outgoing + b"16\\r\\n<%020d>\\r\\n" % time.monotonic_ns())
        outgoing = b""
    connection.sendall(b"0\\r\\n\\r\\n")
    receive()
"""
"""Brings a runtime of its own, for Python's has no streaming: each piece says when it was written."""

FIRST_STREAMS = 400
PIECES = 400

_WRITTEN = re.compile(rb"<(\d{20})>")


def measure(effort: Effort) -> list[Line]:
    """One connection, one stream after the other; function and client read the same clock."""
    with ondol() as here:
        create(here.port, "streams", STREAMS)
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", here.port, timeout=60)) as connection:
            list(_delays(connection, PIECES // 4))
            first = [delay for _ in range(effort.pick(FIRST_STREAMS, 100)) for delay in _delays(connection, 1)]
            later = list(_delays(connection, effort.pick(PIECES, 100)))[1:]
    return [
        Line(name="stream: write to client's first byte, p50", ours=statistics.median(first), unit="ms", must=3, aim=1),
        Line(name="stream: write to client, later pieces, p50", ours=statistics.median(later), unit="ms"),
    ]


def _delays(connection: http.client.HTTPConnection, pieces: int) -> Iterator[float]:
    """Milliseconds from the write of each piece of one stream to its arrival."""
    path = "/2021-11-15/functions/streams/response-streaming-invocations"
    connection.request("POST", path, json.dumps({"pieces": pieces}), HEADERS)
    answer = connection.getresponse()
    came = 0
    ending = b""
    while piece := answer.read1(65_536):
        now = time.monotonic_ns()
        for written in _WRITTEN.findall(piece):
            came += 1
            yield (now - int(written)) / 1e6
        ending = piece
    if came != pieces or b"InvokeComplete" not in ending or b"ErrorCode" in ending:
        raise BenchmarkError(f"{came} pieces of {pieces} came, and last {ending[-500:]!r}")


FIGURE = Figure("stream", measure)
