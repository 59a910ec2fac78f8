"""The answers of a function URL: the HTTP response that a function's result describes, whole or as it comes.

Source: developer guide, "Invoking Lambda function URLs" and "Response streaming for Lambda functions".
"""

import contextlib

from ondol.aws.http_event import (
    JSON,
    PLAIN_STREAM,
    PRELUDE_END,
    WITH_PRELUDE,
    Fields,
    HttpResult,
    ResultMalformed,
    decode_prelude,
    decode_result,
)
from ondol.aws.wire import LambdaWire
from ondol.frontend.http_answer import Manners
from ondol.http import ClientGone, InvalidResponse, Response
from ondol.model.errors import OndolError
from ondol.model.ids import RequestId
from ondol.model.invocation import FunctionFailure

_PRELUDE_BYTES = 65_536


class UrlSpeech:
    """How function URLs read results and say what went wrong."""

    def __init__(self, wire: LambdaWire, request_id: RequestId) -> None:
        self._wire = wire
        self._request_id = request_id

    def read(self, payload: bytes) -> HttpResult:
        return decode_result(payload)

    def failed(self) -> HttpResult:
        return HttpResult(502, [("Content-Type", JSON)], b"Internal Server Error")

    def refused(self, error: OndolError) -> HttpResult:
        reply = self._wire.failure(error, self._request_id)
        own = [field for field in reply.headers.items() if field[0] != "x-amzn-RequestId"]
        return HttpResult(reply.status, own, reply.body)


class UrlStreamAnswer:
    """Answers while the result comes. A client that has gone holds up nobody: what would be its own is dropped."""

    def __init__(self, response: Response, manners: Manners, speech: UrlSpeech) -> None:
        self._response = response
        self._manners = manners
        self._speech = speech
        self._type = JSON
        self._prelude: bytes | None = None
        """What has come of it; None once it is over, or if there is none."""

        self._malformed = False

    def begin_stream(self, content_type: str) -> None:
        self._type = content_type or PLAIN_STREAM
        if content_type == WITH_PRELUDE:
            self._prelude = b""

    def write(self, piece: bytes) -> None:
        if self._malformed:
            return
        if self._prelude is not None:
            prelude, end, piece = (self._prelude + piece).partition(PRELUDE_END)
            if not end:
                self._prelude = prelude
                self._malformed = len(prelude) > _PRELUDE_BYTES
                return
            self._prelude = None
            self._start_with(prelude)
        elif not self._response.started:
            self._start(200, [("Content-Type", self._type)])
        if piece and not self._malformed:
            self._response.write(piece)

    async def drain(self) -> None:
        if self._response.started:
            with contextlib.suppress(ClientGone):
                await self._response.drain()

    def finish(self, failure: FunctionFailure | None, log_tail: bytes) -> None:
        response = self._response
        if response.started:
            if failure is None:
                response.end()
            else:
                # Half a body must not pass for a whole one.
                response.abort()
        elif failure is not None or self._malformed or self._prelude is not None:
            self._send(self._speech.failed())
        else:
            response.send(200, self._manners.fields([("Content-Type", self._type)]))

    def refuse(self, error: OndolError) -> None:
        if self._response.started:
            self._response.abort()
        else:
            self._send(self._speech.refused(error))

    def _start_with(self, prelude: bytes) -> None:
        try:
            self._start(*decode_prelude(prelude))
        except (ResultMalformed, InvalidResponse):
            self._malformed = True

    def _send(self, result: HttpResult) -> None:
        self._response.send(result.status, self._manners.fields(result.fields), result.body)

    def _start(self, status: int, fields: Fields) -> None:
        self._response.start(status, self._manners.fields(fields))
