"""Queues over a disk of which a crash leaves what was acknowledged, and of each write under way all or nothing.

Stricter than the stores that there are: writes under way end in any order, and each survives a crash or not by itself.
That is all that `ondol.store.protocol.Queues` promises. What is due when is told by the wall clock, as in SQLite.
"""

import asyncio
import heapq
from collections.abc import Callable, Iterator
from functools import partial
from random import Random

import msgspec

from ondol.model.time import MILLISECOND, SECOND, Clock, WallTime
from ondol.store.keys import check_message
from ondol.store.protocol import Message, StoreError
from ondol.waiting import happens

SLOWEST_WRITE_S = 0.005


class Row(msgspec.Struct):
    queue: str
    due: WallTime
    put_back: int
    body: bytes


class Disk:
    """What outlives a crash."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.last_id = 0
        self.full = False


class _Line:
    def __init__(self) -> None:
        self.waiting: list[tuple[WallTime, int]] = []
        self.changed = asyncio.Event()

    def joined(self, due: WallTime, id: int) -> None:
        heapq.heappush(self.waiting, (due, id))
        self.changed.set()


class _Write(msgspec.Struct, eq=False):
    """`perform` changes the disk; `succeeded` and `failed` tell memory."""

    body: bytes
    perform: Callable[[], None]
    succeeded: Callable[[], None]
    failed: Callable[[], None]


class CrashingQueues:
    """`Queues` of one life, until `crash`."""

    def __init__(self, disk: Disk, clock: Clock, chance: Random, on_write: Callable[[], None]) -> None:
        """`on_write` is called as each write is asked for: a good moment to die."""
        self._disk = disk
        self._clock = clock
        self._chance = chance
        self._on_write = on_write
        self._lines: dict[str, _Line] = {}
        self._taken: dict[int, bytes] = {}
        self._under_way: dict[_Write, None] = {}
        self._dead = False
        self.on_refusal: Callable[[bytes], None] = lambda body: None
        """Told of each write that failed."""

        for id, row in disk.rows.items():
            self._line(row.queue).joined(row.due, id)

    def crash(self) -> None:
        self._dead = True
        for write in self._under_way:
            if self._chance.random() < 0.5:
                write.perform()

    def in_hand(self) -> Iterator[bytes]:
        """The bodies of messages that were taken, and of writes under way: what a crash disturbs."""
        yield from self._taken.values()
        for write in self._under_way:
            yield write.body

    async def put(self, queue: str, body: bytes, delay: int = 0) -> None:
        check_message(queue, body)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._dead:
            self._disk.last_id += 1
            id, due = self._disk.last_id, self._due(delay)

            def succeeded() -> None:
                self._line(queue).joined(due, id)
                if not done.done():
                    done.set_result(None)

            def failed() -> None:
                if not done.done():
                    done.set_exception(StoreError("the disk is full"))

            row = Row(queue, due, 0, body)
            self._write(_Write(body, partial(self._disk.rows.__setitem__, id, row), succeeded, failed))
        await done

    async def take(self, queue: str, most: int) -> list[Message]:
        line = self._line(queue)
        while True:
            now = self._clock.wall()
            messages: list[Message] = []
            while not self._dead and line.waiting and line.waiting[0][0] <= now and len(messages) < most:
                id = heapq.heappop(line.waiting)[1]
                row = self._disk.rows[id]
                self._taken[id] = row.body
                messages.append(Message(id, queue, row.body, row.put_back))
            if messages:
                return messages
            left_s = (line.waiting[0][0] - now) * MILLISECOND / SECOND if line.waiting and not self._dead else None
            line.changed.clear()
            await happens(line.changed, left_s)

    def acknowledge(self, message: Message) -> None:
        if not self._dead:
            succeeded = partial(self._taken.pop, message.id, None)
            # Refused, it stays in hand: it is taken again after the next start.
            perform = partial(self._disk.rows.pop, message.id, None)
            self._write(_Write(message.body, perform, succeeded, lambda: None))

    def put_back(self, message: Message, delay: int) -> None:
        if self._dead:
            return
        due = self._due(delay)

        def perform() -> None:
            self._disk.rows[message.id] = Row(message.queue, due, message.put_back + 1, message.body)

        def over() -> None:
            # Refused, memory alone knows when it is due.
            self._taken.pop(message.id, None)
            self._line(message.queue).joined(due, message.id)

        self._write(_Write(message.body, perform, over, over))

    def length(self, queue: str) -> int:
        return len(self._line(queue).waiting)

    async def purge(self, queue: str) -> None:
        raise NotImplementedError("nobody resets in a campaign")

    def _line(self, queue: str) -> _Line:
        line = self._lines.get(queue)
        if line is None:
            line = self._lines[queue] = _Line()
        return line

    def _due(self, delay: int) -> WallTime:
        return WallTime(self._clock.wall() - (-delay // MILLISECOND))

    def _write(self, write: _Write) -> None:
        self._under_way[write] = None
        self._on_write()
        if not self._dead:
            takes_s = self._chance.random() * SLOWEST_WRITE_S
            asyncio.get_running_loop().call_later(takes_s, self._end, write)

    def _end(self, write: _Write) -> None:
        if self._dead:
            return
        del self._under_way[write]
        if self._disk.full:
            self.on_refusal(write.body)
            write.failed()
        else:
            write.perform()
            write.succeeded()
