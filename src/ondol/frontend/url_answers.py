"""The answers of a function URL: the HTTP response that a function's result describes, whole or as it comes.

Source: developer guide, "Invoking Lambda function URLs" and "Response streaming for Lambda functions".
"""

import asyncio
import contextlib

import msgspec

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
from ondol.background import Background
from ondol.frontend.cors import without_cors
from ondol.http import ClientGone, InvalidResponse, Response
from ondol.model.errors import OndolError
from ondol.model.ids import RequestId
from ondol.model.invocation import FunctionFailure

SLOW_BYTES = 65_536
"""What is larger is read and written as JSON away from the event loop: it takes 2 ms a megabyte."""

_PRELUDE_BYTES = 65_536
_BODILESS = frozenset({204, 304})


class Manners(msgspec.Struct, frozen=True):
    """What a URL adds to every answer, and takes away."""

    added: Fields
    speaks_for_cors: bool = False
    """The URL's own settings say what other origins may; what the function says of that is dropped."""

    cookies: bool = True

    def fields(self, of_function: Fields) -> Fields:
        kept = without_cors(of_function) if self.speaks_for_cors else of_function
        if not self.cookies:
            kept = [field for field in kept if field[0].lower() != "set-cookie"]
        return [*kept, *self.added]


class UrlAnswer:
    """Gathers a result, and answers with what it says."""

    def __init__(self, wire: LambdaWire, response: Response, request_id: RequestId, manners: Manners) -> None:
        self._wire = wire
        self._response = response
        self._request_id = request_id
        self._manners = manners
        self._pieces: list[bytes] = []
        self._reading = Background("reading a function's result")

    def begin_stream(self, content_type: str) -> None:
        """Not told: the whole of it says what it is."""

    def write(self, piece: bytes) -> None:
        self._pieces.append(piece)

    async def drain(self) -> None:
        """There is always room: a result is 6 MB at most."""

    def finish(self, failure: FunctionFailure | None, log_tail: bytes) -> None:
        payload = b"".join(self._pieces)
        if failure is not None:
            send_internal_error(self._response, self._manners)
        elif len(payload) <= SLOW_BYTES:
            self._answer(_read(payload))
        else:
            self._reading.spawn(self._answer_later(payload))

    def refuse(self, error: OndolError) -> None:
        send_refusal(self._wire, self._response, self._request_id, self._manners, error)

    async def _answer_later(self, payload: bytes) -> None:
        self._answer(await asyncio.to_thread(_read, payload))

    def _answer(self, result: HttpResult | None) -> None:
        if result is None:
            send_internal_error(self._response, self._manners)
            return
        body = b"" if result.status in _BODILESS else result.body
        try:
            self._response.send(result.status, self._manners.fields(result.fields), body)
        except InvalidResponse:
            send_internal_error(self._response, self._manners)


class UrlStreamAnswer:
    """Answers while the result comes. A client that has gone holds up nobody: what would be its own is dropped."""

    def __init__(self, wire: LambdaWire, response: Response, request_id: RequestId, manners: Manners) -> None:
        self._wire = wire
        self._response = response
        self._request_id = request_id
        self._manners = manners
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
            send_internal_error(response, self._manners)
        else:
            response.send(200, self._manners.fields([("Content-Type", self._type)]))

    def refuse(self, error: OndolError) -> None:
        if self._response.started:
            self._response.abort()
        else:
            send_refusal(self._wire, self._response, self._request_id, self._manners, error)

    def _start_with(self, prelude: bytes) -> None:
        try:
            self._start(*decode_prelude(prelude))
        except (ResultMalformed, InvalidResponse):
            self._malformed = True

    def _start(self, status: int, fields: Fields) -> None:
        self._response.start(status, self._manners.fields(fields))


def _read(payload: bytes) -> HttpResult | None:
    """None for what is no HTTP response."""
    try:
        return decode_result(payload)
    except ResultMalformed:
        return None


def send_internal_error(response: Response, manners: Manners) -> None:
    """What a client is told of a function that failed, or answered what is no HTTP."""
    response.send(502, manners.fields([("Content-Type", JSON)]), b"Internal Server Error")


def send_refusal(
    wire: LambdaWire, response: Response, request_id: RequestId, manners: Manners, error: OndolError
) -> None:
    reply = wire.failure(error, request_id)
    own = [field for field in reply.headers.items() if field[0] != "x-amzn-RequestId"]
    response.send(reply.status, manners.fields(own), reply.body)
