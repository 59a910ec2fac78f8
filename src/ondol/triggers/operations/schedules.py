"""Schedules of EventBridge Scheduler: CreateSchedule and what follows it. Texts are AWS's in part."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ondol.model.errors import NameConflict, ResourceNotFound, ValidationFailed
from ondol.model.time import Clock
from ondol.triggers.api import Owner
from ondol.triggers.arns import schedule_arn
from ondol.triggers.cron import InvalidExpression
from ondol.triggers.expressions import parse_expression, zone_of
from ondol.triggers.invoking import is_function, is_queue
from ondol.triggers.operations.groups import GroupOperations
from ondol.triggers.operations.table import Operations
from ondol.triggers.paging import page
from ondol.triggers.records import DEFAULT_GROUP, Schedule
from ondol.triggers.registry import Registry

_KNOWN = frozenset({"Arn", "RoleArn", "Input", "RetryPolicy", "DeadLetterConfig"})
_LARGEST_INPUT = 262_144
_EARLIEST_START_MS = 300_000
"""So long ago, at most, a start may be."""


class ScheduleOperations:
    """`replanned` is told of each schedule that may be due at other times."""

    def __init__(
        self,
        schedules: Registry[Schedule],
        groups: GroupOperations,
        clock: Clock,
        replanned: Callable[[Schedule], None],
    ) -> None:
        self._schedules = schedules
        self._groups = groups
        self._clock = clock
        self._replanned = replanned

    def table(self) -> Operations:
        return {
            "CreateSchedule": self.create,
            "GetSchedule": self.get,
            "UpdateSchedule": self.update,
            "DeleteSchedule": self.delete,
            "ListSchedules": self.list,
        }

    async def create(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        new = self._wanted(owner, parameters)

        def decide(schedule: Schedule | None) -> Schedule:
            if schedule is None:
                return new
            if new.client_token is None or new.client_token != schedule.client_token:
                raise NameConflict(f"Schedule {new.name} already exists.")
            return schedule

        return {"ScheduleArn": schedule_arn(await self._change(new, decide))}

    async def update(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """All is as it is given now; what is not given is as if it had never been."""
        new = self._wanted(owner, parameters)

        def decide(schedule: Schedule | None) -> Schedule:
            if schedule is None:
                raise _missing(new.name)
            return msgspec.structs.replace(new, created=schedule.created, fired=schedule.fired)

        return {"ScheduleArn": schedule_arn(await self._change(new, decide))}

    async def get(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return _shown(self._require(owner, parameters))

    async def delete(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        schedule = self._require(owner, parameters)
        await self._schedules.change((owner.account, owner.region, schedule.group), schedule.name, lambda _: None)
        self._replanned(schedule)
        return {}

    async def list(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        group = parameters.get("GroupName")
        if group is not None:
            self._groups.require(owner, group)
        prefix, state = parameters.get("NamePrefix", ""), parameters.get("State")
        found = [
            (f"{name}/{schedule.group}", _summary(schedule))
            for parent, name, schedule in self._schedules
            if parent[:2] == (owner.account, owner.region)
            and group in {None, schedule.group}
            and name.startswith(prefix)
            and state in {None, _state(schedule)}
        ]
        schedules, following = page(
            sorted(found, key=_position), parameters.get("NextToken"), parameters.get("MaxResults")
        )
        return {"Schedules": schedules, **following}

    def _require(self, owner: Owner, parameters: Mapping[str, Any]) -> Schedule:
        group, name = parameters.get("GroupName", DEFAULT_GROUP), parameters["Name"]
        self._groups.require(owner, group)
        schedule = self._schedules.get((owner.account, owner.region, group), name)
        if schedule is None:
            raise _missing(name)
        return schedule

    async def _change(self, new: Schedule, decide: Callable[[Schedule | None], Schedule]) -> Schedule:
        schedule = await self._schedules.change((new.account, new.region, new.group), new.name, decide)
        assert schedule is not None
        self._replanned(schedule)
        return schedule

    def _wanted(self, owner: Owner, parameters: Mapping[str, Any]) -> Schedule:
        """Raises `ValidationFailed`, `ResourceNotFound` for a group."""
        now = self._clock.wall()
        group = parameters.get("GroupName", DEFAULT_GROUP)
        self._groups.require(owner, group)
        target = parameters["Target"]
        _check_target(target)
        _check_times(parameters, now)
        if parameters.get("KmsKeyArn"):
            raise ValidationFailed("KmsKeyArn cannot be set: ondol does not have encryption with a key of one's own.")
        policy = target.get("RetryPolicy") or {}
        return Schedule(
            account=owner.account,
            region=owner.region,
            group=group,
            name=parameters["Name"],
            created=now,
            modified=now,
            expression=parameters["ScheduleExpression"],
            target=target["Arn"],
            role=target["RoleArn"],
            input=target.get("Input"),
            zone=parameters.get("ScheduleExpressionTimezone", "UTC"),
            start=parameters.get("StartDate"),
            end=parameters.get("EndDate"),
            window_minutes=_window(parameters["FlexibleTimeWindow"]),
            enabled=parameters.get("State", "ENABLED") == "ENABLED",
            delete_when_over=parameters.get("ActionAfterCompletion") == "DELETE",
            description=parameters.get("Description"),
            max_age_s=policy.get("MaximumEventAgeInSeconds", 86_400),
            max_retries=policy.get("MaximumRetryAttempts", 185),
            dead_letters=(target.get("DeadLetterConfig") or {}).get("Arn"),
            client_token=parameters.get("ClientToken"),
        )


def _check_target(target: Mapping[str, Any]) -> None:
    if not is_function(target["Arn"]):
        raise ValidationFailed(
            f"Provided Arn is not supported: {target['Arn']}. ondol's Scheduler invokes Lambda functions and nothing "
            "else, by their ARN. For other targets name a server that has them in ondol.toml under [endpoints], as "
            'scheduler = "http://HOST:PORT".'
        )
    for member in sorted(target.keys() - _KNOWN):
        raise ValidationFailed(f"{member} cannot be set: ondol does not have that for functions.")
    queue = (target.get("DeadLetterConfig") or {}).get("Arn")
    if queue is not None and not is_queue(queue):
        raise ValidationFailed(f"Dead letters go to a standard queue, which {queue} is not.")
    text = target.get("Input")
    if text is None:
        return
    if len(text.encode()) > _LARGEST_INPUT:
        raise ValidationFailed(f"Input must have {_LARGEST_INPUT} bytes at most.")
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValidationFailed(f"Input for target is not valid JSON: {error}.") from error


def _check_times(parameters: Mapping[str, Any], now: int) -> None:
    text = parameters["ScheduleExpression"]
    try:
        parse_expression(text)
    except InvalidExpression as error:
        raise ValidationFailed(f"Invalid Schedule Expression {text}.") from error
    zone = parameters.get("ScheduleExpressionTimezone", "UTC")
    try:
        zone_of(zone)
    except InvalidExpression as error:
        raise ValidationFailed(f"Invalid Schedule Expression Timezone {zone}.") from error
    start, end = parameters.get("StartDate"), parameters.get("EndDate")
    if start is not None and start < now - _EARLIEST_START_MS:
        raise ValidationFailed("The StartDate you specify cannot be earlier than 5 minutes ago.")
    if end is not None and end < now:
        raise ValidationFailed("The EndDate you specify cannot be in the past.")
    if start is not None and end is not None and end <= start:
        raise ValidationFailed("The EndDate must be later than the StartDate.")


def _window(window: Mapping[str, Any]) -> int | None:
    minutes: int | None = window.get("MaximumWindowInMinutes")
    if window["Mode"] == "OFF" and minutes is not None:
        raise ValidationFailed("A maximum window is not allowed if the flexible time window is OFF.")
    if window["Mode"] == "FLEXIBLE" and minutes is None:
        raise ValidationFailed("A maximum window is needed if the flexible time window is FLEXIBLE.")
    return minutes


def _missing(name: str) -> ResourceNotFound:
    return ResourceNotFound(f"Schedule {name} does not exist.")


def _position(pair: tuple[str, Any]) -> str:
    return pair[0]


def _state(schedule: Schedule) -> str:
    return "ENABLED" if schedule.enabled else "DISABLED"


def _summary(schedule: Schedule) -> dict[str, Any]:
    return {
        "Arn": schedule_arn(schedule),
        "Name": schedule.name,
        "GroupName": schedule.group,
        "State": _state(schedule),
        "CreationDate": schedule.created,
        "LastModificationDate": schedule.modified,
        "Target": {"Arn": schedule.target},
    }


def _shown(schedule: Schedule) -> dict[str, Any]:
    window = {"Mode": "OFF"} if schedule.window_minutes is None else {"Mode": "FLEXIBLE"}
    return {
        **_summary(schedule),
        "ScheduleExpression": schedule.expression,
        "ScheduleExpressionTimezone": schedule.zone,
        "StartDate": schedule.start,
        "EndDate": schedule.end,
        "Description": schedule.description,
        "FlexibleTimeWindow": {**window, "MaximumWindowInMinutes": schedule.window_minutes},
        "ActionAfterCompletion": "DELETE" if schedule.delete_when_over else "NONE",
        "Target": {
            "Arn": schedule.target,
            "RoleArn": schedule.role,
            "Input": schedule.input,
            "DeadLetterConfig": None if schedule.dead_letters is None else {"Arn": schedule.dead_letters},
            "RetryPolicy": {
                "MaximumEventAgeInSeconds": schedule.max_age_s,
                "MaximumRetryAttempts": schedule.max_retries,
            },
        },
    }
