"""Takes records to their destinations: from queues of their own, those to each service apart.

So a server that hangs holds up no event, and no record to another. A record is acknowledged when its destination has
it, and is tried for as long as it has not: 1 s later, then doubling up to 5 minutes. Nothing is given up. A Lambda
function gets its record as an event.
"""

import asyncio
import logging
import zlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from ondol.background import Background
from ondol.events.policy import backoff
from ondol.events.records import Delivery
from ondol.events.steps import decode, encode
from ondol.model.errors import InvariantError
from ondol.model.limits import EventSchedule
from ondol.store.protocol import Message, Queues

SERVERS = ("sqs", "sns", "events", "s3")
"""Services whose server may hang as a whole. Functions, and what no server takes, are the others."""

LINES = 4
"""For each of these services, and for the others."""

TAKERS = 2
"""For each line: as many records of it are under way at once."""

_log = logging.getLogger(__name__)


class NotDelivered(Exception):
    """The destination does not have it, or has not said so: a sentence that says why."""


class Courier(Protocol):
    async def send(self, delivery: Delivery) -> None:
        """Raises `NotDelivered`."""
        ...


class Deliveries:
    """Records on their way. Destinations are spread over lines by their service and their name."""

    def __init__(
        self,
        queues: Queues,
        schedule: EventSchedule,
        chance: Callable[[], float],
        courier: Courier,
        invoke: Callable[[Delivery], Awaitable[None]],
    ) -> None:
        self._queues = queues
        self._schedule = schedule
        self._chance = chance
        self._courier = courier
        self._invoke = invoke
        self._takers = Background("taking records to their destinations")

    def open(self) -> None:
        for line in _ALL_LINES:
            for _ in range(TAKERS):
                self._takers.spawn(self._take(line))

    async def close(self) -> None:
        """What is under way is delivered again after the next start, unless it is over now."""
        self._takers.cancel()
        await self._takers.finished()

    async def put(self, delivery: Delivery) -> None:
        """Durable when it returns. Raises `StoreError`."""
        service = delivery.service if delivery.service in SERVERS else _OTHERS
        number = zlib.crc32(delivery.destination.encode()) % LINES
        await self._queues.put(_line(service, number), encode(delivery))

    async def forget_all(self) -> None:
        await asyncio.gather(*map(self._queues.purge, _ALL_LINES))

    @property
    def waiting(self) -> int:
        return sum(map(self._queues.length, _ALL_LINES))

    async def _take(self, line: str) -> None:
        while True:
            for message in await self._queues.take(line, 1):
                await self._deliver(message)

    async def _deliver(self, message: Message) -> None:
        delivery = decode(message.body)
        if not isinstance(delivery, Delivery):
            raise InvariantError(f"message {message.id} of {message.queue} is no delivery")
        try:
            if delivery.service == "lambda":
                await self._invoke(delivery)
            else:
                await self._courier.send(delivery)
        except NotDelivered as error:
            if message.put_back == 0:
                _log.warning(
                    "%s of %s is not at %s: %s", delivery.request_id, delivery.source, delivery.destination, error
                )
            self._queues.put_back(message, backoff(message.put_back, self._schedule, self._chance()))
        else:
            self._queues.acknowledge(message)


def _line(service: str, number: int) -> str:
    """The name of a queue in the store."""
    return f"deliveries/{service}/{number}"


_OTHERS = "others"
_ALL_LINES = [_line(service, number) for service in (*SERVERS, _OTHERS) for number in range(LINES)]
