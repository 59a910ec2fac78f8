"""Invoke: from a request on the wire to an invocation, and from its result to the answer.

Source: API reference, Invoke. The warm path of ondol: nothing here waits but for the worker.
"""

import base64
from collections.abc import Callable

from ondol.aws.identity import Caller
from ondol.aws.invoke import InvocationType, InvokeParameters
from ondol.aws.payload import check_payload
from ondol.aws.routes import Match
from ondol.aws.wire import LambdaWire
from ondol.control.api import Control
from ondol.frontend.directory import Directory, Target, not_found, resolve
from ondol.frontend.invocations import Invocation, Invocations
from ondol.http import BodyTooLarge, Request, Response
from ondol.model.errors import AccessDenied, NotServed, RequestTooLarge
from ondol.model.function import FunctionKey
from ondol.model.ids import RequestId
from ondol.model.invocation import FunctionFailure
from ondol.model.limits import REQUEST_PAYLOAD_BYTES

UNHANDLED = "Unhandled"
"""What `X-Amz-Function-Error` says of every failure of a managed runtime."""


class WholePayload:
    """A payload that is all here: read once, in one piece."""

    __slots__ = ("_payload",)

    def __init__(self, payload: bytes) -> None:
        self._payload = payload

    async def read(self) -> bytes:
        payload, self._payload = self._payload, b""
        return payload


class AnswerSink:
    """Gathers a result and answers with it as soon as it is whole."""

    __slots__ = ("_executed", "_pieces", "_request_id", "_response")

    def __init__(self, response: Response, request_id: RequestId, executed_version: str) -> None:
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

    async def serve(
        self, match: Match, caller: Caller, request_id: RequestId, request: Request, response: Response
    ) -> None:
        """Answer one Invoke. Raises `CallerError` and `PlatformError`, which the caller frames."""
        parameters = self._wire.parse_invoke(match, request.headers, caller)
        if parameters.type is InvocationType.EVENT:
            raise NotServed("Invocation type Event is not served by this version of ondol.")
        payload = request.body.whole
        if payload is None or len(payload) > REQUEST_PAYLOAD_BYTES:
            payload = await _read_payload(request, parameters)
        target = await self._target(parameters, caller)
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
            AnswerSink(response, request_id, target.version.version),
            base64.b64decode(context).decode() if context is not None else None,
            request.headers.get("x-amzn-trace-id"),
            parameters.tail,
        )
        request.when_client_gone(lambda: self._invocations.client_gone(invocation))
        await self._invocations.run(invocation)

    async def _target(self, parameters: InvokeParameters, caller: Caller) -> Target:
        arn = parameters.function
        key = FunctionKey(arn.account, arn.region, arn.name)
        view = self._directory.get(key)
        if view is None:
            view = await self._control.view(key)
            if view is None:
                raise AccessDenied("") if arn.account != caller.account else not_found(key, arn.qualifier)
            self._directory.adopt(view)
        return resolve(view, arn.qualifier, self._chance())


async def _read_payload(request: Request, parameters: InvokeParameters) -> bytes:
    try:
        return await request.body.read(REQUEST_PAYLOAD_BYTES)
    except BodyTooLarge as error:
        size = request.body.length or error.limit + 1
        raise RequestTooLarge(
            f"{size} byte payload is too large for the {parameters.type.value} invocation type "
            f"(limit {REQUEST_PAYLOAD_BYTES} bytes)"
        ) from error
