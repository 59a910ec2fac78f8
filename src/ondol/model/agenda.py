"""What is due when: one time for each key, for times that outlive processes. Pure."""

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

from ondol.model.time import WallTime

K = TypeVar("K", bound=Hashable)


class Agenda(Generic[K]):
    """Planning a key anew forgets its former time."""

    def __init__(self) -> None:
        self._plans: dict[K, WallTime] = {}
        self._heap: list[tuple[WallTime, int, K]] = []
        self._entries = 0
        """Numbers what is due at the same time, since keys need not have an order."""

    def plan(self, key: K, at: WallTime) -> None:
        if self._plans.get(key) != at:
            self._plans[key] = at
            self._entries += 1
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
        while heap and self._plans.get(heap[0][2]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None
