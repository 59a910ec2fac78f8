"""How many batches of a queue are on their way at once: pure.

```
          busy for as long as it takes              empty, throttled
 5 ────────────────────────────────────▶ 1,000 ─────────────────────▶ 5 ── idle ──▶ 2
          +300 a minute, to at most MaximumConcurrency
```
A poller waits for messages or has a batch on its way. Only while all of them are busy their number grows.

Source: developer guide, "Configuring scaling behavior for SQS event source mappings".
"""

import msgspec

from ondol.model.time import MINUTE, Instant


class Scale(msgspec.Struct, frozen=True):
    """Between what bounds the number of pollers moves, and how fast it may grow."""

    first: int = 5
    idle: int = 2
    most: int = 1_000
    growth_per_minute: int = 300
    idle_after: int = MINUTE


def scale_of(maximum_concurrency: int | None, provisioned: tuple[int, int] | None) -> Scale:
    """A poller of provisioned mode has up to ten batches on their way."""
    if provisioned is not None:
        least, most = provisioned
        return Scale(first=least, idle=least, most=10 * most, growth_per_minute=1_000)
    most = maximum_concurrency or 1_000
    return Scale(first=min(5, most), most=most)


class PollerScaling:
    """Counts pollers of one queue; the shell begins as many receives as `room` says."""

    def __init__(self, scale: Scale, now: Instant) -> None:
        self._scale = scale
        self._level = scale.first
        self._busy_since: Instant | None = None
        self._last_message = now
        self.receiving = 0
        self.running = 0

    @property
    def level(self) -> int:
        """How many pollers there may be."""
        return self._level

    def room(self, now: Instant) -> int:
        """How many more receives may begin."""
        self._grow(now)
        return max(0, self._level - self.receiving - self.running)

    def began_receiving(self) -> None:
        self.receiving += 1

    def received(self, messages: int, now: Instant) -> None:
        """A receive has ended."""
        self.receiving -= 1
        if messages:
            self._last_message = now
            return
        self._busy_since = None
        idle = now - self._last_message >= self._scale.idle_after
        floor = self._scale.idle if idle else self._scale.first
        self._level = max(self._level - 1, min(self._level, floor))

    def began_batch(self, now: Instant) -> None:
        self.running += 1
        self._last_message = now
        self._level = max(self._level, self._scale.first)
        if self.running >= self._level and self._busy_since is None:
            self._busy_since = now

    def ended_batch(self, now: Instant) -> None:
        self._grow(now)
        self.running -= 1

    def throttled(self) -> None:
        """The function could not run a batch now."""
        self._busy_since = None
        self._level = max(1, self._level // 2)

    @property
    def grows_at(self) -> Instant | None:
        """When there will be one poller more if all stay busy."""
        if self._busy_since is None or self._level >= self._scale.most:
            return None
        return Instant(self._busy_since + MINUTE // self._scale.growth_per_minute)

    def _grow(self, now: Instant) -> None:
        while (at := self.grows_at) is not None and at <= now:
            self._level += 1
            # What time remains counts for the next one, as long as there is work for that too.
            self._busy_since = at if self.running >= self._level else None
