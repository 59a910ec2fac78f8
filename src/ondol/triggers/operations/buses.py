"""Event buses: CreateEventBus and what follows it. Texts are AWS's where it has been seen to send them."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from ondol.model.errors import (
    AccessDenied,
    LimitExceeded,
    ResourceAlreadyExists,
    ResourceNotFound,
    ValidationFailed,
)
from ondol.model.time import Clock
from ondol.triggers.api import Owner
from ondol.triggers.arns import bus_arn, owner_and_name
from ondol.triggers.operations.table import Operations, tags_of
from ondol.triggers.paging import page
from ondol.triggers.records import DEFAULT_BUS, Bus, Rule
from ondol.triggers.registry import Registry

BUSES = 100
"""In a region (EventBridge user guide, "Quotas")."""

_UNSERVED = {
    "EventSourceName": "partner event sources",
    "KmsKeyIdentifier": "encryption with a key of one's own",
    "DeadLetterConfig": "dead-letter queues of buses",
    "LogConfig": "logs of buses",
}


class BusOperations:
    def __init__(self, buses: Registry[Bus], rules: Registry[Rule], clock: Clock) -> None:
        self._buses = buses
        self._rules = rules
        self._clock = clock

    def table(self) -> Operations:
        return {
            "CreateEventBus": self.create,
            "DeleteEventBus": self.delete,
            "DescribeEventBus": self.describe,
            "ListEventBuses": self.list,
            "UpdateEventBus": self.update,
        }

    def require(self, owner: Owner, named: str | None) -> str:
        """The name of the bus that a name or an ARN means. Raises `ResourceNotFound`, `AccessDenied`."""
        name = bus_name(owner, named)
        if name != DEFAULT_BUS and self._buses.get((owner.account, owner.region), name) is None:
            raise ResourceNotFound(f"Event bus {name} does not exist.")
        return name

    async def create(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        name = parameters["Name"]
        _refuse_unserved(parameters)
        if "/" in name:
            raise ValidationFailed("Event bus name must not contain '/'.")
        if name == DEFAULT_BUS:
            raise ResourceAlreadyExists(f"Event bus {name} already exists.")
        if len(self._buses.of((owner.account, owner.region))) >= BUSES - 1:
            raise LimitExceeded("The requested resource exceeds the maximum number allowed.")
        now = self._clock.wall()
        description = parameters.get("Description")
        new = Bus(owner.account, owner.region, name, now, now, description, tags_of(parameters))

        def decide(bus: Bus | None) -> Bus:
            if bus is not None:
                raise ResourceAlreadyExists(f"Event bus {name} already exists.")
            return new

        await self._buses.change((owner.account, owner.region), name, decide)
        return {"EventBusArn": bus_arn(owner, name), "Description": description}

    async def update(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        _refuse_unserved(parameters)
        name = bus_name(owner, parameters.get("Name"))
        if name == DEFAULT_BUS:
            raise ValidationFailed("The default event bus has nothing that ondol could update.")

        def decide(bus: Bus | None) -> Bus:
            if bus is None:
                raise ResourceNotFound(f"Event bus {name} does not exist.")
            return replace(bus, description=parameters.get("Description"), modified=self._clock.wall())

        await self._buses.change((owner.account, owner.region), name, decide)
        return {"Arn": bus_arn(owner, name), "Name": name, "Description": parameters.get("Description")}

    async def describe(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        name = self.require(owner, parameters.get("Name"))
        return self._shown(owner, name)

    async def list(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        names = [DEFAULT_BUS, *(bus.name for bus in self._buses.of((owner.account, owner.region)))]
        prefix = parameters.get("NamePrefix", "")
        shown = [(name, self._shown(owner, name)) for name in sorted(set(names)) if name.startswith(prefix)]
        buses, following = page(shown, parameters.get("NextToken"), parameters.get("Limit"))
        return {"EventBuses": buses, **following}

    async def delete(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """One that is not there is no error."""
        name = bus_name(owner, parameters["Name"])
        if name == DEFAULT_BUS:
            raise ValidationFailed("Cannot delete event bus default.")
        if self._rules.of((owner.account, owner.region, name)):
            raise ValidationFailed(f"Event bus {name} cannot be deleted since it has rules.")
        await self._buses.change((owner.account, owner.region), name, lambda _: None)
        return {}

    def _shown(self, owner: Owner, name: str) -> dict[str, Any]:
        bus = self._buses.get((owner.account, owner.region), name)
        shown: dict[str, Any] = {"Name": name, "Arn": bus_arn(owner, name)}
        if bus is None or name == DEFAULT_BUS:
            return shown
        return shown | {
            "Description": bus.description,
            "CreationTime": bus.created,
            "LastModifiedTime": bus.modified,
        }


def bus_name(owner: Owner, named: str | None) -> str:
    """Raises `AccessDenied` for the ARN of a bus that is not the owner's."""
    if named is None:
        return DEFAULT_BUS
    found = owner_and_name(named, "events", "event-bus")
    if found is None:
        return named
    if found[0] != owner:
        raise AccessDenied(
            f"{named} is a bus of another account or region: ondol delivers events within an account and a region."
        )
    return found[1]


def _refuse_unserved(parameters: Mapping[str, Any]) -> None:
    for member, feature in _UNSERVED.items():
        if parameters.get(member):
            raise ValidationFailed(f"{member} cannot be set: ondol's EventBridge does not have {feature}.")
