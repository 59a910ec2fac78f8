"""The campaign against a real ondol: kill -9 at seeded moments, on one store from the first round to the last.

While clients send events, functions succeed, fail, die and are throttled, records go to queues, a topic and a function,
events to a dead-letter queue. ondol is killed in the middle of that, while it starts, or while it stops.
"""

import contextlib
import http.client
import json
import random
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from campaign.effects import Destinations, Effects
from campaign.ledger import DONE, EXIT, FAIL, Kind, Ledger
from moto_server import Moto
from ondol.model.function import EventSettings
from ondol.model.limits import EventSchedule
from ondol.model.time import MILLISECOND, SECOND
from ondol_process import OndolProcess, create

SENDERS = 3
MORE_UNRESOLVED, MOST_UNRESOLVED = 30, 300
"""So many more than at its start in one life, and so many in all: many are to be under way, few are to wait."""

MOST_WORK_S = 5.0
PATIENCE_S = 1_000.0
"""An event that was throttled often waits for up to five minutes, and may be throttled again then."""

SETTLED = 250
"""ondol has said so often that it has nothing to do, over more time than a destination has to answer: what still lacks
is lost."""

SCHEDULE = EventSchedule(retry=50 * MILLISECOND, backoff=50 * MILLISECOND)

PROUD = "arn:aws:sqs:us-east-1:000000000000:proud"
DEAD = "arn:aws:sqs:us-east-1:000000000000:dead"
FAILED = "arn:aws:sns:us-east-1:000000000000:failed"
SINK = "arn:aws:lambda:us-east-1:000000000000:function:sink"

KINDS = [
    Kind("told", EventSettings(), lambda number, before: FAIL if number % 5 == 0 and not before else DONE),
    Kind("dies", EventSettings(), lambda number, before: EXIT if number % 2 == 0 and not before else DONE),
    Kind("proud", EventSettings(on_success=PROUD), lambda number, before: DONE),
    Kind(
        "hopeless",
        EventSettings(max_retries=1, on_failure=FAILED, dead_letter=DEAD),
        lambda number, before: FAIL,
    ),
    Kind("narrow", EventSettings(on_success=SINK), lambda number, before: DONE, reserved=1),
]

WEIGHTS = [3, 3, 3, 3, 1]
"""Of these kinds: who is throttled takes long to come to an end."""

CODE = """
import os, socket

def h(event, context):
    number = event if isinstance(event, int) else event["requestPayload"]
    with socket.create_connection(("host.ondol.internal", int(os.environ["PORT"])), 10) as connection:
        connection.sendall(f"{context.function_name} {number}\\n".encode())
        end = connection.recv(16)
    if end == b"exit":
        os._exit(1)
    if end != b"done":
        raise RuntimeError("to be tried again")
"""

HEADERS = {
    "X-Amz-Invocation-Type": "Event",
    "Authorization": "AWS4-HMAC-SHA256 Credential=000000000000/20260101/us-east-1/lambda/aws4_request, "
    "SignedHeaders=host, Signature=0",
}


class LiveCampaign:
    """Use as a context manager: `round` as often as wanted, then `finish`."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._chance = random.Random(seed)
        self.ledger = Ledger(KINDS, SCHEDULE, SINK)
        self._moto = Moto()
        self._effects = Effects(self.ledger)
        self._destinations = self._make_destinations()
        settings = {
            "ENDPOINTS_DEFAULT": self._moto.endpoint,
            "NETWORK_ALLOW_HOSTS": f"127.0.0.1:{self._effects.port}",
            "EVENTS_RETRY_S": str(SCHEDULE.retry / SECOND),
            "EVENTS_BACKOFF_S": str(SCHEDULE.backoff / SECOND),
            "WORKER_SLOTS_AHEAD": "2",
        }
        self._ondol = OndolProcess(directory / "data", settings)

    def __enter__(self) -> "LiveCampaign":
        with self._ondol as ondol:
            self._make_functions(ondol)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ondol.process is not None:
            self._ondol.kill()
        self._destinations.close()
        self._effects.close()
        self._moto.close()

    def round(self) -> str:
        """Start, work, and be killed; when, in words."""
        chance, ondol = self._chance, self._ondol
        when = chance.choices(["starts", "works", "stops"], [15, 70, 15])[0]
        if when == "starts":
            ondol.launch()
            time.sleep(chance.uniform(0.0, 0.8))
        else:
            ondol.start()
            with self._senders():
                self.ledger.wait_for(chance.choice([0, chance.randrange(5), chance.randrange(60)]), MOST_WORK_S)
                time.sleep(chance.uniform(0.0, 0.05))
                if when == "stops":
                    ondol.ask_to_stop()
                    time.sleep(chance.uniform(0.0, 0.2))
                ondol.kill()
        if ondol.process is not None:
            ondol.kill()
        self.ledger.killed()
        return when

    def finish(self) -> list[str]:
        """Start once more, and wait until all is done, or nothing more is to come: what is wrong."""
        with self._ondol as ondol:
            deadline = time.monotonic() + PATIENCE_S
            idle = 0
            while self.ledger.unresolved() and idle < SETTLED and time.monotonic() < deadline:
                time.sleep(0.1)
                idle = idle + 1 if self._is_idle(ondol) else 0
        return self.ledger.losses() + self.ledger.excesses()

    def _is_idle(self, ondol: OndolProcess) -> bool:
        request = urllib.request.Request(f"{ondol.endpoint}/_ondol/status", headers=HEADERS)
        with urllib.request.urlopen(request, timeout=10) as answer:
            events = json.load(answer)["events"]
        return not any(events.values())

    @contextlib.contextmanager
    def _senders(self) -> Iterator[None]:
        over = threading.Event()
        chances = [random.Random(self._chance.random()) for _ in range(SENDERS)]
        senders = [threading.Thread(target=self._send, args=(chance, over)) for chance in chances]
        for sender in senders:
            sender.start()
        yield
        over.set()
        for sender in senders:
            sender.join()

    def _send(self, chance: random.Random, over: threading.Event) -> None:
        """Events until the connection breaks; one without an answer may be there or not."""
        most = min(self.ledger.unresolved() + MORE_UNRESOLVED, MOST_UNRESOLVED)
        address = urlsplit(self._ondol.endpoint)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            while not over.is_set():
                if self.ledger.unresolved() > most:
                    over.wait(0.01)
                    continue
                [kind] = chance.choices(KINDS, WEIGHTS)
                function = kind.name
                number = self.ledger.sent(function)
                connection.request("POST", f"/2015-03-31/functions/{function}/invocations", str(number), HEADERS)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 202:
                    return  # it stops
                self.ledger.acknowledged(number)

    def _make_destinations(self) -> Destinations:
        sqs, sns = self._moto.client("sqs"), self._moto.client("sns")
        names = {PROUD: "proud", DEAD: "dead", FAILED: "failed"}
        urls = {arn: sqs.create_queue(QueueName=name)["QueueUrl"] for arn, name in names.items()}
        topic = sns.create_topic(Name="failed")["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=FAILED.replace(":sns:", ":sqs:"))
        return Destinations(self.ledger, sqs, urls)

    def _make_functions(self, ondol: OndolProcess) -> None:
        client = ondol.client()
        variables = {"Variables": {"PORT": str(self._effects.port)}}
        for name in [kind.name for kind in KINDS] + ["sink"]:
            create(client, name, CODE, MemorySize=1769, Timeout=30, Environment=variables)
        for kind in KINDS:
            settings = kind.settings
            wanted = {"OnSuccess": settings.on_success, "OnFailure": settings.on_failure}
            client.put_function_event_invoke_config(
                FunctionName=kind.name,
                MaximumRetryAttempts=settings.max_retries,
                DestinationConfig={role: {"Destination": arn} for role, arn in wanted.items() if arn},
            )
            if settings.dead_letter:
                client.update_function_configuration(
                    FunctionName=kind.name, DeadLetterConfig={"TargetArn": settings.dead_letter}
                )
                client.get_waiter("function_updated_v2").wait(FunctionName=kind.name, WaiterConfig={"Delay": 0.05})
            if kind.reserved:
                client.put_function_concurrency(FunctionName=kind.name, ReservedConcurrentExecutions=kind.reserved)
