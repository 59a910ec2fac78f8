"""The Runtime API as the processes of one sandbox see it at 127.0.0.1:9001.

Source: developer guide, "Using the Lambda runtime API for custom runtimes". Frames what the environment decides; the
decisions are the machine's. Everything that comes in here is hostile.
"""

from collections.abc import Awaitable
from typing import Protocol

import msgspec

from ondol.http import HttpCommons, HttpLimits, Request, Response, Server
from ondol.http.body import Body
from ondol.model.limits import MEBIBYTE, RESPONSE_PAYLOAD_BYTES
from ondol.worker.machine import RuntimeMisbehaved, UnknownRequest

VERSION = "/2018-06-01/runtime"
NEXT = f"{VERSION}/invocation/next"
INIT_ERROR = f"{VERSION}/init/error"
INVOCATION = f"{VERSION}/invocation/"

LIMITS = HttpLimits(
    header_bytes=16_384,
    headers=64,
    body_bytes=1024 * MEBIBYTE,
    pipelined=4,
    connections=64,
    keep_alive_s=86_400.0,
    stall_s=900.0,
)
"""Too large a result is read to its end and dropped, so that its runtime lives on to serve the next invocation."""

JSON_FIELDS = (("Content-Type", "application/json"),)
OK = b'{"status":"OK"}\n'

ERROR_BODY_BYTES = 262_144


class RuntimeErrorReport(msgspec.Struct, frozen=True, gc=False):
    """What a runtime posts when a function failed."""

    error_type: str
    payload: bytes


class Environment(Protocol):
    """What the Runtime API needs of the environment behind it. Each may raise `RuntimeMisbehaved`."""

    def next_asked(self, response: Response) -> None:
        """The runtime waits for an invocation; the response is answered when there is one."""
        ...

    def result_begins(self, request: str) -> None: ...

    def result_piece(self, piece: bytes) -> None: ...

    def result_whole(self, request: str, size: int) -> None: ...

    def invocation_failed(self, request: str, report: RuntimeErrorReport) -> None: ...

    def init_failed(self, report: RuntimeErrorReport) -> None: ...


class RuntimeApi:
    """Serves one environment's Runtime API on every connection that its sandbox opens."""

    def __init__(self, environment: Environment, http: HttpCommons) -> None:
        self._environment = environment
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
        _refuse(response, 404, "Runtime.UnknownPath", f"{request.method} {path} is not served here")
        return None

    def _result(self, id: str, request: Request, response: Response) -> Awaitable[None] | None:
        self._environment.result_begins(id)
        whole = request.body.whole
        if whole is None:
            return self._stream_result(id, request.body, response)
        self._end_result(id, whole, response)
        return None

    def _end_result(self, id: str, last_piece: bytes, response: Response) -> None:
        size = len(last_piece)
        if size <= RESPONSE_PAYLOAD_BYTES:
            self._environment.result_piece(last_piece)
        self._environment.result_whole(id, size)
        _acknowledge(response, size)

    async def _stream_result(self, id: str, body: Body, response: Response) -> None:
        try:
            size = 0
            async for piece in body:
                size += len(piece)
                if size <= RESPONSE_PAYLOAD_BYTES:
                    self._environment.result_piece(piece)
            self._environment.result_whole(id, size)
            _acknowledge(response, size)
        except RuntimeMisbehaved as error:
            refuse_misbehaviour(response, error)

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


def _acknowledge(response: Response, size: int) -> None:
    if size <= RESPONSE_PAYLOAD_BYTES:
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


class _ErrorBody(msgspec.Struct):
    errorType: str = "Runtime.UnknownReason"


def _error_type(request: Request, payload: bytes) -> str:
    """From the header that a runtime may send, else from the body."""
    named = request.headers.get("lambda-runtime-function-error-type")
    if named:
        return named
    try:
        return msgspec.json.decode(payload, type=_ErrorBody).errorType
    except msgspec.DecodeError:
        return "Runtime.UnknownReason"
