"""One mapping of a message broker's queue at work: one batch at a time, in order, as AWS has it for RabbitMQ.

```
 consume ─▶ filter ─▶ batch ─▶ invoke ─▶ acknowledge
    ▲                             └─ failed ─▶ everything back to the broker, and again after a while
    └──────────── 0.2 s, then twice as long each time, up to a minute ──┘
```
Whoever gives a batch back gives back all that it has been sent, so that the broker's order stays.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from ondol.aws.remote import RemoteUnavailable
from ondol.background import Background
from ondol.model.time import SECOND, Clock
from ondol.pollers.api import BrokerSettings, Invoker, Mapping, Ran, SourceRefused
from ondol.pollers.batching import PAYLOAD_BYTES, Batching
from ondol.pollers.broker_events import BrokerMessage, event_of
from ondol.pollers.filters import Filters
from ondol.pollers.policy import last_result, retry_delay
from ondol.waiting import happens

if TYPE_CHECKING:
    from ondol.pollers.broker_queue import BrokerQueue, Deliveries

WINDOW = SECOND // 2
"""AWS's for brokers, unless a mapping has its own."""

_LOOK_AGAIN_S = 1.0
"""How often a function that is missing, and a broker that failed, are looked for."""

_FRAME_BYTES = 4_096
"""More than a payload has beside its records: names of brokers and queues are long."""

_LARGEST_BYTES = PAYLOAD_BYTES - _FRAME_BYTES

_log = logging.getLogger(__name__)


class BrokerPoller:
    def __init__(
        self, mapping: Mapping, settings: BrokerSettings, queue: "BrokerQueue", invoker: Invoker, clock: Clock
    ) -> None:
        self._mapping = mapping
        self._settings = settings
        self._queue = queue
        self._invoker = invoker
        self._clock = clock
        self._window = mapping.window_s * SECOND if settings.window_given else WINDOW
        self._filters = Filters(mapping.filters or (), "data")
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._background = Background(f"reading the broker of the mapping {mapping.id}")
        self._complained = False
        self._of_function: str | None = None
        self._problem: str | None = None

    @property
    def last_result(self) -> str | None:
        return last_result(self._of_function, self._problem)

    async def start(self) -> None:
        self._background.spawn(self._run())

    async def stop(self) -> None:
        """As `Pollers.stop`: a batch that runs is settled, and what else was sent goes back to the broker."""
        self._stopping.set()
        self._wake.set()
        await self._background.finished()

    async def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            if await self._invoker.describe(self._mapping.function, self._mapping.qualifier) is None:
                await happens(self._stopping, _LOOK_AGAIN_S)
                continue
            try:
                async with self._queue.consume(self._mapping.batch_size, self._wake.set) as deliveries:
                    self._complained, self._problem = False, None
                    batches = await self._hand_on(deliveries)
            except (RemoteUnavailable, SourceRefused) as error:
                self._complain(error)
                await happens(self._stopping, _LOOK_AGAIN_S)
            else:
                failures = 1 if batches else failures + 1
                await happens(self._stopping, retry_delay(failures) / SECOND)

    async def _hand_on(self, deliveries: "Deliveries") -> int:
        """Batch by batch, until one fails or it is time to stop; how many went well."""
        batching: Batching[BrokerMessage] = Batching(self._mapping.batch_size, self._window, _LARGEST_BYTES)
        done = 0
        while batch := await self._next_batch(deliveries, batching):
            bodies = [message.body for message in batch]
            where = self._settings.queue, self._settings.virtual_host or "/"
            payload = event_of(self._mapping.source, *where, bodies)
            answer = await self._invoker.invoke(self._mapping.function, self._mapping.qualifier, payload)
            if not isinstance(answer, Ran):
                self._of_function = "PROBLEM: Function call failed"
                break
            await deliveries.acknowledge(batch[-1], and_before=True)
            self._of_function = "OK"
            done += 1
        return done

    async def _next_batch(
        self, deliveries: "Deliveries", batching: Batching[BrokerMessage]
    ) -> list[BrokerMessage] | None:
        """None when it is time to stop. Raises `RemoteUnavailable`."""
        while not self._stopping.is_set():
            self._wake.clear()
            for message in deliveries.take():
                if await self._is_for_the_function(message, deliveries):
                    batching.add(message, self._clock.now())
            if deliveries.lost:
                raise RemoteUnavailable("the connection is lost, or the queue is gone")
            if batch := batching.take(self._clock.now()):
                return batch
            due_at = batching.due_at
            await happens(self._wake, None if due_at is None else (due_at - self._clock.now()) / SECOND)
        return None

    async def _is_for_the_function(self, message: BrokerMessage, deliveries: "Deliveries") -> bool:
        """Otherwise it is settled."""
        if not self._filters.pass_on(message.record, lambda: message.text):
            await deliveries.acknowledge(message)
            return False
        if len(message.body) > _LARGEST_BYTES:
            name, size = self._mapping.id, len(message.body)
            _log.warning("the mapping %s drops a message of %d bytes: no function takes more than 6 MB", name, size)
            await deliveries.drop(message)
            return False
        return True

    def _complain(self, error: Exception) -> None:
        """Once, until it works again."""
        self._problem = str(error)
        if not self._complained:
            _log.warning("the mapping %s cannot read its broker: %s", self._mapping.id, error)
        self._complained = True
