"""PutEvents. Source: API reference, PutEvents and PutEventsResultEntry."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from ondol.model.errors import AccessDenied, ValidationFailed
from ondol.triggers.api import BusEntry, Owner
from ondol.triggers.bus_events import LARGEST_ENTRIES, size_of
from ondol.triggers.operations.buses import bus_name
from ondol.triggers.operations.table import Operations
from ondol.triggers.rule_delivery import RuleDelivery


class EventOperations:
    def __init__(self, delivery: RuleDelivery) -> None:
        self._delivery = delivery

    def table(self) -> Operations:
        return {"PutEvents": self.put}

    async def put(self, owner: Owner, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """What is wrong with one entry is told of that one; the others are taken."""
        entries = parameters["Entries"]
        if parameters.get("EndpointId"):
            raise ValidationFailed("EndpointId cannot be set: ondol's EventBridge does not have global endpoints.")
        if sum(map(size_of, entries)) > LARGEST_ENTRIES:
            raise ValidationFailed("Total size of the entries in the request is over the limit.")
        results = await asyncio.gather(*(self._put(owner, entry) for entry in entries))
        return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}

    async def _put(self, owner: Owner, entry: Mapping[str, Any]) -> dict[str, str]:
        for member in ("Source", "DetailType", "Detail"):
            if not entry.get(member):
                reason = f"Parameter {member} is not valid. Reason: {member} is a required argument."
                return {"ErrorCode": "InvalidArgument", "ErrorMessage": reason}
        if entry["Source"].startswith("aws."):
            reason = "Not authorized for the source."
            return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": reason}
        try:
            detail = msgspec.json.decode(entry["Detail"])
        except (msgspec.DecodeError, RecursionError):
            detail = None
        if not isinstance(detail, dict):
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        try:
            bus = bus_name(owner, entry.get("EventBusName"))
        except AccessDenied as error:
            return {"ErrorCode": error.code, "ErrorMessage": error.message}
        put = BusEntry(
            entry["Source"],
            entry["DetailType"],
            detail,
            tuple(entry.get("Resources", ())),
            entry.get("Time"),
            entry.get("TraceHeader"),
        )
        return {"EventId": await self._delivery.publish(owner, bus, put)}
