"""How many steps of each queue may be under way: so that one that is full does not hold up the others.

```
 began ──▶ YOUNG ──running──▶ YOUNG, and it ages ──YOUTH later, `aged`──▶ under way, not counted ──ended──▶
             └──────────ended──────────┴──────────ended──▶
```

Pure. Counted are the *young* steps: those that wait for an environment, or have run for a moment only. Each queue may
always have a few of them; beyond that all queues share. So a function that takes its time gets as many environments as
it may have, some each moment, while a burst of short calls is served by few: the steps of a queue do not age while
they end faster than they would. A step that was refused keeps its place for as long as youth lasts: what is throttled
is read at a lower rate, as on AWS, and a long queue of it does not cost a processor.
"""

from ondol.model.errors import InvariantError
from ondol.model.time import MILLISECOND, Instant

OWN = 2
"""Young steps that each queue may have, whatever the others do."""

SHARED = 16
"""Young steps beyond those, of all queues together."""

YOUTH = 250 * MILLISECOND
"""Most invocations are shorter. One function of long ones gets 104 more environments a second (its shard's own steps
and all the shared ones, four times), about what a function may grow by."""


class Dispatch:
    """Which queues may begin steps. Steps are known by the ids of their messages."""

    def __init__(self) -> None:
        self._under_way: dict[int, str] = {}
        """The queue of each step."""

        self._young: set[int] = set()
        self._turnovers: dict[str, _Turnover] = {}
        self._holds = 0
        """Places kept for refused steps, so far: each has a negative id."""

        self._running: dict[int, Instant] = {}
        """Since when each young step that runs does; the longest first."""

        self._of: dict[str, int] = {}
        self._beyond = 0
        self._stalled: dict[str, None] = {}

    def young(self, queue: str) -> int:
        return self._of.get(queue, 0)

    def room(self, queue: str) -> int:
        """How many steps of this queue may begin. After 0 it is stalled, until it is named by `ended` or `aged`.

        The answer holds until a message comes. So a queue of which nothing is under way is promised its own alone.
        """
        young = self.young(queue)
        if young == 0:
            return OWN
        room = max(0, OWN - young) + max(0, SHARED - self._beyond)
        if room == 0:
            self._stalled[queue] = None
        return room

    def began(self, step: int, queue: str) -> None:
        if step in self._under_way:
            raise InvariantError(f"step {step} of {queue} began twice")
        self._under_way[step] = queue
        self._young.add(step)
        self._turnovers.setdefault(queue, _Turnover()).under_way += 1
        of = self._of[queue] = self.young(queue) + 1
        if of > OWN:
            self._beyond += 1

    def running(self, step: int, now: Instant) -> None:
        """An environment has it."""
        if step in self._young:
            self._running[step] = now

    def ended(self, step: int, now: Instant) -> list[str]:
        """The queues, one at most, that are no longer stalled."""
        queue = self._under_way.pop(step)
        self._turnovers[queue].ended(now)
        self._running.pop(step, None)
        return self._left(step, queue) if step in self._young else []

    def refused(self, step: int, now: Instant) -> None:
        """It ended at once, and is to be tried again: its place is free when it would have aged."""
        queue = self._under_way.pop(step)
        self._running.pop(step, None)
        if step not in self._young:
            self._turnovers[queue].under_way -= 1
            return
        self._young.discard(step)
        self._holds -= 1
        self._under_way[self._holds] = queue
        self._young.add(self._holds)
        self._running[self._holds] = now

    def aged(self, now: Instant) -> list[str]:
        """Leave out of account what is no longer young; answers the queues that are no longer stalled."""
        released: list[str] = []
        for step, since in list(self._running.items()):
            if since + YOUTH > now:
                break
            del self._running[step]
            queue = self._under_way[step]
            if step < 0:
                self._turnovers[queue].under_way -= 1
                del self._under_way[step]
            elif self._turnovers[queue].is_fast(now):
                self._running[step] = now
                continue
            released += self._left(step, queue)
        return released

    @property
    def ages_at(self) -> Instant | None:
        """When `aged` should be called, if anybody waits for it."""
        if not self._stalled or not self._running:
            return None
        return Instant(next(iter(self._running.values())) + YOUTH)

    def _left(self, step: int, queue: str) -> list[str]:
        self._young.discard(step)
        of = self._of[queue]
        if of == 1:
            del self._of[queue]
        else:
            self._of[queue] = of - 1
        if of > OWN:
            # What it leaves is shared: to whoever has waited longest.
            self._beyond -= 1
            queue = next(iter(self._stalled), queue)
        if queue not in self._stalled:
            return []
        del self._stalled[queue]
        return [queue]


class _Turnover:
    """How fast the steps of a queue end."""

    __slots__ = ("_before", "_now", "_period", "under_way")

    def __init__(self) -> None:
        self.under_way = 0
        self._period = 0
        self._now = 0
        self._before = 0

    def ended(self, now: Instant) -> None:
        self.under_way -= 1
        self._turn(now)
        self._now += 1

    def is_fast(self, now: Instant) -> bool:
        """Whether as many steps have ended lately as are under way: they last a youth or little more, on average."""
        self._turn(now)
        return self._before + self._now >= self.under_way

    def _turn(self, now: Instant) -> None:
        period = now // YOUTH
        if period != self._period:
            self._before = self._now if period == self._period + 1 else 0
            self._now = 0
            self._period = period
