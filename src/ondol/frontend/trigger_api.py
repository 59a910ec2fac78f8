"""EventBridge and its Scheduler: reads a request, has `triggers` decide, frames the answer."""

import asyncio
from functools import cached_property
from typing import Any

from ondol.aws.identity import Caller
from ondol.aws.protocols import TARGET
from ondol.aws.reply import WireReply
from ondol.aws.service_ids import EVENTS
from ondol.aws.wire import EventsWire, SchedulerWire
from ondol.background import SLOW_BYTES
from ondol.frontend.payloads import read_body
from ondol.http import Request
from ondol.model.errors import OndolError, UnknownOperation
from ondol.model.ids import RequestId
from ondol.triggers.api import Owner, Triggers

_REQUEST_BYTES = 2_097_152


class TriggerApi:
    """Models are read when somebody first asks: most never do."""

    def __init__(self, triggers: Triggers) -> None:
        self._triggers = triggers

    async def serve(self, service: str, caller: Caller, request_id: RequestId, request: Request) -> WireReply:
        """The answer to one request, whatever is wrong with it."""
        wire: EventsWire | SchedulerWire = self._events if service == EVENTS else self._scheduler
        try:
            operation, parameters = await self._read(service, request)
            result = await self._triggers.perform(service, operation, Owner(caller.account, caller.region), parameters)
            return wire.reply(operation, result, request_id)
        except OndolError as error:
            return wire.failure(error, request_id)

    async def _read(self, service: str, request: Request) -> tuple[str, dict[str, Any]]:
        body = await read_body(request, _REQUEST_BYTES)
        if len(body) > SLOW_BYTES:
            return await asyncio.to_thread(self._parse, service, request, body)
        return self._parse(service, request, body)

    def _parse(self, service: str, request: Request, body: bytes) -> tuple[str, dict[str, Any]]:
        if service == EVENTS:
            match = self._events.match(request.headers.get(TARGET))
            if match is not None:
                return match.operation, self._events.parse(match, body)
        else:
            match = self._scheduler.match(request.method, request.path, request.query)
            if match is not None:
                return match.operation, self._scheduler.parse(match, request.headers, body)
        raise UnknownOperation(f"The request addresses no operation of {service}.")

    @cached_property
    def _events(self) -> EventsWire:
        return EventsWire()

    @cached_property
    def _scheduler(self) -> SchedulerWire:
        return SchedulerWire()
