"""The answers to an invocation: one response with the whole result, or an event stream with each piece as it comes.

Source: API reference, Invoke and InvokeWithResponseStream.
"""

import base64
import contextlib

from ondol.aws import eventstream
from ondol.aws.reply import WireReply
from ondol.aws.wire import LambdaWire
from ondol.http import ClientGone, Response
from ondol.model.errors import OndolError
from ondol.model.ids import RequestId
from ondol.model.invocation import FunctionFailure

UNHANDLED = "Unhandled"
"""What `X-Amz-Function-Error` says of every failure of a managed runtime."""


class Answer:
    """Gathers a result and answers with it as soon as it is whole."""

    __slots__ = ("_executed", "_pieces", "_request_id", "_response", "_wire")

    def __init__(self, wire: LambdaWire, response: Response, request_id: RequestId, executed_version: str) -> None:
        self._wire = wire
        self._response = response
        self._request_id = request_id
        self._executed = executed_version
        self._pieces: list[bytes] = []

    def begin_stream(self, content_type: str) -> None:
        """A client of Invoke is not told."""

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


class StreamAnswer:
    """Answers with an event stream: a chunk for each piece of the result, and last how the invocation ended.

    A function that fails before its first piece is told of as Invoke tells it. Later, what failed is the error code:
    so a runtime says in trailers; of other failures that is unconfirmed. A client that has gone holds up nobody: what
    would be its own is dropped.
    """

    __slots__ = ("_executed", "_request_id", "_response", "_wire")

    def __init__(self, wire: LambdaWire, response: Response, request_id: RequestId, executed_version: str) -> None:
        self._wire = wire
        self._response = response
        self._request_id = request_id
        self._executed = executed_version

    def begin_stream(self, content_type: str) -> None:
        """A client that takes an event stream is not told."""

    def write(self, piece: bytes) -> None:
        self._start()
        if piece:
            self._response.write(eventstream.payload_chunk(piece))

    async def drain(self) -> None:
        with contextlib.suppress(ClientGone):
            await self._response.drain()

    def finish(self, failure: FunctionFailure | None, log_tail: bytes) -> None:
        code = details = None
        if failure is not None:
            code = failure.error_type if self._response.started else UNHANDLED
            details = failure.payload.decode(errors="replace")
        log = base64.b64encode(log_tail).decode() if log_tail else None
        self._start()
        self._response.write(eventstream.invoke_complete(code, details, log))
        self._response.end()

    def refuse(self, error: OndolError) -> None:
        reply = self._wire.failure(error, self._request_id)
        if not self._response.started:
            send_reply(self._response, reply)
            return
        self._response.write(eventstream.error(reply.headers["x-amzn-ErrorType"], str(error)))
        self._response.end()

    def _start(self) -> None:
        if not self._response.started:
            fields = (
                ("Content-Type", eventstream.CONTENT_TYPE),
                ("x-amzn-RequestId", self._request_id),
                ("X-Amz-Executed-Version", self._executed),
            )
            self._response.start(200, fields)


def send_reply(response: Response, reply: WireReply) -> None:
    """Answer with what the wire has framed."""
    response.send(reply.status, tuple(reply.headers.items()), reply.body)
