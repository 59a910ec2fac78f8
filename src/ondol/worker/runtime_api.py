"""The Runtime API as the processes of one sandbox see it at 127.0.0.1:9001.

Source: developer guide, "Using the Lambda runtime API for custom runtimes" and "Building a custom runtime for AWS
Lambda". Frames what the environment decides; the decisions are the machine's. Everything that comes in here is hostile.
"""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from ondol.http import HttpCommons, HttpError, HttpLimits, Request, Response, Server
from ondol.http.body import Body
from ondol.model.foreign_json import UNREADABLE
from ondol.model.invocation import FailureKind, FunctionFailure
from ondol.model.limits import MEBIBYTE, RESPONSE_PAYLOAD_BYTES, STREAMED
from ondol.worker.extensions_api import ExtensionsApi
from ondol.worker.machine import RuntimeMisbehaved, UnknownRequest

VERSION = "/2018-06-01/runtime"
NEXT = f"{VERSION}/invocation/next"
INIT_ERROR = f"{VERSION}/init/error"
INVOCATION = f"{VERSION}/invocation/"

LIMITS = HttpLimits(
    header_bytes=1_310_720,
    headers=64,
    body_bytes=1024 * MEBIBYTE,
    pipelined=4,
    connections=64,
    keep_alive_s=86_400.0,
    stall_s=900.0,
)
"""Too large a result is read to its end and dropped, so that its runtime lives on to serve the next invocation.
Headers may be large: AWS's clients tell X-Ray's view of an error in one, up to 1 MiB, and an error in mid-stream, stack
trace and all, comes in a trailer."""

JSON_FIELDS = (("Content-Type", "application/json"),)
OK = b'{"status":"OK"}\n'

_MOMENTS = 4
_MOMENT_S = 0.005
"""In each of them the loop hears all that has come; what it has heard may take two to have its effect."""

ERROR_BODY_BYTES = 262_144
UNKNOWN_REASON = "Runtime.UnknownReason"

_MODE = "lambda-runtime-function-response-mode"
_ERROR_TYPE = "lambda-runtime-function-error-type"
_ERROR_BODY = "lambda-runtime-function-error-body"


class RuntimeErrorReport(msgspec.Struct, frozen=True, gc=False):
    """What a runtime posts when a function failed."""

    error_type: str
    payload: bytes

    def failure(self) -> FunctionFailure:
        return FunctionFailure(FailureKind.HANDLED_BY_RUNTIME, self.error_type, self.payload)


class Environment(Protocol):
    """What the Runtime API needs of the environment behind it. Each may raise `RuntimeMisbehaved`."""

    def next_asked(self, response: Response) -> None:
        """The runtime waits for an invocation; the response is answered when there is one."""
        ...

    def result_begins(self, request: str) -> None: ...

    def result_piece(self, piece: bytes) -> None: ...

    def result_whole(self, request: str, size: int) -> None: ...

    @property
    def streams(self) -> bool:
        """The client of the invocation takes its result piece by piece."""
        ...

    @property
    def is_streaming(self) -> bool:
        """A result has begun that way, and is not complete."""
        ...

    def stream_begins(self, request: str, content_type: str) -> None: ...

    async def stream_piece(self, request: str, piece: bytes) -> None:
        """Pass it on as soon as it may go, and wait until the client has room for more."""
        ...

    def stream_ends(self, request: str, report: RuntimeErrorReport | None) -> None:
        """The result is complete; with a report, the function failed after what it has written."""
        ...

    def stream_breaks(self, request: str) -> None:
        """No more of the result can be read, and it is not complete."""
        ...

    def invocation_failed(self, request: str, report: RuntimeErrorReport) -> None: ...

    def init_failed(self, report: RuntimeErrorReport) -> None: ...


Api = Callable[[Request, Response], Awaitable[None] | None]
"""AWS's API as this sandbox reaches it: at the same address, for all that is not the Runtime API's."""


class RuntimeApi:
    """Serves one environment's Runtime API on every connection that its sandbox opens."""

    def __init__(
        self, environment: Environment, http: HttpCommons, extensions: ExtensionsApi, api: Api | None = None
    ) -> None:
        self._environment = environment
        self._extensions = extensions
        self._api = api
        self.server = Server(self._serve, LIMITS, http)

    def _serve(self, request: Request, response: Response) -> Awaitable[None] | None:
        try:
            return self._route(request, response)
        except RuntimeMisbehaved as error:
            refuse_misbehaviour(response, error)
            return None

    def _route(self, request: Request, response: Response) -> Awaitable[None] | None:
        path = request.path
        if path == NEXT and request.method == "GET":
            if self._environment.is_streaming:
                return self._next_once_heard(response)
            self._environment.next_asked(response)
            return None
        if request.method == "POST":
            if path.startswith(INVOCATION):
                id, _, verb = path[len(INVOCATION) :].partition("/")
                if verb == "response":
                    return self._result(id, request, response)
                if verb == "error":
                    return self._error(id, request, response)
            if path == INIT_ERROR:
                return self._error(None, request, response)
        if self._extensions.serves(path):
            return self._extensions.serve(request, response)
        if self._api is not None and not path.startswith(VERSION):
            return self._api(request, response)
        _refuse(response, 404, "Runtime.UnknownPath", f"{request.method} {path} is not served here")
        return None

    async def _next_once_heard(self, response: Response) -> None:
        """The connection of a result that streams may have ended before this came on another, and be heard of later."""
        for _ in range(_MOMENTS):
            await asyncio.sleep(_MOMENT_S)
            if not self._environment.is_streaming:
                break
        try:
            self._environment.next_asked(response)
        except RuntimeMisbehaved as error:
            refuse_misbehaviour(response, error)

    def _result(self, id: str, request: Request, response: Response) -> Awaitable[None] | None:
        self._environment.result_begins(id)
        if _MODE in request.headers:
            return self._result_in_mode(request.headers[_MODE], id, request, response)
        whole = request.body.whole
        if whole is None:
            return self._gather_result(id, request.body, response)
        self._end_result(id, whole, len(whole), response)
        return None

    def _end_result(self, id: str, result: bytes, size: int, response: Response) -> None:
        if size <= RESPONSE_PAYLOAD_BYTES:
            self._environment.result_piece(result)
        self._environment.result_whole(id, size)
        _acknowledge(response, size, RESPONSE_PAYLOAD_BYTES)

    async def _gather_result(self, id: str, body: Body, response: Response) -> None:
        """The client takes it whole, whether or not the function streams it."""
        pieces = []
        size = 0
        async for piece in body:
            size += len(piece)
            if size <= RESPONSE_PAYLOAD_BYTES:
                pieces.append(piece)
        try:
            self._environment.result_begins(id)  # it may have been answered meanwhile
            report = _midstream_error(body)
            if report is not None:
                self._environment.invocation_failed(id, report)
                response.send(202, JSON_FIELDS, OK)
            else:
                self._end_result(id, b"".join(pieces), size, response)
        except RuntimeMisbehaved as error:
            refuse_misbehaviour(response, error)

    def _result_in_mode(self, mode: str, id: str, request: Request, response: Response) -> Awaitable[None] | None:
        if mode != "streaming":
            text = f"{mode!r} is no response mode"
            self._environment.invocation_failed(id, _report("Runtime.InvalidResponseModeHeader", text))
            _refuse(response, 400, "InvalidFunctionResponseMode", text)
            return None
        if not self._environment.streams:
            return self._gather_result(id, request.body, response)
        self._environment.stream_begins(id, request.headers.get("content-type", ""))
        return self._stream_result(id, request.body, response)

    async def _stream_result(self, id: str, body: Body, response: Response) -> None:
        size = 0
        try:
            async for piece in body:
                size += len(piece)
                await self._environment.stream_piece(id, piece)
        except HttpError:
            self._environment.stream_breaks(id)
            raise
        self._environment.stream_ends(id, _midstream_error(body))
        _acknowledge(response, size, STREAMED.total_bytes)

    async def _error(self, id: str | None, request: Request, response: Response) -> None:
        payload = await request.body.read(ERROR_BODY_BYTES)
        report = RuntimeErrorReport(_error_type(request, payload), payload or b"null")
        try:
            if id is None:
                self._environment.init_failed(report)
            else:
                self._environment.invocation_failed(id, report)
        except RuntimeMisbehaved as error:
            refuse_misbehaviour(response, error)
            return
        response.send(202, JSON_FIELDS, OK)


def _acknowledge(response: Response, size: int, limit: int) -> None:
    if size <= limit:
        # A runtime that pipelines does not wait for it: one system call and one waking less.
        response.send(202, JSON_FIELDS, OK, with_next=True)
    else:
        _refuse(response, 413, "RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({size} bytes).")


def refuse_misbehaviour(response: Response, error: RuntimeMisbehaved) -> None:
    if isinstance(error, UnknownRequest):
        _refuse(response, 400, "InvalidRequestID", str(error))
    else:
        _refuse(response, 403, "InvalidStateTransition", str(error))


def _refuse(response: Response, status: int, error_type: str, message: str) -> None:
    body = msgspec.json.encode({"errorMessage": message, "errorType": error_type})
    response.send(status, JSON_FIELDS, body)


def _midstream_error(body: Body) -> RuntimeErrorReport | None:
    """What the trailers of a streamed result say went wrong after it had begun."""
    trailers = body.trailers
    if _ERROR_TYPE not in trailers and _ERROR_BODY not in trailers:
        return None
    told = trailers.get(_ERROR_BODY, "").encode("latin-1")
    try:
        payload = base64.b64decode(told, validate=True)
    except binascii.Error:
        payload = told
    return RuntimeErrorReport(trailers.get(_ERROR_TYPE) or UNKNOWN_REASON, payload)


def _report(error_type: str, message: str) -> RuntimeErrorReport:
    return RuntimeErrorReport(error_type, msgspec.json.encode({"errorType": error_type, "errorMessage": message}))


class _ErrorBody(msgspec.Struct):
    errorType: str = UNKNOWN_REASON


def _error_type(request: Request, payload: bytes) -> str:
    """From the header that a runtime may send, else from the body."""
    named = request.headers.get(_ERROR_TYPE)
    if named:
        return named
    try:
        return msgspec.json.decode(payload, type=_ErrorBody).errorType
    except UNREADABLE:
        return UNKNOWN_REASON
