"""The frontend's shell: one listener, and for each request who calls, what is meant, and the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from ondol.aws.identity import Caller, caller_of
from ondol.aws.reply import WireReply
from ondol.aws.routes import Match
from ondol.aws.sigv4 import is_presigned, scope_of
from ondol.aws.wire import LambdaWire, LogsWire
from ondol.control.api import Control
from ondol.frontend.access import refuse_web_pages
from ondol.frontend.code_links import PATH as CODE_PATH
from ondol.frontend.code_links import CodeLinks
from ondol.frontend.directory import Directory
from ondol.frontend.invocations import Invocations
from ondol.frontend.invoke_api import InvokeApi, send_reply
from ondol.frontend.lambda_api import LambdaApi
from ondol.http import HttpCommons, HttpLimits, Request, Response, Server
from ondol.model.errors import OndolError, ResourceNotFound, UnknownOperation
from ondol.model.function import FunctionKey, FunctionView
from ondol.model.ids import CodeDigest, RequestId
from ondol.telemetry.api import LogQueries

STATUS_PATH = "/_ondol/status"

_TARGET = "x-amz-target"
"""What a call of CloudWatch Logs has, and none of Lambda."""


class FrontendService:
    """Serves AWS's APIs and, under `/_ondol/`, what those have no operation for."""

    def __init__(
        self,
        *,
        control: Control,
        invocations: Invocations,
        log_queries: LogQueries,
        links: CodeLinks,
        status: Callable[[], dict[str, object]],
        http: HttpCommons,
        new_id: Callable[[], str],
        chance: Callable[[], float],
    ) -> None:
        self._control = control
        self._invocations = invocations
        self._log_queries = log_queries
        self._links = links
        self._status = status
        self._new_id = new_id
        self._directory = Directory()
        self._wire = LambdaWire()
        self._logs_wire = LogsWire()
        self._invoke = InvokeApi(self._wire, control, self._directory, invocations, chance)
        self._lambda = LambdaApi(self._wire, control, links)
        self._server = Server(self._serve, HttpLimits(), http)

    @property
    def name(self) -> str:
        return self._invocations.id

    async def open(self, host: str, port: int) -> int:
        """Listen; the answer is the port. Raises OSError if the address is taken."""
        self._control.register(self)
        [address, *_] = await self._server.listen(host, port)
        return address[1]

    async def drain(self, timeout_s: float) -> None:
        """Take no more requests; those in flight, and what runs for clients that left, have so long to end."""
        await asyncio.gather(self._server.drain(timeout_s), self._invocations.drain(timeout_s))

    # As a holder of views

    async def adopt(self, view: FunctionView) -> None:
        self._directory.adopt(view)

    async def forget(self, function: FunctionKey) -> None:
        self._directory.forget(function)

    # Requests

    def _serve(self, request: Request, response: Response) -> Awaitable[None] | None:
        request_id = RequestId(self._new_id())
        try:
            refuse_web_pages(request.headers)
            if is_presigned(request.query):
                self._links.verify(request)
                answering: Awaitable[None] = self._download(request, response)
            else:
                caller = caller_of(scope_of(request.headers.get("authorization")))
                match = self._wire.match(request.method, request.path, request.query)
                if match is not None and match.operation == "Invoke":
                    begun = self._invoke.serve(match, caller, request_id, request, response)
                    if begun is None:
                        return None
                    answering = begun
                else:
                    answering = self._answer(match, caller, request_id, request, response)
        except OndolError as error:
            self._refuse(error, request_id, request, response)
            return None
        return self._guarded(answering, request_id, request, response)

    async def _guarded(
        self, answering: Awaitable[None], request_id: RequestId, request: Request, response: Response
    ) -> None:
        try:
            await answering
        except OndolError as error:
            if response.started:
                raise
            self._refuse(error, request_id, request, response)

    def _refuse(self, error: OndolError, request_id: RequestId, request: Request, response: Response) -> None:
        wire = self._logs_wire if _TARGET in request.headers else self._wire
        send_reply(response, wire.failure(error, request_id))

    async def _answer(
        self, match: Match | None, caller: Caller, request_id: RequestId, request: Request, response: Response
    ) -> None:
        if match is not None:
            reply = await self._lambda.serve(match, caller, request_id, request)
        elif _TARGET in request.headers:
            reply = await self._query_logs(caller, request_id, request)
        else:
            reply = self._own(request_id, request)
        send_reply(response, reply)

    async def _query_logs(self, caller: Caller, request_id: RequestId, request: Request) -> WireReply:
        match = self._logs_wire.match(request.headers[_TARGET])
        if match is None or match.operation not in self._log_queries.operations():
            raise UnknownOperation(f"{request.headers['x-amz-target']} is not served by this version of ondol.")
        parameters = self._logs_wire.parse(match, await request.body.read())
        result = await self._log_queries.perform(match.operation, caller.account, caller.region, parameters)
        return self._logs_wire.reply(match.operation, result, request_id)

    def _own(self, request_id: RequestId, request: Request) -> WireReply:
        if request.method == "GET" and request.path == STATUS_PATH:
            headers = {"Content-Type": "application/json", "x-amzn-RequestId": request_id}
            return WireReply(200, headers, msgspec.json.encode(self._status()))
        raise UnknownOperation(f"{request.method} {request.path} is no operation that ondol knows.")

    async def _download(self, request: Request, response: Response) -> None:
        digest = CodeDigest(request.path.removeprefix(CODE_PATH))
        location = await self._control.code_location(digest) if request.path.startswith(CODE_PATH) else None
        if location is None or request.method != "GET":
            raise ResourceNotFound("The package is not here any more.")
        package = await asyncio.to_thread(Path(location).read_bytes)
        response.send(200, (("Content-Type", "application/zip"),), package)
