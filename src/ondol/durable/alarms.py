"""When which execution is to be looked at next: one time each, for times that outlive processes. Pure."""

import heapq

from ondol.model.time import WallTime


class Alarms:
    def __init__(self) -> None:
        self._at: dict[str, WallTime] = {}
        self._heap: list[tuple[WallTime, str]] = []

    def set(self, execution: str, at: WallTime | None) -> None:
        """In place of what was set before; None for never."""
        if at is None:
            self._at.pop(execution, None)
        elif self._at.get(execution) != at:
            self._at[execution] = at
            heapq.heappush(self._heap, (at, execution))

    @property
    def next(self) -> WallTime | None:
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: WallTime) -> list[str]:
        """Those whose time has come, which is then no longer set."""
        due: list[str] = []
        while (at := self.next) is not None and at <= now:
            execution = heapq.heappop(self._heap)[1]
            del self._at[execution]
            due.append(execution)
        return due
