"""How requests are told of that did not succeed, in the words of the service that was asked.

A bug is no answer that a client may repeat by itself, since what it asked for may have been done: see
`ondol.aws.errors`. It is in the log under the request's id, which is all that its client is told.
"""

import logging
from collections.abc import Awaitable

from ondol.aws.protocols import TARGET, protocol_of, refusal
from ondol.aws.service_ids import LAMBDA, LOGS
from ondol.aws.wire import LambdaWire, LogsWire
from ondol.frontend.answers import send_reply
from ondol.http import HttpError, Request, Response
from ondol.model.errors import CallerError, PlatformError
from ondol.model.ids import RequestId

_log = logging.getLogger(__name__)


class Refusals:
    def __init__(self, wire: LambdaWire, logs_wire: LogsWire) -> None:
        self._wire = wire
        self._logs_wire = logs_wire

    async def guard(
        self,
        answering: Awaitable[None],
        request_id: RequestId,
        request: Request,
        response: Response,
        *,
        service: str = LAMBDA,
    ) -> None:
        """Let a request be answered, or else tell its client why it is not. What has begun is broken off."""
        try:
            await answering
        except HttpError:
            raise  # the listener knows what to do
        except Exception as error:
            if response.started:
                raise
            self.send(error, request_id, request, response, service=service)

    def send(
        self, error: Exception, request_id: RequestId, request: Request, response: Response, *, service: str = LAMBDA
    ) -> None:
        """Answer a request that ended in `error`."""
        if not isinstance(error, CallerError | PlatformError):
            _log.error("request %s met a bug", request_id, exc_info=error)
        if service in {LAMBDA, LOGS}:
            wire = self._logs_wire if TARGET in request.headers else self._wire
            reply = wire.failure(error, request_id)
        else:
            reply = refusal(protocol_of(service, request.query, request.headers), error, request_id)
        send_reply(response, reply)
