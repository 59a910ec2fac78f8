"""The pollers' shell: one poller for each mapping that is enabled, of the kind that its source needs."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ondol.aws.remote import Remote, RemoteError, RemoteUnavailable
from ondol.model.errors import InvariantError, Outcome, PlatformError
from ondol.model.time import Clock
from ondol.pollers.api import BrokerSettings, Invoker, Mapping, SourceRefused, SourceUnavailable
from ondol.pollers.broker_poller import BrokerPoller
from ondol.pollers.checkpoints import Checkpoints
from ondol.pollers.destinations import Destinations
from ondol.pollers.queue import Queue
from ondol.pollers.queue_poller import QueuePoller
from ondol.pollers.shard_reader import StreamParts
from ondol.pollers.sources import Kind, Source, parse_source
from ondol.pollers.stream_poller import StreamPoller
from ondol.pollers.streams import KinesisStream, Stream, TableStream
from ondol.store.protocol import Store, StoreError
from ondol.triggers.api import Topics

if TYPE_CHECKING:
    from ondol.pollers.broker_queue import BrokerQueue


class Poller(Protocol):
    @property
    def last_result(self) -> str | None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class PollersService:
    """`Pollers`. `open` before control begins; `close` before those go whom it needs."""

    def __init__(self, *, store: Store, remote: Remote, clock: Clock, new_id: Callable[[], str]) -> None:
        self._store = store
        self._remote = remote
        self._clock = clock
        self._new_id = new_id
        self._invoker: Invoker | None = None
        self._destinations: Destinations | None = None
        self._pollers: dict[str, Poller] = {}

    def open(self, invoker: Invoker, topics: Topics) -> None:
        """Mappings can be started from now on; `invoker` runs their functions, `topics` knows who subscribes."""
        self._invoker = invoker
        self._destinations = Destinations(self._remote, self._clock, self._new_id, topics.published)

    async def close(self, drain_s: float) -> None:
        """Stop all; what runs has so long to end."""
        stopping = [asyncio.ensure_future(poller.stop()) for poller in self._pollers.values()]
        if stopping:
            _, late = await asyncio.wait(stopping, timeout=drain_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*stopping, return_exceptions=True)

    async def check(self, mapping: Mapping, function_timeout_s: int) -> None:
        source = _source_of(mapping)
        try:
            if mapping.broker is not None:
                await self._broker_queue(mapping, mapping.broker).check()
            elif source.kind is Kind.SQS:
                await self._check_queue(Queue(self._remote, source, mapping.source), function_timeout_s)
            else:
                await self._check_stream(self._stream(mapping, source), mapping)
        except RemoteUnavailable as error:
            raise SourceUnavailable(str(error)) from error

    async def start(self, mapping: Mapping) -> None:
        if self._invoker is None or self._destinations is None or mapping.id in self._pollers:
            raise InvariantError(f"the mapping {mapping.id} is polled already, or too early")
        self._pollers[mapping.id] = poller = self._poller(mapping, self._invoker, self._destinations)
        await poller.start()

    async def stop(self, mapping_id: str) -> None:
        poller = self._pollers.get(mapping_id)
        if poller is not None:
            await poller.stop()
            self._pollers.pop(mapping_id, None)

    async def forget(self, mapping: Mapping) -> None:
        try:
            await Checkpoints(self._store, mapping).forget()
        except StoreError as error:
            raise PlatformError(f"checkpoints of {mapping.id} are left: {error}", Outcome.NOT_STARTED) from error

    def last_result(self, mapping_id: str) -> str | None:
        poller = self._pollers.get(mapping_id)
        return None if poller is None else poller.last_result

    def _poller(self, mapping: Mapping, invoker: Invoker, destinations: Destinations) -> Poller:
        source, settings = _source_of(mapping), mapping.stream
        if settings is not None:
            parts = StreamParts(
                mapping=mapping,
                settings=settings,
                stream=self._stream(mapping, source),
                checkpoints=Checkpoints(self._store, mapping),
                invoker=invoker,
                destinations=destinations,
                clock=self._clock,
            )
            return StreamPoller(parts)
        if mapping.broker is not None:
            queue_there = self._broker_queue(mapping, mapping.broker)
            return BrokerPoller(mapping, mapping.broker, queue_there, invoker, self._clock)
        queue = Queue(self._remote, source, mapping.source)
        return QueuePoller(mapping, queue, source.fifo, invoker, self._clock)

    def _broker_queue(self, mapping: Mapping, settings: BrokerSettings) -> "BrokerQueue":
        # The client of brokers takes a tenth of a second to import, and most ondols read none.
        from ondol.pollers.broker_queue import BrokerQueue  # noqa: PLC0415

        return BrokerQueue(self._remote, _source_of(mapping), mapping.source, settings)

    def _stream(self, mapping: Mapping, source: Source) -> Stream:
        kind = KinesisStream if source.kind is Kind.KINESIS else TableStream
        return kind(self._remote, source, mapping.source, mapping.filters or ())

    async def _check_stream(self, stream: Stream, mapping: Mapping) -> None:
        try:
            await stream.shards()
        except RemoteError as error:
            raise SourceRefused(f"Stream not found: {mapping.source}") from error

    async def _check_queue(self, queue: Queue, function_timeout_s: int) -> None:
        try:
            visible_s = await queue.visibility_s()
        except RemoteError as error:
            raise SourceRefused(
                f"Error occurred while ReceiveMessage. SQS Error Code: {error.code}. SQS Error Message: {error.message}"
            ) from error
        if visible_s < function_timeout_s:
            raise SourceRefused(
                f"Queue visibility timeout: {visible_s} seconds is less than "
                f"Function timeout: {function_timeout_s} seconds"
            )


def _source_of(mapping: Mapping) -> Source:
    source = parse_source(mapping.source)
    if source is None:
        raise InvariantError(f"{mapping.source} is no source")
    return source
