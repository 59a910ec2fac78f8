"""How many steps of each queue may be under way: so that one that is full does not hold up the others.

Pure. Counted are the *young* ones, begun a moment ago and not over. Each queue may always have a few of them; beyond
that all queues share. A function that takes its time thus gets as many environments as it may have, some each moment,
while a burst of short calls is served by few.
"""

from ondol.model.errors import InvariantError
from ondol.model.time import MILLISECOND, Instant

OWN = 4
"""Young steps that each queue may have, whatever the others do."""

SHARED = 32
"""Young steps beyond those, of all queues together."""

YOUTH = 250 * MILLISECOND
"""Shorter than this most invocations are over. With 32 that makes 128 more under way each second."""


class Dispatch:
    """Which queues may begin steps. Steps are known by the ids of their messages."""

    def __init__(self) -> None:
        self._young: dict[int, tuple[str, Instant]] = {}
        """The oldest first."""

        self._of: dict[str, int] = {}
        self._beyond = 0
        self._stalled: dict[str, None] = {}

    def young(self, queue: str) -> int:
        return self._of.get(queue, 0)

    def room(self, queue: str) -> int:
        """How many steps of this queue may begin. After 0 it is stalled, until it is named by `ended` or `aged`."""
        room = max(0, OWN - self.young(queue)) + SHARED - self._beyond
        if room == 0:
            self._stalled[queue] = None
        return room

    def began(self, step: int, queue: str, now: Instant) -> None:
        if step in self._young:
            raise InvariantError(f"step {step} of {queue} began twice")
        self._young[step] = (queue, now)
        of = self._of[queue] = self.young(queue) + 1
        if of > OWN:
            self._beyond += 1

    def ended(self, step: int) -> list[str]:
        """The queues, one at most, that are no longer stalled."""
        return self._left(step) if step in self._young else []

    def aged(self, now: Instant) -> list[str]:
        """Leave out of account what is no longer young; answers the queues that are no longer stalled."""
        released: list[str] = []
        for step, (_, began) in list(self._young.items()):
            if began + YOUTH > now:
                break
            released += self._left(step)
        return released

    @property
    def ages_at(self) -> Instant | None:
        """When `aged` should be called, if anybody waits for it."""
        if not self._stalled or not self._young:
            return None
        return Instant(next(iter(self._young.values()))[1] + YOUTH)

    def _left(self, step: int) -> list[str]:
        queue, _ = self._young.pop(step)
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
