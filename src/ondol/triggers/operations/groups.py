"""Schedule groups: CreateScheduleGroup and what follows it, and their tags."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from ondol.model.errors import NameConflict, ResourceNotFound, ValidationFailed
from ondol.model.time import Clock, WallTime
from ondol.triggers.api import Owner
from ondol.triggers.arns import group_arn, owner_and_name
from ondol.triggers.operations.table import Operations, shown_tags, tags_of
from ondol.triggers.paging import page
from ondol.triggers.records import DEFAULT_GROUP, Group, Schedule
from ondol.triggers.registry import Registry

_LONG_AGO = WallTime(0)
"""Since when the default group is there."""


class GroupOperations:
    """`replanned` is told of each schedule that goes with its group."""

    def __init__(
        self,
        groups: Registry[Group],
        schedules: Registry[Schedule],
        clock: Clock,
        replanned: Callable[[Schedule], None],
    ) -> None:
        self._groups = groups
        self._schedules = schedules
        self._clock = clock
        self._replanned = replanned

    def table(self) -> Operations:
        return {
            "CreateScheduleGroup": self.create,
            "GetScheduleGroup": self.get,
            "DeleteScheduleGroup": self.delete,
            "ListScheduleGroups": self.list,
            "TagResource": self.tag,
            "UntagResource": self.untag,
            "ListTagsForResource": self.list_tags,
        }

    def require(self, owner: Owner, name: str) -> Group:
        """Raises `ResourceNotFound`."""
        group = self._groups.get((owner.account, owner.region), name)
        if group is not None:
            return group
        if name == DEFAULT_GROUP:
            return Group(owner.account, owner.region, name, _LONG_AGO, _LONG_AGO)
        raise ResourceNotFound(f"Schedule group {name} does not exist.")

    async def create(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        name, now, token = parameters["Name"], self._clock.wall(), parameters.get("ClientToken")
        if name == DEFAULT_GROUP:
            raise NameConflict(f"Schedule group {name} already exists.")

        def decide(group: Group | None) -> Group:
            if group is not None and (token is None or token != group.client_token):
                raise NameConflict(f"Schedule group {name} already exists.")
            return group or Group(owner.account, owner.region, name, now, now, token, tags_of(parameters))

        await self._groups.change((owner.account, owner.region), name, decide)
        return {"ScheduleGroupArn": group_arn(owner, name)}

    async def get(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return _shown(owner, self.require(owner, parameters["Name"]))

    async def delete(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Its schedules go first."""
        name = parameters["Name"]
        if name == DEFAULT_GROUP:
            raise ValidationFailed("The default schedule group cannot be deleted.")
        self.require(owner, name)
        parent = (owner.account, owner.region, name)
        schedules = self._schedules.of(parent)
        await asyncio.gather(*(self._schedules.change(parent, each.name, lambda _: None) for each in schedules))
        for each in schedules:
            self._replanned(each)
        await self._groups.change((owner.account, owner.region), name, lambda _: None)
        return {}

    async def list(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        groups = {group.name: group for group in self._groups.of((owner.account, owner.region))}
        groups.setdefault(DEFAULT_GROUP, self.require(owner, DEFAULT_GROUP))
        prefix = parameters.get("NamePrefix", "")
        shown = [(name, _shown(owner, group)) for name, group in sorted(groups.items()) if name.startswith(prefix)]
        listed, following = page(shown, parameters.get("NextToken"), parameters.get("MaxResults"))
        return {"ScheduleGroups": listed, **following}

    async def tag(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        added = tags_of(parameters)
        await self._change_tags(owner, parameters["ResourceArn"], lambda tags: tags | added)
        return {}

    async def untag(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        keys = set(parameters.get("TagKeys", ()))
        await self._change_tags(
            owner,
            parameters["ResourceArn"],
            lambda tags: {key: value for key, value in tags.items() if key not in keys},
        )
        return {}

    async def list_tags(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        group = self.require(owner, _name_of(owner, parameters["ResourceArn"]))
        return {"Tags": shown_tags(group.tags)}

    async def _change_tags(self, owner: Owner, arn: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        name = _name_of(owner, arn)

        def decide(group: Group | None) -> Group:
            group = group or self.require(owner, name)
            return replace(group, tags=change(group.tags))

        await self._groups.change((owner.account, owner.region), name, decide)


def _name_of(owner: Owner, arn: str) -> str:
    found = owner_and_name(arn, "scheduler", "schedule-group")
    if found is None or found[0] != owner:
        raise ResourceNotFound(f"Schedule group {arn} does not exist.")
    return found[1]


def _shown(owner: Owner, group: Group) -> dict[str, Any]:
    return {
        "Arn": group_arn(owner, group.name),
        "Name": group.name,
        "State": "ACTIVE",
        "CreationDate": group.created,
        "LastModificationDate": group.modified,
    }
