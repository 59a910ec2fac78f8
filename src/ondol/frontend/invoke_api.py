"""Invoke and InvokeWithResponseStream: from a request on the wire to an invocation.

Source: API reference, Invoke and InvokeWithResponseStream. The warm path of ondol: an invocation whose payload
is here, of a function whose view is held, is with its worker before `serve` returns.
"""

import base64
from collections.abc import Awaitable, Callable

from ondol.aws.identity import Caller
from ondol.aws.invoke import OPERATION, STREAM_OPERATION, InvocationType, InvokeParameters
from ondol.aws.payload import check_payload
from ondol.aws.routes import Match
from ondol.aws.wire import LambdaWire
from ondol.control.api import Control
from ondol.frontend.answers import Answer, StreamAnswer
from ondol.frontend.directory import Directory, Target, not_found, resolve
from ondol.frontend.invocations import Invocation, Invocations
from ondol.http import BodyTooLarge, Request, Response
from ondol.model.errors import AccessDenied, NotServed, RequestTooLarge
from ondol.model.ids import RequestId
from ondol.model.limits import REQUEST_PAYLOAD_BYTES
from ondol.model.policy import INVOKE, Principal, denied

OPERATIONS = frozenset((OPERATION, STREAM_OPERATION))


class WholePayload:
    """A payload that is all here."""

    __slots__ = ("first",)

    def __init__(self, payload: bytes) -> None:
        self.first = payload

    async def read(self) -> bytes:
        return b""


class InvokeApi:
    """Serves Invoke and InvokeWithResponseStream."""

    def __init__(
        self,
        wire: LambdaWire,
        control: Control,
        directory: Directory,
        invocations: Invocations,
        chance: Callable[[], float],
    ) -> None:
        self._wire = wire
        self._control = control
        self._directory = directory
        self._invocations = invocations
        self._chance = chance

    def serve(
        self, match: Match, caller: Caller, request_id: RequestId, request: Request, response: Response
    ) -> Awaitable[None] | None:
        """Answer one of `OPERATIONS`, now or later.

        Raises `CallerError`, which the caller frames, as what is awaited may.
        """
        parse = self._wire.parse_invoke if match.operation == OPERATION else self._wire.parse_invoke_stream
        parameters = parse(match, request.headers, caller)
        if parameters.type is InvocationType.EVENT:
            raise NotServed("Invocation type Event is not served by this version of ondol.")
        payload = request.body.whole
        if payload is None or len(payload) > REQUEST_PAYLOAD_BYTES:
            return self._serve_later(parameters, caller, request_id, request, response)
        target = self._directory.target(parameters.function, parameters.qualifier, self._chance)
        if target is None:
            return self._serve_later(parameters, caller, request_id, request, response)
        if parameters.function.account != caller.account:
            _require_permission(target, parameters, caller)
        self._begin(parameters, target, payload, request_id, request=request, response=response)
        return None

    async def _serve_later(
        self, parameters: InvokeParameters, caller: Caller, request_id: RequestId, request: Request, response: Response
    ) -> None:
        payload = await _read_payload(request, parameters)
        target = await self.target(parameters, caller)
        if parameters.function.account != caller.account:
            _require_permission(target, parameters, caller)
        self._begin(parameters, target, payload, request_id, request=request, response=response)

    def _begin(
        self,
        parameters: InvokeParameters,
        target: Target,
        payload: bytes,
        request_id: RequestId,
        *,
        request: Request,
        response: Response,
    ) -> None:
        if parameters.type is InvocationType.DRY_RUN:
            response.send(204, (("x-amzn-RequestId", request_id),))
            return
        payload = check_payload(payload)
        context = parameters.client_context
        answer = StreamAnswer if parameters.stream else Answer
        invocation = Invocation(
            request_id,
            target,
            len(payload),
            WholePayload(payload),
            answer(self._wire, response, request_id, target.version.version),
            base64.b64decode(context).decode() if context is not None else None,
            request.headers.get("x-amzn-trace-id"),
            parameters.tail,
            parameters.stream,
        )
        request.when_client_gone(lambda: self._invocations.client_gone(invocation))
        self._invocations.begin(invocation)

    async def target(self, parameters: InvokeParameters, caller: Caller) -> Target:
        """What would run now. Raises `ResourceNotFound`, `AccessDenied`, `ResourceConflict`."""
        key, qualifier = parameters.function, parameters.qualifier
        target = self._directory.target(key, qualifier, self._chance)
        if target is None:
            view = await self._control.view(key)
            if view is None:
                raise AccessDenied("") if key.account != caller.account else not_found(key, qualifier)
            self._directory.adopt(view)
            target = resolve(view, qualifier, self._chance())
        return target


def _require_permission(target: Target, parameters: InvokeParameters, caller: Caller) -> None:
    """Raises `AccessDenied` unless the function's policy lets another account invoke it under this name."""
    principal = Principal(account=caller.account, arn=caller.role_session)
    if not target.view.permits(parameters.qualifier, INVOKE, principal):
        raise denied(caller.account, INVOKE, target.invoked_arn)


async def _read_payload(request: Request, parameters: InvokeParameters) -> bytes:
    try:
        return await request.body.read(REQUEST_PAYLOAD_BYTES)
    except BodyTooLarge as error:
        size = request.body.length or error.limit + 1
        raise RequestTooLarge(
            f"{size} byte payload is too large for the {parameters.type.value} invocation type "
            f"(limit {REQUEST_PAYLOAD_BYTES} bytes)"
        ) from error
