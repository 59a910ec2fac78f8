"""One shard at work: read page by page, worked off by its lanes, its checkpoint kept in the store.

The decisions are `lane`'s, `progress`'s and `policy`'s; this performs them.
"""

import asyncio
import logging
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress

from ondol.aws.remote import RemoteError, RemoteUnavailable
from ondol.background import Background
from ondol.model.time import SECOND, Clock
from ondol.pollers.api import Failed, Invoker, Mapping, Ran, StreamSettings
from ondol.pollers.checkpoints import Checkpoint, Checkpoints
from ondol.pollers.destinations import Destinations
from ondol.pollers.lane import Attempt, Discard, Lane, StreamRecord
from ondol.pollers.progress import Progress
from ondol.pollers.shards import Position, PositionKind
from ondol.pollers.stream_events import first_failure, payload_of, state_of
from ondol.pollers.streams import PAGE_RECORDS, Page, Stream
from ondol.store.protocol import StoreError
from ondol.waiting import happens

_POLL_S = 0.25
"""Between reads that find nothing: Kinesis allows five a second for each shard."""

_RETRY_S = 1.0
_HELD_RECORDS = 20 * PAGE_RECORDS
"""Read on only while fewer wait for the function."""

_log = logging.getLogger(__name__)


class StreamParts:
    """What all readers of one mapping share."""

    def __init__(
        self,
        *,
        mapping: Mapping,
        settings: StreamSettings,
        stream: Stream,
        checkpoints: Checkpoints,
        invoker: Invoker,
        destinations: Destinations,
        clock: Clock,
    ) -> None:
        self.mapping = mapping
        self.settings = settings
        self.stream = stream
        self.checkpoints = checkpoints
        self.invoker = invoker
        self.destinations = destinations
        self.clock = clock
        self.last_result: str | None = None
        self.problem: str | None = None
        """Why the source cannot be read, while it cannot."""


class ShardReader:
    """`open`, then `start`; it ends by itself once its shard has ended, and then says `on_finished`."""

    def __init__(
        self,
        parts: StreamParts,
        shard: str,
        *,
        checkpoint: Checkpoint,
        first: Position,
        has_ended: Callable[[str, str | None], bool],
        on_finished: Callable[[str], None],
        on_lost: Callable[[], None],
    ) -> None:
        """`on_lost` is told when the shard cannot be read: there may be another stream by now."""
        mapping, settings = parts.mapping, parts.settings
        self._parts = parts
        self._shard = shard
        self._first = first
        self._has_ended = has_ended
        self._on_finished = on_finished
        self._on_lost = on_lost
        self._progress = Progress(checkpoint.sequence)
        self._last_read = checkpoint.sequence
        # The records of a window are counted together, so they stay in one lane.
        count = 1 if settings.tumbling_window_s else settings.parallelization
        self._lanes = [
            Lane(settings, mapping.batch_size, mapping.window_s, checkpoint.window if number == 0 else None)
            for number in range(count)
        ]
        self._iterator: str | None = None
        self._ended = False
        self._written: Checkpoint | None = checkpoint
        self._changed = asyncio.Condition()
        self._stopping = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._background = Background(f"reading {shard} for the mapping {mapping.id}")
        self._complained = False

    async def open(self) -> None:
        """Find the place to read from. Raises `RemoteError` and `RemoteUnavailable`."""
        position = self._first
        if self._last_read is not None:
            position = Position(PositionKind.AFTER_SEQUENCE_NUMBER, sequence=self._last_read)
        self._iterator = await self._parts.stream.iterator(self._shard, position)

    def start(self) -> None:
        self._background.spawn(self._run())

    async def stop(self) -> None:
        self._stopping.set()
        if self._reading is not None:
            # Its server may take long to answer, and nobody needs what it says.
            self._reading.cancel()
        await self._notify()
        await self._background.finished()

    async def _run(self) -> None:
        keeping = asyncio.create_task(self._keep_checkpoint())
        try:
            async with asyncio.TaskGroup() as group:
                self._reading = group.create_task(self._read_all())
                for lane in self._lanes:
                    group.create_task(self._work(lane))
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})
        while not await self._write() and not self._stopping.is_set():
            await happens(self._stopping, _RETRY_S)
        if self._finished():
            self._on_finished(self._shard)

    # Reading

    async def _read_all(self) -> None:
        while not self._stopping.is_set() and not self._ended:
            page = await self._read()
            if page is None:
                await happens(self._stopping, _RETRY_S)
                continue
            self._take(page)
            await self._notify()
            if not page.records and not self._ended:
                await happens(self._stopping, _POLL_S)
            async with self._changed:
                await self._changed.wait_for(lambda: len(self._progress) < _HELD_RECORDS or self._stopping.is_set())

    async def _read(self) -> Page | None:
        """The next page; None if there is none to be had now."""
        mapping = self._parts.mapping
        function = await self._parts.invoker.describe(mapping.function, mapping.qualifier)
        if function is None:
            return None
        try:
            if self._iterator is None:
                await self.open()
            assert self._iterator is not None
            page = await self._parts.stream.read(self._shard, self._iterator, function.role)
        except (RemoteError, RemoteUnavailable) as error:
            # Iterators last five minutes, and end with whoever made them.
            self._iterator = None
            self._complain(error)
            self._on_lost()
            return None
        self._complained = False
        self._parts.problem = None
        return page

    def _take(self, page: Page) -> None:
        now = self._parts.clock.now()
        for record in page.records:
            self._progress.read(record.sequence)
            self._last_read = record.sequence
            if record.passes:
                self._lanes[zlib.crc32(record.partition.encode()) % len(self._lanes)].add(record, now)
            else:
                self._progress.done(record.sequence)
        self._iterator = page.iterator
        if page.iterator is None or (not page.records and self._has_ended(self._shard, self._last_read)):
            self._ended = True

    def _complain(self, error: Exception) -> None:
        """Once, until it works again."""
        self._parts.problem = str(error)
        if not self._complained:
            _log.warning("the mapping %s cannot read %s: %s", self._parts.mapping.id, self._shard, error)
        self._complained = True

    # Working

    async def _work(self, lane: Lane) -> None:
        clock = self._parts.clock
        while not self._stopping.is_set():
            step = lane.next(clock.now(), clock.wall())
            match step:
                case None:
                    if self._finished():
                        return
                    await self._wait(lane.due_in(clock.now(), clock.wall()))
                case Attempt():
                    await self._attempt(lane, step)
                case Discard():
                    await self._discard(lane, step, None)

    async def _attempt(self, lane: Lane, attempt: Attempt) -> None:
        parts, mapping = self._parts, self._parts.mapping
        payload = payload_of(attempt, mapping, self._shard)
        answer = await parts.invoker.invoke(mapping.function, mapping.qualifier, payload)
        now = parts.clock.now()
        if isinstance(answer, Ran):
            parts.last_result = "OK"
            state = state_of(answer.result) if attempt.window is not None else None
            first = first_failure(answer.result, attempt) if mapping.partial else None
            if first is None:
                await self._done(lane.succeeded(state))
                return
            done, discard = lane.failed(first, now, state)
        elif isinstance(answer, Failed):
            parts.last_result = "PROBLEM: Function call failed"
            done, discard = lane.failed(0, now)
        else:
            lane.not_run(now)
            return
        await self._done(done)
        if discard is not None:
            await self._discard(lane, discard, answer if isinstance(answer, Failed) else None)

    async def _discard(self, lane: Lane, discard: Discard, failed: Failed | None) -> None:
        """Tell of it. If ondol must stop before that is done, the records are not: they come again."""
        telling = asyncio.ensure_future(
            self._parts.destinations.tell(self._parts.mapping, self._shard, discard, failed)
        )
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({telling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not telling.done():
            telling.cancel()
            await asyncio.wait({telling})
            return
        telling.result()
        await self._done(lane.discarded(discard))

    async def _done(self, records: Sequence[StreamRecord]) -> None:
        for record in records:
            self._progress.done(record.sequence)
        await self._notify()

    def _idle(self) -> bool:
        """Everything that was read is done, and no window is open."""
        return not len(self._progress) and all(lane.window is None for lane in self._lanes)

    # The checkpoint

    def _finished(self) -> bool:
        return self._ended and self._idle()

    async def _keep_checkpoint(self) -> None:
        """Write what is done, as often as the store can."""
        while True:
            before = self._written
            if not await self._write():
                await asyncio.sleep(_RETRY_S)
            elif self._written is before:
                async with self._changed:
                    await self._changed.wait()

    async def _write(self) -> bool:
        """Whether the store has what is done by now."""
        checkpoint = Checkpoint(self._progress.position, self._finished(), self._lanes[0].window)
        if checkpoint == self._written:
            return True
        try:
            await self._parts.checkpoints.write(self._shard, checkpoint)
        except StoreError:
            _log.exception("the checkpoint of %s cannot be written", self._shard)
            return False
        self._written = checkpoint
        return True

    # Waiting

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _wait(self, nanoseconds: int | None) -> None:
        """Until something changes, or so long."""
        with suppress(TimeoutError):
            async with (
                asyncio.timeout(None if nanoseconds is None else max(0.001, nanoseconds / SECOND)),
                self._changed,
            ):
                await self._changed.wait()
