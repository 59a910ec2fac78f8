"""What is due when: one time for each key. Pure."""

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

from ondol.model.time import WallTime

K = TypeVar("K", bound=Hashable)


class Agenda(Generic[K]):
    """Planning a key anew forgets its former time."""

    def __init__(self) -> None:
        self._plans: dict[K, int] = {}
        """The number of the entry that counts, for each key."""

        self._heap: list[tuple[WallTime, int, K]] = []
        self._entries = 0

    def plan(self, key: K, at: WallTime) -> None:
        self._entries += 1
        self._plans[key] = self._entries
        heapq.heappush(self._heap, (at, self._entries, key))

    def drop(self, key: K) -> None:
        """One that is not planned is no error."""
        self._plans.pop(key, None)

    def due(self, now: WallTime) -> list[K]:
        """Whose time has come, the earliest first; they are planned no longer."""
        due = []
        while (at := self.next) is not None and at <= now:
            _, _, key = heapq.heappop(self._heap)
            del self._plans[key]
            due.append(key)
        return due

    @property
    def next(self) -> WallTime | None:
        """When `due` will have something to say."""
        heap = self._heap
        while heap and self._plans.get(heap[0][2]) != heap[0][1]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None
