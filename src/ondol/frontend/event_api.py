"""Invoke with type Event, and InvokeAsync: from a request on the wire to an event that is kept.

Source: API reference, Invoke and InvokeAsync. What is wrong with a request is told at once; 202 says that the event is
durable, and nothing of what will become of it.
"""

from ondol.aws.identity import Caller
from ondol.aws.invoke import InvokeParameters
from ondol.aws.payload import check_payload
from ondol.aws.tracing import TRACE_HEADER
from ondol.events.api import Event, Events
from ondol.frontend.attempts import settings_of
from ondol.frontend.durable_api import DurableApi
from ondol.frontend.payloads import read_payload
from ondol.frontend.targets import Targets
from ondol.http import Request, Response
from ondol.model.ids import RequestId
from ondol.model.limits import EVENT_PAYLOAD_BYTES
from ondol.model.time import Clock


class EventApi:
    """Serves asynchronous invocations."""

    def __init__(self, targets: Targets, events: Events, durable_api: DurableApi, clock: Clock) -> None:
        self._targets = targets
        self._events = events
        self._durable_api = durable_api
        self._clock = clock

    async def serve(
        self, parameters: InvokeParameters, caller: Caller, request_id: RequestId, request: Request, response: Response
    ) -> None:
        """Answer with 202. Raises `CallerError`, and `PlatformError` if the event could not be kept."""
        payload = await read_payload(request, parameters, EVENT_PAYLOAD_BYTES)
        target = await self._targets.find(parameters.function, parameters.qualifier, caller, parameters.tenant)
        trace = request.headers.get(TRACE_HEADER)
        if target.version.durable is not None or parameters.durable_execution is not None:
            await self._durable_api.serve(
                parameters, target, payload, request_id=request_id, trace=trace, response=response
            )
            return
        event = Event(
            request_id,
            parameters.function,
            parameters.qualifier,
            check_payload(payload),
            self._clock.wall(),
            settings_of(target, parameters.qualifier),
            trace=trace,
            tenant=parameters.tenant,
        )
        await self._events.accept(event)
        response.send(202, (("x-amzn-RequestId", request_id),))
