"""The answer of a door for browsers to a request: the HTTP response that a function's whole result describes.

What a door says where no function has, and how it reads a result, is its `Speech`; the way is the same for each.
"""

import asyncio
from typing import Protocol

import msgspec

from ondol.aws.http_event import Fields, HttpResult, ResultMalformed
from ondol.aws.tracing import TRACE_HEADER, begun_trace
from ondol.background import SLOW_BYTES, Background
from ondol.frontend.cors import without_cors
from ondol.http import InvalidResponse, Request, Response
from ondol.model.errors import OndolError
from ondol.model.ids import RequestId
from ondol.model.invocation import FunctionFailure
from ondol.model.time import WallTime

_BODILESS = frozenset({204, 304})

_QUERY_COSTS = 8
"""As much as so many bytes of a body does one of a query: it is taken apart by parameters, of which it may be full."""

LONELY_ORIGIN = ("Content-Security-Policy", "sandbox allow-downloads allow-forms allow-popups allow-scripts")
"""By path all doors and the API have one origin, so a page that comes that way gets one of its own."""


def is_slow(request: Request, body: bytes) -> bool:
    """Whether to make an event of a request keeps others waiting."""
    return len(body) + _QUERY_COSTS * len(request.query) > SLOW_BYTES


class Manners(msgspec.Struct, frozen=True):
    """What a door adds to every answer, and takes away."""

    added: Fields
    speaks_for_cors: bool = False
    """The door's own settings say what other origins may; what the function says of that is dropped."""

    cookies: bool = True

    def fields(self, of_function: Fields) -> Fields:
        kept = without_cors(of_function) if self.speaks_for_cors else of_function
        if not self.cookies:
            kept = [field for field in kept if field[0].lower() != "set-cookie"]
        return [*kept, *self.added]


def told_headers(request: Request, request_id: RequestId, now: WallTime, *, cookies: bool) -> dict[str, str]:
    """What a function is told of a request's fields, of which trace it is, and by whom and where it came in."""
    scheme, usual_port = ("https", "443") if request.encrypted else ("http", "80")
    headers = {
        **request.headers,
        "x-forwarded-for": source_of(request),
        "x-forwarded-port": request.headers["host"].rpartition("]")[2].partition(":")[2] or usual_port,
        "x-forwarded-proto": scheme,
    }
    if TRACE_HEADER not in headers:
        headers[TRACE_HEADER] = begun_trace(request_id, now // 1000)
    if not cookies:
        headers.pop("cookie", None)
    return headers


def source_of(request: Request) -> str:
    """The address of the client."""
    return request.peer[0] if request.peer is not None else "127.0.0.1"


class Speech(Protocol):
    """How a door reads results, and what it says where there is none."""

    def read(self, payload: bytes) -> HttpResult:
        """Raises `ResultMalformed`."""
        ...

    def failed(self) -> HttpResult:
        """The function failed, or answered what is no HTTP."""
        ...

    def refused(self, error: OndolError) -> HttpResult: ...


class HttpAnswer:
    """Gathers a result, and answers with what it says. A `Client` of invocations."""

    def __init__(self, response: Response, manners: Manners, speech: Speech) -> None:
        self._response = response
        self._manners = manners
        self._speech = speech
        self._pieces: list[bytes] = []
        self._reading = Background("reading a function's result")
        self._timer: asyncio.TimerHandle | None = None

    def send_after(self, timeout_s: float, late: HttpResult) -> None:
        """Answer with this if nothing else has come by then. The function runs on, as on AWS, and nobody hears it."""
        self._timer = asyncio.get_running_loop().call_later(timeout_s, self.send, late)

    def begin_stream(self, content_type: str) -> None:
        """Not told: the whole of it says what it is."""

    def write(self, piece: bytes) -> None:
        self._pieces.append(piece)

    async def drain(self) -> None:
        """There is always room: a result is 6 MB at most."""

    def finish(self, failure: FunctionFailure | None, log_tail: bytes) -> None:
        payload = b"".join(self._pieces)
        if failure is not None:
            self.send(self._speech.failed())
        elif len(payload) <= SLOW_BYTES:
            self.send(self._read(payload))
        else:
            self._reading.spawn(self._answer_later(payload))

    def refuse(self, error: OndolError) -> None:
        self.send(self._speech.refused(error))

    def send(self, result: HttpResult) -> None:
        """Answer with this, unless it is answered already."""
        if self._timer is not None:
            self._timer.cancel()
        if self._response.started:
            return
        try:
            self._send(result)
        except InvalidResponse:
            self._send(self._speech.failed())

    def _send(self, result: HttpResult) -> None:
        body = b"" if result.status in _BODILESS else result.body
        self._response.send(result.status, self._manners.fields(result.fields), body)

    async def _answer_later(self, payload: bytes) -> None:
        self.send(await asyncio.to_thread(self._read, payload))

    def _read(self, payload: bytes) -> HttpResult:
        try:
            return self._speech.read(payload)
        except ResultMalformed:
            return self._speech.failed()
