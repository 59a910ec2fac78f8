"""What happens when: a heap of events, and no time but theirs.

At one instant timers come first (`Turn`, in the order in which the live services set them), then events in the order in
which they were asked for, then what these put off with `soon`.
"""

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from ondol.model.time import Instant

Act = Callable[[Any], None]

HOUSEKEEPING_TURN = -(1 << 32)
MANAGER_TURN = HOUSEKEEPING_TURN + 1
WORKER_TURN = MANAGER_TURN + 1
"""Of the first worker; each has its own, in order."""


class Timeline:
    """Events to come, and the present instant."""

    __slots__ = ("_events", "_heap", "_soon", "now", "soon")

    def __init__(self) -> None:
        self.now = Instant(0)
        self._heap: list[tuple[int, int, int, Act, Any]] = []
        self._events = 0
        self._soon: deque[tuple[Act, Any]] = deque()
        self.soon = self._soon.append
        """Takes what is to happen at this instant, after all that is due now: a pair of act and argument."""

    def at(self, at: int, act: Act, argument: object) -> None:
        """Let something happen at an instant that is not over."""
        self._events += 1
        heappush(self._heap, (at, 0, self._events, act, argument))

    def at_tick(self, at: int, tick: int, turn: int, act: Act, argument: object) -> None:
        """Let a timer come as on a `TimerWheel`: at the first tick at or after `at`, but not at one that is over."""
        due = -(-at // tick) * tick
        if due <= self.now:
            due = (self.now // tick + 1) * tick
        self._events += 1
        heappush(self._heap, (due, turn, self._events, act, argument))

    def run(self, until: int | None = None) -> None:
        """Let happen what happens up to this instant, or (None) all that ever will."""
        heap, soon = self._heap, self._soon
        while heap and (until is None or heap[0][0] <= until):
            at, _, _, act, argument = heappop(heap)
            self.now = Instant(at)
            act(argument)
            if soon and (not heap or heap[0][0] > at):
                while soon:
                    act, argument = soon.popleft()
                    act(argument)

    def __len__(self) -> int:
        """How many events are to come."""
        return len(self._heap)
