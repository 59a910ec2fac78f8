"""Acts on occurrences when they are due: the shell around `agenda` and `occurrences`.

It looks at the clock again every few seconds, since people and machines set it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from ondol.background import Background
from ondol.model.agenda import Agenda
from ondol.model.errors import PlatformError
from ondol.model.time import Clock, WallTime
from ondol.triggers.occurrences import Timing, next_occurrence
from ondol.waiting import happens

_LONGEST_SLEEP_S = 10.0
_AGAIN_MS = 5_000
"""After the store failed."""

_log = logging.getLogger(__name__)

Place = tuple[str, ...]
"""Names a record: its parent and its own name."""


class Timed(Protocol):
    """Records of a kind that have schedules."""

    def timing(self, place: Place) -> Timing | None:
        """None for a record that is not there, has no schedule or is switched off."""
        ...

    async def fire(self, place: Place, occurrence: WallTime) -> None:
        """Act on it, durably. Raises `PlatformError` if it must be tried again."""
        ...

    async def over(self, place: Place) -> None:
        """There are no more occurrences. Raises `PlatformError`."""
        ...


class Timekeeper:
    """Nothing is acted on before `open`. `chance` spreads what has a flexible window."""

    def __init__(self, clock: Clock, chance: Callable[[], float]) -> None:
        self._clock = clock
        self._chance = chance
        self._agenda: Agenda[tuple[Timed, Place]] = Agenda()
        self._acting: set[tuple[Timed, Place]] = set()
        self._changed = asyncio.Event()
        self._background = Background("acting on a schedule")
        self._waiting: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._waiting = asyncio.create_task(self._wait(), name="timekeeper")

    async def close(self) -> None:
        """What is under way is finished; nothing more is begun."""
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)
        await self._background.finished()

    def plan(self, timed: Timed, place: Place) -> None:
        """This record is new, or not what it was."""
        if (timed, place) in self._acting:
            return  # It is planned when that is done.
        timing = timed.timing(place)
        if timing is None:
            self._agenda.drop((timed, place))
            return
        now = self._clock.wall()
        occurrence = next_occurrence(timing, now)
        if occurrence is None:
            # Now, so that whoever creates what is over already is answered first.
            self._agenda.plan((timed, place), now)
        else:
            left = max(0, occurrence + timing.window - max(now, occurrence))
            self._agenda.plan((timed, place), WallTime(max(now, occurrence) + int(self._chance() * left)))
        self._changed.set()

    async def _wait(self) -> None:
        while True:
            for timed, place in self._agenda.due(self._clock.wall()):
                self._acting.add((timed, place))
                self._background.spawn(self._act(timed, place))
            self._changed.clear()
            at = self._agenda.next
            sleep_s = _LONGEST_SLEEP_S if at is None else (at - self._clock.wall()) / 1000
            await happens(self._changed, min(sleep_s, _LONGEST_SLEEP_S))

    async def _act(self, timed: Timed, place: Place) -> None:
        now = self._clock.wall()
        try:
            finished = await self._acted(timed, place, now)
        except PlatformError as error:
            _log.error("the schedule of %s is tried again soon: %s", "/".join(place), error.message)
            self._acting.discard((timed, place))
            self._agenda.plan((timed, place), WallTime(now + _AGAIN_MS))
            self._changed.set()
        else:
            self._acting.discard((timed, place))
            if not finished:
                self.plan(timed, place)

    async def _acted(self, timed: Timed, place: Place, now: WallTime) -> bool:
        """Do what is due; whether there is nothing more to come."""
        timing = timed.timing(place)
        if timing is None:
            return True
        occurrence = next_occurrence(timing, now)
        if occurrence is None:
            await timed.over(place)
            return timed.timing(place) in {None, timing}
        if occurrence <= now:
            await timed.fire(place, occurrence)
        return False
