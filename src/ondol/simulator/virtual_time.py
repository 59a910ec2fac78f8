"""An event loop whose time passes only when nothing else is left to do.

All that is ready is done; then time jumps to the next timer, timers of one instant in the order in which they were set.
A sleep of hours ends at once, and two runs of one program do the same in the same order: there are no sockets, no
threads, and no clock but the loop's own. Time is kept in whole nanoseconds.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from heapq import heappop, heappush
from typing import Any, NoReturn, TypeVar, TypeVarTuple, Unpack

from ondol.model.time import MILLISECOND, SECOND, Instant, WallTime

NEW_YEAR_2026 = WallTime(1_767_225_600_000)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Deadlock(RuntimeError):
    """Everybody waits, and nothing will ever happen."""


class VirtualTimeLoop(asyncio.BaseEventLoop):
    """Begins at instant 0."""

    # Of `BaseEventLoop`, whose typing leaves them out.
    _ready: deque[asyncio.Handle]
    _stopping: bool
    _check_closed: Callable[[], None]

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        """Nanoseconds since the beginning."""

        self._timers: list[tuple[int, int, asyncio.TimerHandle]] = []
        self._timers_set = 0

    def time(self) -> float:
        return self.now / SECOND

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self._check_closed()
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers_set += 1
        heappush(self._timers, (max(self.now, round(when * SECOND)), self._timers_set, timer))
        return timer

    def run_in_executor(self, *_: object) -> NoReturn:
        raise RuntimeError("there are no threads in virtual time")

    # What `BaseEventLoop` leaves to its subclasses, or does with sockets.

    def _run_once(self) -> None:
        """One turn: what is ready now, not what that makes ready."""
        if not self._ready:
            self._jump()
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _jump(self) -> None:
        """To the next instant at which there is something to do."""
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heappop(timers)
        if not timers:
            if self._stopping:
                return
            raise Deadlock(self._who_waits())
        self.now = timers[0][0]
        while timers and timers[0][0] == self.now:
            timer = heappop(timers)[2]
            if not timer.cancelled():
                self._ready.append(timer)

    def _who_waits(self) -> str:
        waiting = sorted(f"{task.get_name()} ({task.get_coro()})" for task in asyncio.all_tasks(self))
        return f"nothing is left to happen after {self.time():.9f} s, and these wait: " + ", ".join(waiting)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time comes."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in `select` who had to be woken."""


class VirtualClock:
    """`Clock` of a loop of virtual time."""

    def __init__(self, loop: VirtualTimeLoop, wall_at_start: WallTime = NEW_YEAR_2026) -> None:
        self._loop = loop
        self._wall_at_start = wall_at_start

    def now(self) -> Instant:
        return Instant(self._loop.now)

    def wall(self) -> WallTime:
        return WallTime(self._wall_at_start + self._loop.now // MILLISECOND)


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, in virtual time. Raises `Deadlock`."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
