"""The shell of triggers: what is there at start, and a table of operations for each service."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from ondol.background import WholeWork
from ondol.control.api import Control
from ondol.events.api import Events
from ondol.model.errors import NotServed
from ondol.model.time import Clock
from ondol.store.protocol import Store
from ondol.triggers.api import BusEntry, Owner
from ondol.triggers.buckets import BucketNotifications
from ondol.triggers.invoking import Invoking
from ondol.triggers.operations.buses import BusOperations
from ondol.triggers.operations.event_tags import EventTagOperations
from ondol.triggers.operations.events import EventOperations
from ondol.triggers.operations.groups import GroupOperations
from ondol.triggers.operations.rules import RuleOperations
from ondol.triggers.operations.schedules import ScheduleOperations
from ondol.triggers.operations.table import Operations
from ondol.triggers.operations.targets import TargetOperations
from ondol.triggers.records import Bucket, Bus, Group, Rule, Schedule, Subscription
from ondol.triggers.registry import Registry
from ondol.triggers.rule_delivery import RuleDelivery
from ondol.triggers.schedule_delivery import ScheduleDelivery
from ondol.triggers.timekeeper import Timekeeper
from ondol.triggers.topics import TopicSubscriptions
from ondol.triggers.unserved import UNSERVED


class TriggersService:
    """`Triggers` and `EventBuses`. `open` before anything else; `new_id` makes UUIDs."""

    def __init__(
        self,
        *,
        store: Store,
        control: Control,
        clock: Clock,
        chance: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._buses = buses = Registry(store, "bus", Bus)
        self._rules = rules = Registry(store, "rule", Rule)
        self._groups = groups = Registry(store, "group", Group)
        self._schedules = schedules = Registry(store, "schedule", Schedule)
        self._buckets = Registry(store, "bucket", Bucket)
        subscriptions = Registry(store, "subscription", Subscription)
        self._registries = (buses, rules, groups, schedules, self._buckets, subscriptions)
        self._invoking = Invoking(control, clock, new_id)
        self._timekeeper = Timekeeper(clock, chance)
        self._rule_delivery = RuleDelivery(
            buses=buses, rules=rules, invoking=self._invoking, clock=clock, new_id=new_id
        )
        self.buckets = BucketNotifications(self._buckets, self._invoking, self._rule_delivery, clock, new_id)
        self.topics = TopicSubscriptions(subscriptions, self._invoking, clock, new_id)
        self._schedule_delivery = ScheduleDelivery(schedules, self._invoking, clock, new_id)
        of_buses = BusOperations(buses, rules, clock)
        of_rules = RuleOperations(rules, of_buses, clock, self._plan_rule)
        of_groups = GroupOperations(groups, schedules, clock, self._plan_schedule)
        self._operations: Mapping[str, Operations] = {
            "events": {
                **of_buses.table(),
                **of_rules.table(),
                **TargetOperations(rules, of_rules).table(),
                **EventOperations(self._rule_delivery).table(),
                **EventTagOperations(buses, rules, clock).table(),
            },
            "scheduler": {
                **of_groups.table(),
                **ScheduleOperations(schedules, of_groups, clock, self._plan_schedule).table(),
            },
        }
        self._whole = WholeWork()

    async def open(self, events: Events) -> None:
        """Load what is stored, and act on schedules from now on."""
        self._invoking.open(events)
        for registry in self._registries:
            await registry.open()
        for _, _, rule in self._rules:
            self._plan_rule(rule)
        for _, _, schedule in self._schedules:
            self._plan_schedule(schedule)
        self._timekeeper.open()

    async def close(self) -> None:
        """Act on no more schedules; operations under way are finished."""
        await self._timekeeper.close()
        await self._whole.finished()

    def operations(self, service: str) -> frozenset[str]:
        return frozenset(self._operations[service])

    async def perform(
        self, service: str, operation: str, owner: Owner, parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        perform = self._operations[service].get(operation)
        if perform is None:
            raise NotServed(f"ondol does not have {operation}: {UNSERVED[operation]}.")
        return await self._whole.do(perform(owner, parameters))

    async def put(self, bus_arn: str, entry: BusEntry) -> None:
        await self._rule_delivery.put(bus_arn, entry)

    async def forget_all(self) -> None:
        """What was planned finds nothing when it is due."""
        await asyncio.gather(*(registry.clear() for registry in self._registries))

    def _plan_rule(self, rule: Rule) -> None:
        self._timekeeper.plan(self._rule_delivery, (rule.account, rule.region, rule.bus, rule.name))

    def _plan_schedule(self, schedule: Schedule) -> None:
        place = (schedule.account, schedule.region, schedule.group, schedule.name)
        self._timekeeper.plan(self._schedule_delivery, place)
