"""Records of a shard that are worked off one batch after another: pure.

```
                 ┌────────── halves (bisect), or what follows the reported failure ─────┐
 add ─▶ batching ─▶ attempt ─▶ the function ─┬─ succeeded ─▶ done                       │
            ▲                                ├─ failed ─▶ again, later ──┬──────────────┘
            └── next batch ◀─ done ◀─ report ◀── too old, too often ◀────┘
```
A shard has as many lanes as its mapping's parallelisation factor; a partition key stays in one. Nothing overtakes a
batch that fails. With a tumbling window a batch has records of one window only, and a last attempt closes it.

Source: developer guide, "Process Kinesis Data Streams records" and "Stateful processing".
"""

from collections import deque
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from ondol.model.time import SECOND, Instant, WallTime
from ondol.pollers.api import StreamSettings
from ondol.pollers.batching import Batching
from ondol.pollers.policy import retry_delay

STATE_BYTES = 1_048_576
"""The most that a window may hand on; more closes it early."""

EMPTY_STATE = b"{}"


class StreamRecord(msgspec.Struct, frozen=True, gc=False):
    sequence: str
    partition: str
    arrival: WallTime
    body: bytes
    """As it stands in the payload."""

    passes: bool = True
    """The mapping's filters let it through."""


class Window(msgspec.Struct, frozen=True, gc=False):
    """A tumbling window that records have come for, and what the function has made of them so far."""

    start: WallTime
    state: bytes = EMPTY_STATE


class Attempt(msgspec.Struct, frozen=True):
    """A batch for the function."""

    records: tuple[StreamRecord, ...]
    retries: int = 0
    """Tries that count against the mapping's limit."""

    invocations: int = 0
    window: Window | None = None
    final: bool = False
    early: bool = False
    """The window is closed before its time."""


class Discard(msgspec.Struct, frozen=True):
    """Records that the function gets no more: tell the on-failure destination, then say `discarded`."""

    records: tuple[StreamRecord, ...]
    condition: str
    invocations: int


class Lane:
    """Ask `next` what is to be done, do it, and say how it went; one at a time."""

    def __init__(self, settings: StreamSettings, batch_size: int, window_s: int, window: Window | None = None) -> None:
        self._settings = settings
        self._batching: Batching[StreamRecord] = Batching(batch_size, window_s * SECOND)
        self._front: deque[Attempt] = deque()
        self._not_before = Instant(0)
        self._refusals = 0
        self._tumbling_ms = settings.tumbling_window_s * 1_000
        self.window = window

    def add(self, record: StreamRecord, now: Instant) -> None:
        self._batching.add(record, now)

    def next(self, now: Instant, wall: WallTime) -> Attempt | Discard | None:
        """None: nothing yet, see `due_in`. An attempt takes the records of its batch and what has become too old."""
        if now < self._not_before:
            return None
        if not self._front:
            self._front.extend(self._split_by_window(self._batching.take(now)))
        self._close_window(wall)
        if not self._front:
            return None
        expired = self._expired(self._front[0], wall)
        return expired or self._with_state(self._front[0])

    def due_in(self, now: Instant, wall: WallTime) -> int | None:
        """Nanoseconds until `next` may have something; None: not before more is added."""
        if now < self._not_before:
            return self._not_before - now
        waits = []
        if self._batching.due_at is not None:
            waits.append(max(0, self._batching.due_at - now))
        if self.window is not None:
            waits.append(max(0, self.window.start + self._tumbling_ms - wall) * 1_000_000)
        return min(waits, default=None)

    def succeeded(self, state: bytes | None = None) -> tuple[StreamRecord, ...]:
        """The function has taken the whole batch; the records that are done. `state` is the window's from now on."""
        attempt = self._front.popleft()
        self._refusals = 0
        self._keep_state(attempt, state)
        return attempt.records

    def failed(
        self, first: int, now: Instant, state: bytes | None = None
    ) -> tuple[tuple[StreamRecord, ...], Discard | None]:
        """The function has taken only what is before the record number `first`: those are done.

        The others come again, or are given up.
        """
        attempt = self._front.popleft()
        self._refusals = 0
        done, rest = attempt.records[:first], attempt.records[first:]
        if done:
            self._keep_state(attempt, state)
        settings = self._settings
        again = replace(attempt, records=rest, invocations=attempt.invocations + 1)
        if settings.bisect and done:
            self._front.appendleft(again)
            return done, None
        if settings.bisect and len(rest) > 1:
            middle = (len(rest) + 1) // 2
            self._front.extendleft((replace(again, records=rest[middle:]), replace(again, records=rest[:middle])))
            return done, None
        again = replace(again, retries=attempt.retries + 1)
        self._front.appendleft(again)
        if 0 <= settings.maximum_retries < again.retries:
            return done, Discard(rest, "RetryAttemptsExhausted", again.invocations)
        self._not_before = Instant(now + retry_delay(again.retries))
        return done, None

    def discarded(self, discard: Discard) -> tuple[StreamRecord, ...]:
        """It is told of; the records that are done."""
        attempt = self._front.popleft()
        if attempt.final:
            self.window = None
        rest = attempt.records[attempt.records.index(discard.records[-1]) + 1 :] if discard.records else ()
        if rest:
            self._front.appendleft(replace(attempt, records=rest))
        return attempt.records[: len(attempt.records) - len(rest)]

    def not_run(self, now: Instant) -> None:
        """The function was not started, which counts for nothing."""
        self._refusals += 1
        self._not_before = Instant(now + retry_delay(self._refusals))

    def _expired(self, attempt: Attempt, wall: WallTime) -> Discard | None:
        """The records in front that are older than the mapping wants."""
        if self._settings.maximum_age_s < 0:
            return None
        oldest = wall - self._settings.maximum_age_s * 1_000
        count = 0
        while count < len(attempt.records) and attempt.records[count].arrival < oldest:
            count += 1
        return Discard(attempt.records[:count], "RecordAgeExceeded", attempt.invocations) if count else None

    # Tumbling windows

    def _split_by_window(self, batch: Sequence[StreamRecord]) -> list[Attempt]:
        if not batch or not self._tumbling_ms:
            return [Attempt(tuple(batch))] if batch else []
        attempts: list[Attempt] = []
        for record in batch:
            start = WallTime(record.arrival - record.arrival % self._tumbling_ms)
            last = attempts[-1] if attempts else None
            if last is not None and last.window is not None and start <= last.window.start:
                attempts[-1] = replace(last, records=(*last.records, record))
            else:
                attempts.append(Attempt((record,), window=Window(start)))
        return attempts

    def _close_window(self, wall: WallTime) -> None:
        """Put the last attempt of the open window in front, if its time is over or a later one has begun."""
        window = self.window
        if window is None or (self._front and self._front[0].final):
            return
        following = self._front[0].window if self._front else None
        if following is None:
            over = not self._front and wall >= window.start + self._tumbling_ms
        else:
            over = following.start > window.start
        early = len(window.state) > STATE_BYTES
        if over or early:
            self._front.appendleft(Attempt((), window=window, final=True, early=early))

    def _with_state(self, attempt: Attempt) -> Attempt:
        """Late records count for the window that is open."""
        if attempt.window is None or attempt.final or self.window is None:
            return attempt
        return replace(attempt, window=self.window)

    def _keep_state(self, attempt: Attempt, state: bytes | None) -> None:
        if attempt.window is None:
            return
        open_window = self.window or attempt.window
        self.window = None if attempt.final else Window(open_window.start, state or EMPTY_STATE)
