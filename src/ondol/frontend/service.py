"""The frontend's shell: one listener, and for each request who calls, what is meant, and the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from ondol.aws.identity import Caller, caller_of
from ondol.aws.protocols import TARGET, failure, protocol_of
from ondol.aws.remote import Remote
from ondol.aws.reply import WireReply
from ondol.aws.routes import Match
from ondol.aws.service_ids import LAMBDA, OWN, TRIGGERS
from ondol.aws.signing import Scope
from ondol.aws.sigv4 import Claim, is_presigned, presigned_scope, scope_of
from ondol.aws.wire import LambdaWire, LogsWire
from ondol.callers.api import Callers
from ondol.control.api import Control
from ondol.durable.api import Durable
from ondol.events.api import Events
from ondol.frontend.access import refuse_web_pages
from ondol.frontend.answers import send_reply
from ondol.frontend.body_room import BodyRoom
from ondol.frontend.code_links import PATH as CODE_PATH
from ondol.frontend.code_links import CodeLinks
from ondol.frontend.credentials_api import PATH as CREDENTIALS_PATH
from ondol.frontend.credentials_api import CredentialsApi
from ondol.frontend.debugging import PATH as DEBUG_PATH
from ondol.frontend.debugging import Debugging
from ondol.frontend.durable_api import DurableApi
from ondol.frontend.durable_invocations import DurableInvocations
from ondol.frontend.event_api import EventApi
from ondol.frontend.gateway import Gateway
from ondol.frontend.invocations import Invocations
from ondol.frontend.invoke_api import OPERATIONS, InvokeApi
from ondol.frontend.lambda_api import LambdaApi
from ondol.frontend.names import Names
from ondol.frontend.other_services import OtherServices
from ondol.frontend.refusals import Refusals
from ondol.frontend.request_rights import check_rights, denial_of
from ondol.frontend.rights import permits_url
from ondol.frontend.sandbox_door import SandboxDoor, caller_as, check_allowed, check_region
from ondol.frontend.targets import Targets
from ondol.frontend.template_api import TemplateApi, serves_templates
from ondol.frontend.url_address import Front, address_of
from ondol.frontend.url_api import UrlApi
from ondol.frontend.verified_door import Signatory, VerifiedDoor
from ondol.frontend.verifier import QUICK_BYTES
from ondol.http import Certificate, HttpCommons, HttpLimits, Request, Response, Server
from ondol.model.endpoint import Endpoints
from ondol.model.errors import (
    AccessDenied,
    InvalidSignature,
    OndolError,
    ResourceNotFound,
    TlsRequired,
    UnknownOperation,
)
from ondol.model.function import FunctionKey, FunctionView
from ondol.model.http_api import HttpApi
from ondol.model.ids import CodeDigest, EnvironmentId, RequestId
from ondol.model.limits import CREATE_REQUEST_BYTES, REQUEST_PAYLOAD_BYTES
from ondol.model.time import Clock
from ondol.telemetry.api import LogQueries
from ondol.triggers.api import Triggers
from ondol.worker_manager.api import WorkerManager

STATUS_PATH = "/_ondol/status"
RESET_PATH = "/_ondol/reset"

LARGEST_REQUEST = 6 * 1024**3
"""Bytes: above S3's 5 GB for one object. Operations of ondol's own have far lower limits."""

_SPEAKS_TLS = "This port speaks TLS: call it with https:// instead of http://."
_NO_NETWORK = "Code in a function reaches nothing but its Runtime API: ondol was started with --network none."


class FrontendService:
    """Serves AWS's APIs and, under `/_ondol/`, what those have no operation for."""

    def __init__(
        self,
        *,
        control: Control,
        invocations: Invocations,
        manager: WorkerManager,
        log_queries: LogQueries,
        links: CodeLinks,
        endpoints: Endpoints,
        sandbox_door: SandboxDoor | None,
        status: Callable[[], dict[str, object]],
        http: HttpCommons,
        clock: Clock,
        new_id: Callable[[], str],
        targets: Targets,
        events: Events,
        triggers: Triggers,
        callers: Callers,
        verifies: bool,
        remote: Remote,
        durable: Durable,
        durable_invocations: DurableInvocations,
    ) -> None:
        self._control = control
        self._invocations = invocations
        self._log_queries = log_queries
        self._links = links
        self._sandbox_door = sandbox_door
        self._status = status
        self._new_id = new_id
        self._targets = targets
        self._events = events
        self._triggers = triggers
        self._durable = durable
        self._wire = LambdaWire()
        logs_wire = LogsWire()
        self._refusals = Refusals(self._wire, logs_wire)
        self._others = OtherServices(logs_wire, log_queries, triggers, endpoints, remote)
        durable_api = DurableApi(durable_invocations)
        event_api = EventApi(targets, events, durable_api, clock)
        self._invoke = InvokeApi(self._wire, targets, invocations, event_api, durable_api)
        self._debugging = Debugging(invocations.id, self._wire, targets, manager)
        names = self._names = Names()
        room = BodyRoom()
        self._urls = UrlApi(
            wire=self._wire,
            targets=targets,
            invocations=invocations,
            durable=durable_invocations,
            clock=clock,
            names=names,
            room=room,
        )
        self._gateway = Gateway(
            control=control,
            targets=targets,
            invocations=invocations,
            durable=durable_invocations,
            clock=clock,
            names=names,
            room=room,
        )
        self._templates = TemplateApi(control)
        self._lambda = LambdaApi(self._wire, control, durable, links)
        self._door = VerifiedDoor(callers, clock)
        self._credentials = CredentialsApi(callers, self._door)
        self._verifies = verifies
        serve = self._serve_verified if verifies else self._serve
        self._server = Server(serve, HttpLimits(body_bytes=LARGEST_REQUEST), http)
        self._plain = Server(self._ask_for_tls, HttpLimits(), http)

    @property
    def name(self) -> str:
        return self._invocations.id

    async def open(self, host: str, port: int, certificate: Certificate | None = None) -> int:
        """Listen, with a certificate for TLS; the answer is the port. Raises OSError if the address is taken."""
        self._control.register(self)
        if certificate is None:
            [address, *_] = await self._server.listen(host, port)
        else:
            self.present(certificate)
            [address, *_] = await self._server.listen_tls(host, port, certificate, self._plain)
        return address[1]

    def present(self, certificate: Certificate) -> None:
        """Show this certificate from now on, and answer to its names where callers are verified."""
        self._server.present(certificate)
        if self._verifies:
            self._names.others = certificate.names

    async def drain(self, timeout_s: float) -> None:
        """Take no more requests; those in flight, and what runs for clients that left, have so long to end."""
        self._debugging.close()
        await asyncio.gather(
            self._server.drain(timeout_s), self._plain.drain(timeout_s), self._invocations.drain(timeout_s)
        )

    # As a holder of views

    async def adopt(self, view: FunctionView) -> None:
        self._targets.adopt(view)

    async def forget(self, function: FunctionKey) -> None:
        self._targets.forget(function)

    async def adopt_api(self, api: HttpApi) -> None:
        self._gateway.adopt(api)

    async def forget_api(self, id: str) -> None:
        self._gateway.forget(id)

    # Requests

    def _serve(self, request: Request, response: Response) -> Awaitable[None] | None:
        request_id = RequestId(self._new_id())
        answering: Awaitable[None]
        address = address_of(request.headers.get("host", ""), request.path)
        if address is not None:
            # Before the rules against web pages, which may call these, and nothing else that is served here.
            if address.front is Front.API:
                return self._gateway.serve(address, request_id, request, response)
            return self._urls.serve(address, request_id, _claimed, request, response)
        try:
            refuse_web_pages(request.headers)
            scope, presigned = _claim(request)
            caller = caller_of(scope)
            if scope.service != LAMBDA and not (presigned and scope.service in OWN):
                answering = self._others.serve(scope.service, caller, request_id, request, response)
            elif presigned:
                self._links.verify(request)
                answering = self._download(request, response)
            else:
                match = self._wire.match(request.method, request.path, request.query)
                begun = self._begin(match, caller, request_id, request, response)
                if begun is None:
                    return None
                answering = begun
        except OndolError as error:
            self._refusals.send(error, request_id, request, response)
            return None
        return self._refusals.guard(answering, request_id, request, response)

    def _ask_for_tls(self, request: Request, response: Response) -> None:
        """Answer who does not speak TLS where it is spoken. Nothing of the request is looked at."""
        response.closes = True
        send_reply(response, self._wire.failure(TlsRequired(_SPEAKS_TLS), RequestId(self._new_id())))

    # Requests whose callers are verified

    def _serve_verified(self, request: Request, response: Response) -> Awaitable[None] | None:
        """As `_serve`, and nothing is taken on trust: `--auth sigv4`."""
        request_id = RequestId(self._new_id())
        answering: Awaitable[None]
        address = address_of(request.headers.get("host", ""), request.path)
        if address is not None:
            if address.front is Front.API:
                return self._gateway.serve(address, request_id, request, response)
            return self._urls.serve(address, request_id, self._identify, request, response)
        try:
            refuse_web_pages(request.headers, self._names.others)
            if request.query and request.path.startswith(CODE_PATH) and is_presigned(request.query):
                self._links.verify(request)
                return self._refusals.guard(self._download(request, response), request_id, request, response)
            body = request.body.whole
            signatory = self._door.recognise(request, body) if body is not None and len(body) <= QUICK_BYTES else None
            if signatory is not None:
                begun = self._begin_verified(signatory, request_id, request, response)
                if begun is None:
                    return None
                answering = begun
            else:
                claim = self._door.claimed(request)
                signatory = claim.terms
                answering = self._verify_and_answer(claim, request_id, request, response)
        except OndolError as error:
            self._refusals.send(error, request_id, request, response, service=_claimed_service(request))
            return None
        return self._refusals.guard(answering, request_id, request, response, service=signatory.service)

    async def _verify_and_answer(
        self, claim: Claim[Signatory], request_id: RequestId, request: Request, response: Response
    ) -> None:
        signatory = claim.terms
        service, caller = signatory.service, signatory.caller
        if service not in OWN:
            body = await self._door.verify_passing(claim, request, CREATE_REQUEST_BYTES)
            check_rights(signatory, request)
            await self._others.serve(service, caller, request_id, request, response, body=body)
            return
        await self._door.verify_whole(claim, request, CREATE_REQUEST_BYTES, "this operation")
        if service != LAMBDA:
            check_rights(signatory, request)
            await self._others.serve(service, caller, request_id, request, response)
            return
        begun = self._begin_verified(signatory, request_id, request, response)
        if begun is not None:
            await begun

    def _begin_verified(
        self, signatory: Signatory, request_id: RequestId, request: Request, response: Response
    ) -> Awaitable[None] | None:
        """As `_begin`, for who has been verified, if they have the right to what they ask for."""
        match = self._wire.match(request.method, request.path, request.query)
        if match is None:
            check_rights(signatory, request)
        elif match.operation not in signatory.operations:
            raise denial_of(signatory, match, request)
        return self._begin(match, signatory.caller, request_id, request, response)

    async def _identify(self, request: Request) -> Caller:
        """Who has signed a request to a function URL. Raises `CallerError`."""
        claim = self._door.claimed(request)
        signatory = claim.terms
        if signatory.service != LAMBDA:
            raise InvalidSignature(f"Credential should be scoped to correct service: '{LAMBDA}'. ")
        await self._door.verify_whole(claim, request, REQUEST_PAYLOAD_BYTES, "a function URL")
        if not permits_url(signatory.credential):
            raise AccessDenied("")
        return signatory.caller

    # Requests out of sandboxes

    def serve_from_sandbox(self, environment: EnvironmentId, request: Request, response: Response) -> Awaitable[None]:
        """Answer a request that came out of this environment's sandbox."""
        request_id = RequestId(self._new_id())
        answering = self._answer_sandbox(environment, request_id, request, response)
        return self._refusals.guard(answering, request_id, request, response)

    async def _answer_sandbox(
        self, environment: EnvironmentId, request_id: RequestId, request: Request, response: Response
    ) -> None:
        door = self._sandbox_door
        if door is None:
            claimed, _ = _claim(request)
            protocol = protocol_of(claimed.service, request.query, request.headers)
            send_reply(response, failure(protocol, 403, "AccessDeniedException", _NO_NETWORK, request_id))
            return
        address = address_of(request.headers.get("host", ""), request.path)
        if address is not None and address.front is Front.API:
            await self._gateway.serve(address, request_id, request, response)
            return
        if address is not None:

            async def identify(request: Request) -> Caller:
                return caller_as(*await door.verified(environment, request))

            await self._urls.serve(address, request_id, identify, request, response)
            return
        refuse_web_pages(request.headers)
        claimed, _ = _claim(request)
        if claimed.service not in OWN and not self._verifies:
            # The server that this goes on to judges for itself who may call it.
            await self._others.serve(claimed.service, caller_of(claimed), request_id, request, response, sandboxed=True)
            return
        if claimed.service not in OWN:
            caller, body = await door.verified_passing(environment, request)
            await self._others.serve(claimed.service, caller, request_id, request, response, body=body, sandboxed=True)
            return
        session, scope = await door.verified(environment, request)
        caller = caller_as(session, scope)
        if scope.service in TRIGGERS:
            check_region(session, caller, scope.service)
        if scope.service != LAMBDA:
            await self._others.serve(scope.service, caller, request_id, request, response, sandboxed=True)
            return
        match = self._wire.match(request.method, request.path, request.query)
        check_allowed(session, caller, match.operation if match else request.path, match.uri.values() if match else ())
        begun = self._begin(match, caller, request_id, request, response)
        if begun is not None:
            await begun

    def _begin(
        self, match: Match | None, caller: Caller, request_id: RequestId, request: Request, response: Response
    ) -> Awaitable[None] | None:
        """Answer a request to Lambda, now or later; None if it is in other hands."""
        if match is not None and match.operation in OPERATIONS:
            return self._invoke.serve(match, caller, request_id, request, response)
        return self._answer(match, caller, request_id, request, response)

    async def _answer(
        self, match: Match | None, caller: Caller, request_id: RequestId, request: Request, response: Response
    ) -> None:
        if match is not None:
            reply = await self._lambda.serve(match, caller, request_id, request)
        elif TARGET in request.headers:
            reply = await self._others.query_logs(caller, request_id, request)
        elif (request.method, request.path) == ("POST", DEBUG_PATH):
            await self._debugging.serve(caller, request_id, request, response)
            return
        elif serves_templates(request.path):
            reply = await self._templates.serve(caller, request_id, request)
        else:
            reply = await self._own(request_id, request)
        send_reply(response, reply)

    async def _own(self, request_id: RequestId, request: Request) -> WireReply:
        match request.method, request.path:
            case "GET", path if path == STATUS_PATH:
                report = self._status()
            case "POST", path if path == RESET_PATH:
                report = {"functions": await self._control.reset()}
                await self._triggers.forget_all()
                await asyncio.gather(
                    self._events.forget_all(), self._durable.forget_all(), self._log_queries.forget_all()
                )
            case _, path if path.startswith(CREDENTIALS_PATH):
                return await self._credentials.serve(request_id, request)
            case method, path:
                raise UnknownOperation(f"{method} {path} is no operation that ondol knows.")
        headers = {"Content-Type": "application/json", "x-amzn-RequestId": request_id}
        return WireReply(200, headers, msgspec.json.encode(report))

    async def _download(self, request: Request, response: Response) -> None:
        digest = CodeDigest(request.path.removeprefix(CODE_PATH))
        location = await self._control.code_location(digest) if request.path.startswith(CODE_PATH) else None
        if location is None or request.method != "GET":
            raise ResourceNotFound("The package is not here any more.")
        package = await asyncio.to_thread(Path(location).read_bytes)
        response.send(200, (("Content-Type", "application/zip"),), package)


async def _claimed(request: Request) -> Caller:
    """Who claims to have signed a request to a function URL. Raises `CallerError`."""
    return caller_of(scope_of(request.headers.get("authorization")))


def _claimed_service(request: Request) -> str:
    """Whose client is to be told of an error."""
    try:
        return _claim(request)[0].service
    except OndolError:
        return LAMBDA


def _claim(request: Request) -> tuple[Scope, bool]:
    """Who claims to have signed this request, and for which service; and whether they did so in its query."""
    if is_presigned(request.query):
        return presigned_scope(request.query), True
    return scope_of(request.headers.get("authorization")), False
