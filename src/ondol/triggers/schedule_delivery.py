"""From a schedule that is due to its function.

Source: EventBridge Scheduler user guide, "Schedule types", "Adding context attributes", "Deleting a schedule".
"""

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from ondol.aws.moments import to_the_second
from ondol.model.time import Clock, WallTime
from ondol.triggers.api import BusEntry, Owner
from ondol.triggers.arns import schedule_arn
from ondol.triggers.bus_events import event_of
from ondol.triggers.expressions import MINUTE_MS, parse_expression, zone_of
from ondol.triggers.invoking import Invoking, Source
from ondol.triggers.occurrences import Timing
from ondol.triggers.records import Schedule
from ondol.triggers.registry import Registry
from ondol.triggers.timekeeper import Place


class ScheduleDelivery:
    """`Timed` for schedules."""

    def __init__(
        self, schedules: Registry[Schedule], invoking: Invoking, clock: Clock, new_id: Callable[[], str]
    ) -> None:
        self._schedules = schedules
        self._invoking = invoking
        self._clock = clock
        self._new_id = new_id

    def timing(self, place: Place) -> Timing | None:
        schedule = self._schedules.get(place[:-1], place[-1])
        if schedule is None or not schedule.enabled:
            return None
        start = schedule.start
        return Timing(
            parse_expression(schedule.expression),
            zone_of(schedule.zone),
            anchor=schedule.created if start is None else start,
            since=schedule.modified if start is None else max(schedule.modified, start),
            fired=schedule.fired,
            longest_delay=schedule.max_age_s * 1000,
            end=schedule.end,
            window=(schedule.window_minutes or 0) * MINUTE_MS,
        )

    async def fire(self, place: Place, occurrence: WallTime) -> None:
        schedule = self._schedules.get(place[:-1], place[-1])
        if schedule is None:
            return
        source = Source(schedule_arn(schedule), schedule.account, service=None)
        payload = payload_of(schedule, occurrence, self._new_id())
        await self._invoking.invoke(schedule.target, payload, source, dead_letters=schedule.dead_letters)
        await self._schedules.change(place[:-1], place[-1], lambda now: now and replace(now, fired=occurrence))

    async def over(self, place: Place) -> None:
        def decide(schedule: Schedule | None) -> Schedule | None:
            return None if schedule is None or schedule.delete_when_over else schedule

        await self._schedules.change(place[:-1], place[-1], decide)


def payload_of(schedule: Schedule, occurrence: WallTime, id: str) -> bytes:
    """What the function is given for one occurrence; `id` is the attempt's."""
    arn = schedule_arn(schedule)
    if schedule.input is None:
        entry = BusEntry("aws.scheduler", "Scheduled Event", {}, (arn,), occurrence)
        event = event_of(entry, Owner(schedule.account, schedule.region), id, occurrence)
        # Unlike in a rule's event it is a text.
        return msgspec.json.encode(event | {"detail": "{}"})
    attributes = {
        "<aws.scheduler.schedule-arn>": arn,
        "<aws.scheduler.scheduled-time>": to_the_second(occurrence),
        "<aws.scheduler.execution-id>": id,
        "<aws.scheduler.attempt-number>": "1",
    }
    text = schedule.input
    for keyword, value in attributes.items():
        text = text.replace(keyword, value)
    return text.encode()
