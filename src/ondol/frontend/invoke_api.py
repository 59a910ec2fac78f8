"""Invoke, InvokeAsync and InvokeWithResponseStream: from a request on the wire to an invocation, or to an event.

Source: API reference, of these three. The warm path of ondol: an invocation whose payload is here, of a function whose
view is held, is with its worker before `serve` returns.
"""

from collections.abc import Awaitable

from ondol.aws.identity import Caller
from ondol.aws.invoke import (
    ASYNC_OPERATION,
    OPERATION,
    STREAM_OPERATION,
    InvocationType,
    InvokeParameters,
    client_context_of,
)
from ondol.aws.payload import check_payload
from ondol.aws.routes import Match
from ondol.aws.tracing import TRACE_HEADER
from ondol.aws.wire import LambdaWire
from ondol.frontend.answers import Answer, StreamAnswer
from ondol.frontend.directory import Target
from ondol.frontend.durable_api import DurableApi
from ondol.frontend.event_api import EventApi
from ondol.frontend.invocations import Invocation, Invocations
from ondol.frontend.payloads import WholePayload, read_payload
from ondol.frontend.targets import Targets
from ondol.http import Request, Response
from ondol.model.ids import RequestId
from ondol.model.limits import REQUEST_PAYLOAD_BYTES

OPERATIONS = frozenset((OPERATION, ASYNC_OPERATION, STREAM_OPERATION))


class InvokeApi:
    """Serves `OPERATIONS`."""

    def __init__(
        self,
        wire: LambdaWire,
        targets: Targets,
        invocations: Invocations,
        event_api: EventApi,
        durable_api: DurableApi,
    ) -> None:
        self._wire = wire
        self._targets = targets
        self._invocations = invocations
        self._event_api = event_api
        self._durable_api = durable_api

    def serve(
        self, match: Match, caller: Caller, request_id: RequestId, request: Request, response: Response
    ) -> Awaitable[None] | None:
        """Answer one of `OPERATIONS`, now or later.

        Raises `CallerError`, which the caller frames, as what is awaited may.
        """
        if match.operation == OPERATION:
            parameters = self._wire.parse_invoke(match, request.headers, caller)
        elif match.operation == STREAM_OPERATION:
            parameters = self._wire.parse_invoke_stream(match, request.headers, caller)
        else:
            parameters = self._wire.parse_invoke_async(match, caller)
        if parameters.type is InvocationType.EVENT:
            return self._event_api.serve(parameters, caller, request_id, request, response)
        payload = request.body.whole
        if payload is None or len(payload) > REQUEST_PAYLOAD_BYTES:
            return self._serve_later(parameters, caller, request_id, request, response)
        target = self._targets.held(parameters.function, parameters.qualifier, caller, parameters.tenant)
        if target is None:
            return self._serve_later(parameters, caller, request_id, request, response)
        return self._begin(parameters, target, payload, request_id, request=request, response=response)

    async def _serve_later(
        self, parameters: InvokeParameters, caller: Caller, request_id: RequestId, request: Request, response: Response
    ) -> None:
        payload = await read_payload(request, parameters, REQUEST_PAYLOAD_BYTES)
        target = await self._targets.find(parameters.function, parameters.qualifier, caller, parameters.tenant)
        begun = self._begin(parameters, target, payload, request_id, request=request, response=response)
        if begun is not None:
            await begun

    def _begin(
        self,
        parameters: InvokeParameters,
        target: Target,
        payload: bytes,
        request_id: RequestId,
        *,
        request: Request,
        response: Response,
    ) -> Awaitable[None] | None:
        if target.version.durable is not None or parameters.durable_execution is not None:
            trace = request.headers.get(TRACE_HEADER)
            return self._durable_api.serve(
                parameters, target, payload, request_id=request_id, trace=trace, response=response
            )
        if parameters.type is InvocationType.DRY_RUN:
            response.send(204, (("x-amzn-RequestId", request_id),))
            return None
        payload = check_payload(payload)
        context = parameters.client_context
        answer = StreamAnswer if parameters.stream else Answer
        invocation = Invocation(
            request_id,
            target,
            len(payload),
            WholePayload(payload),
            answer(self._wire, response, request_id, target.version.version),
            client_context_of(context) if context is not None else None,
            request.headers.get(TRACE_HEADER),
            parameters.tail,
            parameters.stream,
        )
        request.when_client_gone(lambda: self._invocations.client_gone(invocation))
        self._invocations.begin(invocation)
        return None
