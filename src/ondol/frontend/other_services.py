"""Requests signed for other services than Lambda: what ondol serves of those, and the way of the rest to its server."""

from collections.abc import AsyncIterable, Mapping

from ondol.aws.identity import Caller
from ondol.aws.protocols import TARGET, failure, protocol_of
from ondol.aws.remote import Remote
from ondol.aws.reply import WireReply
from ondol.aws.service_ids import LOGS, S3, SNS, STS, TRIGGERS
from ondol.aws.sts import FORM_BYTES, OPERATIONS, action_of, caller_identity
from ondol.aws.wire import LogsWire
from ondol.frontend.answers import send_reply
from ondol.frontend.door import NoServer, server_of
from ondol.frontend.forwarding import EndpointFailed, Forwarding
from ondol.frontend.passing import Passing, once
from ondol.frontend.s3_api import S3Api
from ondol.frontend.sns_api import SnsApi
from ondol.frontend.trigger_api import TriggerApi
from ondol.http import Request, Response
from ondol.model.endpoint import Endpoints
from ondol.model.errors import UnknownOperation
from ondol.model.ids import RequestId
from ondol.telemetry.api import LogQueries
from ondol.triggers.api import Triggers

_LOGS_REQUEST_BYTES = 2_097_152

_NOT_IMPLEMENTED = 501
"""Says "never", and is not among the statuses that AWS's clients repeat."""


class OtherServices:
    """Serves requests of the logs, of STS and of triggers, and through `Endpoints` of all the others."""

    def __init__(
        self, wire: LogsWire, log_queries: LogQueries, triggers: Triggers, endpoints: Endpoints, remote: Remote
    ) -> None:
        self._wire = wire
        self._log_queries = log_queries
        self._triggers = TriggerApi(triggers)
        self._endpoints = endpoints
        self._forwarding = Forwarding()
        self._passing: Mapping[str, S3Api | SnsApi] = {
            S3: S3Api(triggers.buckets, self._forwarding, remote),
            SNS: SnsApi(triggers.topics, self._forwarding, remote),
        }
        self._served = {LOGS: log_queries.operations(), STS: OPERATIONS}

    async def serve(
        self,
        service: str,
        caller: Caller,
        request_id: RequestId,
        request: Request,
        response: Response,
        *,
        body: AsyncIterable[bytes] | None = None,
        sandboxed: bool = False,
    ) -> None:
        """Answer a request signed for `service`, which is any but Lambda. Raises `CallerError` for one to the logs.

        `body`, if given, is the request's, looked at on its way to another server. `sandboxed`: it came out of a
        function.
        """
        if service in TRIGGERS and service not in self._endpoints.named:
            send_reply(response, await self._triggers.serve(service, caller, request_id, request))
            return
        body = request.body if body is None else body
        operation = None
        if service == LOGS:
            operation = request.headers.get(TARGET, "").rpartition(".")[2]
        elif service == STS:
            form = await request.body.read(FORM_BYTES)
            body = once(form)
            operation = action_of(request.query, form)
        try:
            endpoint = server_of(service, operation, self._served, self._endpoints)
            if endpoint is None:
                send_reply(response, await self._serve_own(service, caller, request_id, request))
            elif service in self._passing:
                passing = Passing(endpoint, caller, request_id, request, body, response, sandboxed)
                await self._passing[service].serve(passing)
            else:
                await self._forwarding.forward(endpoint, request, body, response)
        except NoServer as error:
            refused = (_NOT_IMPLEMENTED, "NoEndpointForService", str(error))
        except EndpointFailed as error:
            refused = (error.status, error.code, str(error))
        else:
            return
        protocol = protocol_of(service, request.query, request.headers)
        send_reply(response, failure(protocol, *refused, request_id))

    async def query_logs(self, caller: Caller, request_id: RequestId, request: Request) -> WireReply:
        """The answer to an operation of the logs that ondol serves. Raises `CallerError`."""
        target = request.headers[TARGET]
        match = self._wire.match(target)
        if match is None or match.operation not in self._served[LOGS]:
            raise UnknownOperation(f"{target} is not served by this version of ondol.")
        parameters = self._wire.parse(match, await request.body.read(_LOGS_REQUEST_BYTES))
        result = await self._log_queries.perform(match.operation, caller.account, caller.region, parameters)
        return self._wire.reply(match.operation, result, request_id)

    async def _serve_own(self, service: str, caller: Caller, request_id: RequestId, request: Request) -> WireReply:
        if service == STS:
            return caller_identity(caller, request_id)
        return await self.query_logs(caller, request_id, request)
