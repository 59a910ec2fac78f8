"""Sends records to ondol's own event buses, and in threads to other services' servers: the loop waits for none."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from ondol.events.deliveries import LINES, TAKERS, NotDelivered
from ondol.events.records import SOURCE, Delivery, detail_type
from ondol.model.endpoint import Endpoints
from ondol.model.errors import OndolError
from ondol.model.sns import Message, MessageAttribute
from ondol.triggers.api import BusEntry, EventBuses, Topics

if TYPE_CHECKING:
    from ondol.events.aws_calls import AwsCalls


class AwsCourier:
    """A `Courier`. `buses` are meant by EventBridge unless a server is named for that."""

    def __init__(self, endpoints: Endpoints, buses: EventBuses, topics: Topics, new_id: Callable[[], str]) -> None:
        self._endpoints = endpoints
        self._buses = buses
        self._topics = topics
        self._new_id = new_id
        self._threads = ThreadPoolExecutor(LINES * TAKERS, "deliveries")
        self._making = threading.Lock()
        self._calls: AwsCalls | None = None

    async def send(self, delivery: Delivery) -> None:
        service = delivery.service
        if service == "events" and service not in self._endpoints.named:
            await self._put(delivery)
            return
        if self._endpoints.of(service) is None:
            raise NotDelivered(f"no server is configured for {service}: name one in ondol.toml under [endpoints]")
        await asyncio.get_running_loop().run_in_executor(self._threads, self._send, delivery)
        if service == "sns":
            await self._publish(delivery)

    async def _put(self, delivery: Delivery) -> None:
        entry = BusEntry(
            SOURCE,
            detail_type(delivery),
            msgspec.json.decode(delivery.body),
            (delivery.destination, delivery.source),
            delivery.at,
            delivery.trace,
        )
        try:
            await self._buses.put(delivery.destination, entry)
        except OndolError as error:
            raise NotDelivered(str(error)) from error

    async def _publish(self, delivery: Delivery) -> None:
        """The topic's server has it; functions that subscribe are ondol's."""
        attributes = {name: MessageAttribute(*attribute) for name, attribute in delivery.attributes.items()}
        message = Message(self._new_id(), delivery.body, attributes=attributes, trace=delivery.trace)
        try:
            await self._topics.published(delivery.destination, message)
        except OndolError as error:
            raise NotDelivered(str(error)) from error

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _send(self, delivery: Delivery) -> None:
        # botocore's clients take a fifth of a second to import, and most ondols never send a record.
        from ondol.events.aws_calls import AwsCalls  # noqa: PLC0415

        with self._making:
            if self._calls is None:
                self._calls = AwsCalls(self._endpoints)
        self._calls.send(delivery, self._new_id())
