"""Clients of the Invoke API: one call at a time with Python's own http.client, many at once with asyncio, and wrk."""

import asyncio
import http.client
import json
import re
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from harness import BenchmarkError

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=000000000000/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0"
)
HEADERS = {"Authorization": AUTHORIZATION, "Content-Type": "application/json"}
EVENT = b'{"key1": "value1", "key2": "value2", "key3": "value3"}'
"""The console's test event."""

T = TypeVar("T")


def invoke_path(function: str) -> str:
    return f"/2015-03-31/functions/{function}/invocations"


class Caller:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Raises `BenchmarkError` unless the answer is a success."""
        self._connection.request(method, path, body, HEADERS)
        answer = self._connection.getresponse()
        text = answer.read()
        if not 200 <= answer.status < 300 or answer.headers.get("X-Amz-Function-Error"):
            raise BenchmarkError(f"{method} {path} on port {self._port} was answered {answer.status}: {text[:500]!r}")
        return text

    def invoke(self, function: str, event: bytes = EVENT) -> bytes:
        return self.request("POST", invoke_path(function), event)

    def timed_invoke(self, function: str) -> float:
        """Milliseconds that one invocation took."""
        began = time.perf_counter()
        self.invoke(function)
        return (time.perf_counter() - began) * 1e3

    def p50(self, function: str, calls: int) -> float:
        """Median of so many calls back to back, in milliseconds."""
        return statistics.median(self.timed_invoke(function) for _ in range(calls))


async def exchange(port: int, method: str, path: str, body: bytes = b"") -> bytes:
    """One request on a connection of its own. Raises `BenchmarkError` unless the answer is a success."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            return await exchange_on(reader, writer, method, path, body)
        finally:
            writer.close()
    except (OSError, asyncio.IncompleteReadError) as error:
        raise BenchmarkError(f"{method} {path} on port {port} was cut off: {error}") from error


async def exchange_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, path: str, body: bytes = b""
) -> bytes:
    """As `exchange`, on a connection that is there."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {AUTHORIZATION}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"^content-length: *(\d+)\r$", answer, re.IGNORECASE | re.MULTILINE)
    text = await reader.readexactly(int(length[1])) if length else b""
    if answer[9] != "2" or "x-amz-function-error" in answer.lower():
        raise BenchmarkError(f"{method} {path} on port {port_of(writer)} was answered {answer[9:12]}: {text[:500]!r}")
    return text


def port_of(writer: asyncio.StreamWriter) -> int:
    return int(writer.get_extra_info("peername")[1])


async def in_parallel(work: Callable[[T], Awaitable[None]], items: Iterable[T], width: int) -> None:
    """Do the work on every item, so many at a time; the first failure ends all."""
    waiting = iter(items)

    async def lane() -> None:
        for item in waiting:
            await work(item)

    await asyncio.gather(*(lane() for _ in range(width)))


def wrk(
    port: int,
    function: str,
    connections: int,
    seconds: int,
    script_name: str = "invoke.lua",
    *,
    authorization: str = AUTHORIZATION,
    headers: Mapping[str, str] | None = None,
    may_refuse: bool = False,
) -> float:
    """Invocations a second over so many connections that were answered with success.

    Raises `BenchmarkError`, unless the server `may_refuse`, if any was cut off or answered with an error.
    """
    script = Path(__file__).with_name(script_name)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script)]
    command += [f"http://127.0.0.1:{port}{invoke_path(function)}", authorization, EVENT.decode()]
    command += [f"{name}: {value}" for name, value in (headers or {}).items()]
    report = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 30).stdout
    rate = re.search(r"Requests/sec: +([\d.]+)", report)
    answered = re.search(r"(\d+) requests in", report)
    refused = re.search(r"Non-2xx or 3xx responses: +(\d+)", report)
    errors = refused or "Socket errors" in report
    if rate is None or answered is None or (errors and not may_refuse):
        raise BenchmarkError(f"wrk on port {port} met errors:\n{report}")
    return float(rate[1]) * (1 - int(refused[1]) / int(answered[1]) if refused else 1)


def answer_of(text: bytes) -> dict[str, object]:
    """A function's answer, if it is the object that it should be."""
    answer = json.loads(text)
    if not isinstance(answer, dict):
        raise BenchmarkError(f"the function answered {text[:200]!r}")
    return answer
