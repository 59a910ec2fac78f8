"""From an event, or from a rule's own schedule, to the targets of rules."""

import asyncio
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from ondol.aws.moments import to_the_second
from ondol.model.errors import ResourceNotFound
from ondol.model.event_pattern import EventPattern, parse_pattern
from ondol.model.time import Clock, WallTime
from ondol.triggers.api import BusEntry, Owner
from ondol.triggers.arns import owner_and_name, rule_arn
from ondol.triggers.bus_events import event_of
from ondol.triggers.expressions import UTC_ZONE, parse_expression
from ondol.triggers.inputs import INGESTION_TIME, RULE_ARN, RULE_NAME, NothingToSend, input_of
from ondol.triggers.invoking import Invoking, Source
from ondol.triggers.occurrences import Timing
from ondol.triggers.records import DAY_MS, DEFAULT_BUS, Bus, Rule
from ondol.triggers.registry import Registry
from ondol.triggers.timekeeper import Place

SERVICE = "events.amazonaws.com"

_SCHEDULED = BusEntry("aws.events", "Scheduled Event", {})


class RuleDelivery:
    """`EventBuses`, and `Timed` for the schedules of rules."""

    def __init__(
        self,
        *,
        buses: Registry[Bus],
        rules: Registry[Rule],
        invoking: Invoking,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._buses = buses
        self._rules = rules
        self._invoking = invoking
        self._clock = clock
        self._new_id = new_id

    async def put(self, bus: str, entry: BusEntry) -> None:
        found = owner_and_name(bus, "events", "event-bus")
        if found is None:
            raise ResourceNotFound(f"Event bus {bus} does not exist.")
        owner, name = found
        if name != DEFAULT_BUS and self._buses.get((owner.account, owner.region), name) is None:
            raise ResourceNotFound(f"Event bus {name} does not exist.")
        await self.publish(owner, name, entry)

    async def publish(self, owner: Owner, bus: str, entry: BusEntry) -> str:
        """Have all rules of the bus that the event matches act on it; the answer is its id.

        Every invocation is durable by then. A bus that is not there has no rules. Raises `PlatformError`.
        """
        now = self._clock.wall()
        event = event_of(entry, owner, self._new_id(), now)
        matching = [
            rule
            for rule in self._rules.of((owner.account, owner.region, bus))
            if rule.enabled and rule.pattern is not None and _pattern(rule.pattern).matches(event)
        ]
        await asyncio.gather(*(self._deliver(rule, event, now, entry.trace) for rule in matching))
        return str(event["id"])

    # As what has schedules

    def timing(self, place: Place) -> Timing | None:
        rule = self._rules.get(place[:-1], place[-1])
        if rule is None or rule.schedule is None or not rule.enabled:
            return None
        ages = [target.max_age_s * 1000 for target in rule.targets.values() if target.max_age_s is not None]
        return Timing(
            parse_expression(rule.schedule),
            UTC_ZONE,
            anchor=rule.since,
            # A rate's first time is a period after that.
            since=WallTime(rule.since + 1),
            fired=rule.fired,
            longest_delay=min([DAY_MS, *ages]),
        )

    async def fire(self, place: Place, occurrence: WallTime) -> None:
        rule = self._rules.get(place[:-1], place[-1])
        if rule is None:
            return
        owner = Owner(rule.account, rule.region)
        entry = replace(_SCHEDULED, resources=(rule_arn(rule),), time=occurrence)
        await self._deliver(rule, event_of(entry, owner, self._new_id(), occurrence), self._clock.wall(), None)
        await self._rules.change(place[:-1], place[-1], lambda now: now and replace(now, fired=occurrence))

    async def over(self, place: Place) -> None:
        """A rule stays."""

    # Inside

    async def _deliver(self, rule: Rule, event: Mapping[str, Any], ingested: WallTime, trace: str | None) -> None:
        arn = rule_arn(rule)
        predefined = {RULE_ARN: arn, RULE_NAME: rule.name, INGESTION_TIME: to_the_second(ingested)}
        invocations = []
        for target in rule.targets.values():
            try:
                payload = input_of(target, event, predefined)
            except NothingToSend as error:
                self._invoking.tell(arn, target.arn, str(error))
                continue
            # With a role it acts as that, and needs no leave of the function's.
            source = Source(arn, rule.account, SERVICE if target.role is None else None)
            invocations.append(
                self._invoking.invoke(target.arn, payload, source, trace=trace, dead_letters=target.dead_letters)
            )
        await asyncio.gather(*invocations)


@lru_cache(maxsize=4096)
def _pattern(text: str) -> EventPattern:
    return EventPattern(parse_pattern(text))
