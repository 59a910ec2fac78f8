"""Invoke: from a request on the wire to an invocation, and from its result to the answer.

Source: API reference, Invoke. The warm path of ondol: an invocation whose payload is here, of a function whose view is
held, is with its worker before `serve` returns.
"""

import base64
from collections.abc import Awaitable, Callable

from ondol.aws.identity import Caller
from ondol.aws.invoke import InvocationType, InvokeParameters
from ondol.aws.payload import check_payload
from ondol.aws.reply import WireReply
from ondol.aws.routes import Match
from ondol.aws.wire import LambdaWire
from ondol.control.api import Control
from ondol.frontend.directory import Directory, Target, not_found, resolve
from ondol.frontend.invocations import Invocation, Invocations
from ondol.http import BodyTooLarge, Request, Response
from ondol.model.errors import AccessDenied, NotServed, OndolError, RequestTooLarge
from ondol.model.ids import RequestId
from ondol.model.invocation import FunctionFailure
from ondol.model.limits import REQUEST_PAYLOAD_BYTES

UNHANDLED = "Unhandled"
"""What `X-Amz-Function-Error` says of every failure of a managed runtime."""


class WholePayload:
    """A payload that is all here."""

    __slots__ = ("first",)

    def __init__(self, payload: bytes) -> None:
        self.first = payload

    async def read(self) -> bytes:
        return b""


class Answer:
    """Gathers a result and answers with it as soon as it is whole."""

    __slots__ = ("_executed", "_pieces", "_request_id", "_response", "_wire")

    def __init__(self, wire: LambdaWire, response: Response, request_id: RequestId, executed_version: str) -> None:
        self._wire = wire
        self._response = response
        self._request_id = request_id
        self._executed = executed_version
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> None:
        self._pieces.append(piece)

    async def drain(self) -> None:
        """There is always room: a result is 6 MB at most."""

    def finish(self, failure: FunctionFailure | None, log_tail: bytes) -> None:
        fields = [
            ("Content-Type", "application/json"),
            ("x-amzn-RequestId", self._request_id),
            ("X-Amz-Executed-Version", self._executed),
        ]
        if log_tail:
            fields.append(("X-Amz-Log-Result", base64.b64encode(log_tail).decode()))
        if failure is not None:
            fields.append(("X-Amz-Function-Error", UNHANDLED))
            body = failure.payload
        else:
            body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._response.send(200, fields, body)

    def refuse(self, error: OndolError) -> None:
        send_reply(self._response, self._wire.failure(error, self._request_id))


class InvokeApi:
    """Serves Invoke."""

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
        """Answer one Invoke, now or later. Raises `CallerError`, which the caller frames, as what is awaited may."""
        parameters = self._wire.parse_invoke(match, request.headers, caller)
        if parameters.type is InvocationType.EVENT:
            raise NotServed("Invocation type Event is not served by this version of ondol.")
        payload = request.body.whole
        if payload is None or len(payload) > REQUEST_PAYLOAD_BYTES:
            return self._serve_later(parameters, caller, request_id, request, response)
        target = self._directory.target(parameters.function, parameters.qualifier, self._chance)
        if target is None:
            return self._serve_later(parameters, caller, request_id, request, response)
        self._begin(parameters, target, payload, request_id, request=request, response=response)
        return None

    async def _serve_later(
        self, parameters: InvokeParameters, caller: Caller, request_id: RequestId, request: Request, response: Response
    ) -> None:
        payload = await _read_payload(request, parameters)
        target = await self._target(parameters, caller)
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
        invocation = Invocation(
            request_id,
            target,
            len(payload),
            WholePayload(payload),
            Answer(self._wire, response, request_id, target.version.version),
            base64.b64decode(context).decode() if context is not None else None,
            request.headers.get("x-amzn-trace-id"),
            parameters.tail,
        )
        request.when_client_gone(lambda: self._invocations.client_gone(invocation))
        self._invocations.begin(invocation)

    async def _target(self, parameters: InvokeParameters, caller: Caller) -> Target:
        key, qualifier = parameters.function, parameters.qualifier
        target = self._directory.target(key, qualifier, self._chance)
        if target is None:
            view = await self._control.view(key)
            if view is None:
                raise AccessDenied("") if key.account != caller.account else not_found(key, qualifier)
            self._directory.adopt(view)
            target = resolve(view, qualifier, self._chance())
        return target


async def _read_payload(request: Request, parameters: InvokeParameters) -> bytes:
    try:
        return await request.body.read(REQUEST_PAYLOAD_BYTES)
    except BodyTooLarge as error:
        size = request.body.length or error.limit + 1
        raise RequestTooLarge(
            f"{size} byte payload is too large for the {parameters.type.value} invocation type "
            f"(limit {REQUEST_PAYLOAD_BYTES} bytes)"
        ) from error


def send_reply(response: Response, reply: WireReply) -> None:
    """Answer with what the wire has framed."""
    response.send(reply.status, tuple(reply.headers.items()), reply.body)
