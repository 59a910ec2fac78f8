"""Queues in the SQLite file of a store: a row for each message, written by the store's own thread.

It decides who is given which message. Who has taken what is known in memory alone: a process that ends has taken
nothing. What waits is on disk alone, so that a long queue costs no memory.
"""

import asyncio

from ondol.model.time import MILLISECOND, SECOND, Clock, WallTime
from ondol.store.keys import check_message
from ondol.store.message_writes import AcknowledgeWrite, Line, PurgeWrite, PutBackWrite, PutWrite
from ondol.store.protocol import Message
from ondol.store.sqlite import SqliteStore
from ondol.waiting import happens

READ_BYTES = 131_072
"""So much, or one message, is read in one breath: bodies are read on the loop."""

_NEXT = "SELECT id, due, put_back, body FROM messages WHERE queue = ? AND (due, id) > (?, ?) ORDER BY due, id LIMIT ?"


class SqliteQueues:
    """`Queues`. For one process at a time, as its store is."""

    def __init__(self, store: SqliteStore, clock: Clock) -> None:
        """Raises `StoreError`."""
        self._store = store
        self._clock = clock
        self._lines = {
            name: Line(name, length) for name, length in store.read("SELECT queue, count(*) FROM messages GROUP BY 1")
        }
        [(last,)] = store.read("SELECT max(id) FROM messages")
        self._last_id: int = last or 0

    async def put(self, queue: str, body: bytes, delay: int = 0) -> None:
        check_message(queue, body)
        self._last_id += 1
        done = asyncio.get_running_loop().create_future()
        self._store.submit(
            PutWrite(line=self._line(queue), id=self._last_id, due=self._due(delay), body=body, done=done)
        )
        await done

    async def take(self, queue: str, most: int) -> list[Message]:
        line = self._line(queue)
        while True:
            messages, due = self._read(line, most)
            if messages:
                return messages
            left_s = None if due is None else (due - self._clock.wall()) * MILLISECOND / SECOND
            line.changed.clear()
            await happens(line.changed, left_s)

    def acknowledge(self, message: Message) -> None:
        self._store.submit(AcknowledgeWrite(line=self._line(message.queue), id=message.id))

    def put_back(self, message: Message, delay: int) -> None:
        line = self._line(message.queue)
        self._store.submit(PutBackWrite(line=line, id=message.id, due=self._due(delay), failed=self._not_put_back))

    def length(self, queue: str) -> int:
        line = self._lines.get(queue)
        return 0 if line is None else line.length

    async def purge(self, queue: str) -> None:
        done = asyncio.get_running_loop().create_future()
        self._store.submit(PurgeWrite(line=self._line(queue), done=done))
        await done

    def _line(self, queue: str) -> Line:
        line = self._lines.get(queue)
        if line is None:
            line = self._lines[queue] = Line(queue, 0)
        return line

    def _due(self, delay: int) -> WallTime:
        return WallTime(self._clock.wall() - (-delay // MILLISECOND))

    def _read(self, line: Line, most: int) -> tuple[list[Message], WallTime | None]:
        """Messages that are due, now the caller's; if there are none, when the next one will be."""
        now = self._clock.wall()
        while rows := self._store.read(_NEXT, (line.name, *line.position, most), READ_BYTES):
            messages: list[Message] = []
            for id, due, put_back, body in rows:
                if due > now:
                    return messages, due
                line.position = (due, id)
                if id not in line.taken:
                    line.taken[id] = due
                    line.length -= 1
                    messages.append(Message(id, line.name, body, put_back))
            if messages:
                return messages, None
        return [], None

    def _not_put_back(self, write: PutBackWrite) -> None:
        """Memory alone knows the delay: when it is over, let the message be taken at the place that it has on disk."""
        delay_s = max(0, write.due - self._clock.wall()) * MILLISECOND / SECOND
        asyncio.get_running_loop().call_later(delay_s, self._let_be_taken, write.line, write.id)

    def _let_be_taken(self, line: Line, id: int) -> None:
        due = line.taken.pop(id, None)
        if due is not None:
            line.joined((due, id))
