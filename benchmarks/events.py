"""Asynchronous invocations: how many are accepted a second, how soon they start, and what a backlog costs in memory."""

import asyncio
import contextlib
import http.client
import json
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import peers
from client import EVENT, HEADERS, Caller, invoke_path, wrk
from figure import Effort, Figure, Line
from functions import CREATED, create
from harness import BenchmarkError, interleaved
from memory import private_kb
from ondol.events.api import Event
from ondol.events.policy import shard_of, shortest
from ondol.events.service import queue_name
from ondol.events.steps import encode
from ondol.linux.clock import SystemClock
from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, Region, RequestId
from ondol.store.sqlite import SqliteStore
from ondol.store.sqlite_queues import SqliteQueues
from platform_under_test import data_directory, ondol, started

CONNECTIONS = 32
SETTLED_S = 10.0

TELLS = """
import os, socket, time

def handler(event, context):
    now = time.monotonic_ns()
    with socket.create_connection(("host.ondol.internal", int(event["port"]))) as connection:
        connection.sendall(b"%d" % now)
"""
SLEEPS = """
import time

def handler(event, context):
    time.sleep(50)
"""


def measure(effort: Effort) -> list[Line]:
    return [_accepted(effort), _start(effort), _backlog(effort)]


def _accepted(effort: Effort) -> Line:
    """By wrk, in turns; what was accepted is run meanwhile."""
    seconds = effort.pick(4, 1)
    with contextlib.ExitStack() as stack:
        here = stack.enter_context(ondol(limits_concurrency=100_000))
        create(here.port, "echo")
        mini_port = stack.enter_context(peers.ministack())
        create(mini_port, "echo")
        rates = interleaved(
            {
                "ondol": lambda: wrk(here.port, "echo", CONNECTIONS, seconds, "events.lua"),
                # Once enough of those that it took are waiting it refuses some, or all for a while: so each is judged
                # by what it accepted in all of its turns.
                "ministack": lambda: wrk(mini_port, "echo", CONNECTIONS, seconds, "events.lua", may_refuse=True),
            }
        )
    ours, theirs = statistics.fmean(rates["ondol"]), statistics.fmean(rates["ministack"])
    if not theirs:
        raise BenchmarkError("ministack accepted no event")
    return Line(
        name=f"events accepted, {CONNECTIONS} connections",
        ours=ours,
        unit="/s",
        peer="ministack",
        theirs=theirs,
        judged=ours / theirs,
        judged_unit="x",
        must=3.0,
        at_most=False,
    )


def _start(effort: Effort) -> Line:
    """From the 202 to the first line of the function, one event after the other."""
    with _listening() as listener:
        port = listener.getsockname()[1]
        with ondol(network_allow_hosts=f"127.0.0.1:{port}") as here:
            create(here.port, "tells", TELLS)
            delays = [_delay_ms(here.port, listener) for _ in range(effort.pick(300, 50))]
    return Line(name="202 to the function's start, p50", ours=statistics.median(delays), unit="ms", must=15, aim=5)


def _delay_ms(port: int, listener: socket.socket) -> float:
    event = json.dumps({"port": listener.getsockname()[1]}).encode()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", invoke_path("tells"), event, {**HEADERS, "X-Amz-Invocation-Type": "Event"})
        if connection.getresponse().status != 202:
            raise BenchmarkError("an event was not accepted")
        answered = time.monotonic_ns()
    told, _ = listener.accept()
    with told:
        began = int(told.recv(64))
    return (began - answered) / 1e6


@contextlib.contextmanager
def _listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        yield listener


def _backlog(effort: Effort) -> Line:
    """Of the platform's process, with a backlog of one function that may run once at a time, above that without."""
    events = effort.pick(1_000_000, 100_000)
    with data_directory() as data:
        with started(data) as here:
            create(here.port, "sleeps", SLEEPS)
            with Caller(here.port) as caller:
                body = json.dumps({"ReservedConcurrentExecutions": 1}).encode()
                caller.request("PUT", f"/2017-10-31{CREATED.removeprefix('/2015-03-31')}/sleeps/concurrency", body)
            time.sleep(SETTLED_S)
            idle = private_kb(here.pid)
        asyncio.run(_fill(data / "store.db", events))
        with started(data) as here:
            until = time.monotonic() + SETTLED_S
            largest = 0
            while time.monotonic() < until:
                largest = max(largest, private_kb(here.pid))
                time.sleep(0.1)
    return Line(
        name=f"memory of {events:,} waiting events",
        ours=(largest - idle) / 1024,
        unit="MB",
        must=300,
        aim=150,
    )


async def _fill(file: Path, events: int) -> None:
    """Put events into the queues as ondol does, without its door."""
    clock = SystemClock()
    store = await SqliteStore.open(file)
    queues = SqliteQueues(store, clock)
    function = FunctionKey(AccountId("000000000000"), Region("us-east-1"), "sleeps")
    shard = shard_of(function)
    numbers = iter(range(events))

    async def fill() -> None:
        for number in numbers:
            event = Event(RequestId(f"00000000-0000-4000-8000-{number:012x}"), function, None, EVENT, clock.wall())
            queue = queue_name(shortest(shard, lambda of: queues.length(queue_name(of))))
            await queues.put(queue, encode(event))

    await asyncio.gather(*(fill() for _ in range(256)))
    await store.close()


FIGURE = Figure("events", measure)
