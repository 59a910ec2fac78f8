"""One mapping of a queue at work: receives, hands batches to the function, deletes what it has taken.

The decisions are `scaling`'s, `batching`'s, `group_order`'s and `policy`'s; this performs them.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from ondol.aws.remote import RemoteError, RemoteUnavailable
from ondol.background import Background
from ondol.model.time import SECOND, Clock, Instant
from ondol.pollers.api import Failed, Invoker, Mapping, NotRun, Ran
from ondol.pollers.batching import Batching
from ondol.pollers.filters import Filters
from ondol.pollers.group_order import GroupOrder
from ondol.pollers.policy import reported_failures, retry_delay
from ondol.pollers.queue import RECEIVE_MESSAGES, WAIT_S, Message, Queue, event_of
from ondol.pollers.scaling import PollerScaling, scale_of
from ondol.waiting import happens

_LOOK_AGAIN_S = 1.0
"""How often a function that is missing, and a server that failed, are looked for."""

_GRACE_S = WAIT_S + 1.0
"""For so long a receive may go on that its mapping no longer wants; what a server that hangs would have brought comes
again by itself."""

_PATIENCE = 10 * SECOND
"""Of a throttled batch, where the queue does not tell for how long it hides messages."""

_LONGEST_PAUSE = 2 * SECOND
"""Between two tries of it: the function is free for so long at most while there is something to do."""

_log = logging.getLogger(__name__)


class QueuePoller:
    def __init__(self, mapping: Mapping, queue: Queue, fifo: bool, invoker: Invoker, clock: Clock) -> None:
        settings = mapping.queue
        self._mapping = mapping
        self._queue = queue
        self._invoker = invoker
        self._clock = clock
        self._scaling = PollerScaling(
            scale_of(settings.maximum_concurrency, settings.provisioned) if settings else scale_of(None, None),
            clock.now(),
        )
        self._batching: Batching[Message] = Batching(mapping.batch_size, mapping.window_s * SECOND)
        self._order: GroupOrder[Message] | None = GroupOrder() if fifo else None
        self._filters = Filters(mapping.filters or (), "body")
        self._ready: deque[list[Message]] = deque()
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._background = Background(f"polling for the mapping {mapping.id}")
        self._receives = Background(f"receiving for the mapping {mapping.id}")
        self._silent_until = Instant(0)
        self._failing = False

    @property
    def last_result(self) -> str | None:
        """AWS tells that of streams alone."""
        return None

    async def start(self) -> None:
        self._background.spawn(self._run())

    async def stop(self) -> None:
        """As `Pollers.stop`. What was received and has not run goes back to the queue."""
        self._stopping.set()
        self._wake.set()
        unused = [message for batch in self._ready for message in batch] + self._batching.clear()
        self._ready.clear()
        if self._order is not None:
            unused += self._order.clear()
        self._receives.spawn(self._put_back(unused))
        try:
            async with asyncio.timeout(_GRACE_S):
                await self._receives.finished()
        except TimeoutError:
            self._receives.cancel()
            await self._receives.finished()
        await self._background.finished()

    # Receiving

    async def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            self._begin_batches()
            there = await self._invoker.describe(self._mapping.function, self._mapping.qualifier) is not None
            if there and not self._stopping.is_set():
                for _ in range(self._room()):
                    self._scaling.began_receiving()
                    self._receives.spawn(self._receive())
            await self._pause(None if there else _LOOK_AGAIN_S)

    def _room(self) -> int:
        now = self._clock.now()
        if self._ready or self._batching.full or now < self._silent_until:
            return 0
        return self._scaling.room(now)

    async def _pause(self, most_s: float | None) -> None:
        """Until something happens, or time alone changes what is to be done."""
        moments = [self._scaling.grows_at, self._batching.due_at]
        now = self._clock.now()
        if self._silent_until > now:
            moments.append(self._silent_until)
        waits = [(at - now) / SECOND for at in moments if at is not None and at > now]
        if most_s is not None:
            waits.append(most_s)
        await happens(self._wake, max(0.001, min(waits)) if waits else None)

    async def _receive(self) -> None:
        messages: list[Message] = []
        try:
            messages = await self._queue.receive(min(self._mapping.batch_size, RECEIVE_MESSAGES))
            self._failing = False
        except (RemoteError, RemoteUnavailable) as error:
            self._silent_until = Instant(self._clock.now() + int(_LOOK_AGAIN_S * SECOND))
            self._complain("receive messages", error)
        finally:
            self._scaling.received(len(messages), self._clock.now())
            self._wake.set()
        if self._stopping.is_set():
            await self._put_back(messages)
        elif messages:
            await self._take(messages)

    async def _take(self, messages: list[Message]) -> None:
        passing = [message for message in messages if self._passes(message)]
        now = self._clock.now()
        for message in passing:
            self._batching.add(message, now)
        self._begin_batches()
        if len(passing) < len(messages):
            kept = {message.id for message in passing}
            await self._delete([message for message in messages if message.id not in kept])

    def _passes(self, message: Message) -> bool:
        return self._filters.pass_on(message.record, lambda: message.record["body"])

    # Invoking

    def _begin_batches(self) -> None:
        now = self._clock.now()
        while batch := self._batching.take(now):
            admitted = batch if self._order is None else self._order.admit(batch)
            if admitted:
                self._ready.append(admitted)
        while self._ready and self._scaling.running < self._scaling.level and not self._stopping.is_set():
            self._scaling.began_batch(now)
            self._background.spawn(self._run_batch(self._ready.popleft()))

    async def _run_batch(self, batch: list[Message]) -> None:
        failed = await self._failed_of(batch)
        kept = {message.id for message in failed}
        await self._delete([message for message in batch if message.id not in kept])
        self._scaling.ended_batch(self._clock.now())
        if self._order is not None:
            released, returned = self._order.ended(batch, failed)
            if released:
                self._ready.append(released)
            await self._put_back(returned)
        self._begin_batches()
        self._wake.set()

    async def _failed_of(self, batch: list[Message]) -> Sequence[Message]:
        """Run the function; the messages that stay in the queue."""
        answer = await self._invoke(event_of([message.body for message in batch]))
        if isinstance(answer, NotRun):
            await self._put_back(batch)
            return batch
        if not isinstance(answer, Ran):
            return batch
        if not self._mapping.partial:
            return ()
        identifiers = reported_failures(answer.result, [message.id for message in batch])
        return batch if identifiers is None else [message for message in batch if message.id in identifiers]

    async def _invoke(self, payload: bytes) -> Ran | Failed | NotRun:
        """Try again what is not started, for as long as its messages are hidden and the function has time to run.

        Each time that messages are put back brings them nearer to their dead-letter queue.
        """
        mapping, began = self._mapping, self._clock.now()
        patience: int | None = None
        attempts = 0
        while isinstance(answer := await self._invoker.invoke(mapping.function, mapping.qualifier, payload), NotRun):
            if patience is None:
                patience = await self._patience()
            if self._clock.now() - began > patience:
                break
            attempts += 1
            self._scaling.throttled()
            if await happens(self._stopping, min(retry_delay(attempts), _LONGEST_PAUSE) / SECOND):
                break
        return answer

    async def _patience(self) -> int:
        """Half the visibility timeout, in nanoseconds: the other half is for a run."""
        try:
            return await self._queue.visibility_s() * SECOND // 2
        except (RemoteError, RemoteUnavailable):
            return _PATIENCE

    # The queue

    async def _delete(self, messages: Sequence[Message]) -> None:
        try:
            await self._queue.delete(messages)
        except (RemoteError, RemoteUnavailable) as error:
            self._complain("delete messages", error)

    async def _put_back(self, messages: Sequence[Message]) -> None:
        try:
            await self._queue.put_back(messages)
        except (RemoteError, RemoteUnavailable) as error:
            # They come back by themselves once their visibility timeout is over.
            self._complain("put messages back", error)

    def _complain(self, what: str, error: Exception) -> None:
        """Once, until it works again."""
        if not self._failing:
            _log.warning("the mapping %s cannot %s: %s", self._mapping.id, what, error)
        self._failing = True
