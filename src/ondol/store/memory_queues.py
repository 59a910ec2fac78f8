"""Queues in memory, for tests and the simulator: the same semantics, no file, nothing kept.

As over the real stores, what is put can be taken a turn of the loop later at the earliest.
"""

import asyncio
import heapq

from ondol.model.time import SECOND, Clock, Instant
from ondol.store.keys import check_message
from ondol.store.protocol import Message
from ondol.waiting import happens


class _Line:
    def __init__(self) -> None:
        self.waiting: list[tuple[Instant, int, Message]] = []
        self.changed = asyncio.Event()


class MemoryQueues:
    """`Queues`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        self._taken: dict[int, Message] = {}
        self._last_id = 0

    async def put(self, queue: str, body: bytes, delay: int = 0) -> None:
        check_message(queue, body)
        self._last_id += 1
        self._add(Message(self._last_id, queue, body, 0), delay)
        await asyncio.sleep(0)

    async def take(self, queue: str, most: int) -> list[Message]:
        line = self._line(queue)
        while True:
            messages: list[Message] = []
            while line.waiting and line.waiting[0][0] <= self._clock.now() and len(messages) < most:
                messages.append(heapq.heappop(line.waiting)[2])
            if messages:
                self._taken.update((message.id, message) for message in messages)
                return messages
            left_s = (line.waiting[0][0] - self._clock.now()) / SECOND if line.waiting else None
            line.changed.clear()
            await happens(line.changed, left_s)

    def acknowledge(self, message: Message) -> None:
        self._taken.pop(message.id, None)

    def put_back(self, message: Message, delay: int) -> None:
        if self._taken.pop(message.id, None) is not None:
            self._add(Message(message.id, message.queue, message.body, message.put_back + 1), delay)

    def length(self, queue: str) -> int:
        line = self._lines.get(queue)
        return 0 if line is None else len(line.waiting)

    async def purge(self, queue: str) -> None:
        self._line(queue).waiting.clear()
        self._taken = {id: message for id, message in self._taken.items() if message.queue != queue}
        await asyncio.sleep(0)

    def _line(self, queue: str) -> _Line:
        return self._lines.setdefault(queue, _Line())

    def _add(self, message: Message, delay: int) -> None:
        line = self._line(message.queue)
        heapq.heappush(line.waiting, (Instant(self._clock.now() + delay), message.id, message))
        line.changed.set()
