"""Sends records to the servers of other services, in threads: the loop waits for none of them."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ondol.events.deliveries import LINES, TAKERS, NotDelivered
from ondol.events.records import Delivery
from ondol.model.endpoint import Endpoints

if TYPE_CHECKING:
    from ondol.events.aws_calls import AwsCalls


class AwsCourier:
    """A `Courier` to the servers that are configured."""

    def __init__(self, endpoints: Endpoints, new_id: Callable[[], str]) -> None:
        self._endpoints = endpoints
        self._new_id = new_id
        self._threads = ThreadPoolExecutor(LINES * TAKERS, "deliveries")
        self._making = threading.Lock()
        self._calls: AwsCalls | None = None

    async def send(self, delivery: Delivery) -> None:
        service = delivery.service
        if self._endpoints.of(service) is None:
            raise NotDelivered(f"no server is configured for {service}: name one in ondol.toml under [endpoints]")
        await asyncio.get_running_loop().run_in_executor(self._threads, self._send, delivery)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _send(self, delivery: Delivery) -> None:
        # botocore's clients take a fifth of a second to import, and most ondols never send a record.
        from ondol.events.aws_calls import AwsCalls  # noqa: PLC0415

        with self._making:
            if self._calls is None:
                self._calls = AwsCalls(self._endpoints)
        self._calls.send(delivery, self._new_id())
