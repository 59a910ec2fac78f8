"""HTTP APIs: the way from a request to the function that its route names, as API Gateway goes it on AWS.

Everybody may call: ondol has no authorizers. Each function's policy must let the API invoke it, as on AWS. A request is
never one to ondol's own API, and web pages may make it; what they are told is the API's own settings' to say.
Source: API Gateway developer guide, "Lambda proxy integrations" of REST APIs and of HTTP APIs, "Quotas".
"""

import asyncio

import msgspec

from ondol.aws.gateway_event import (
    PLAIN,
    ApiCall,
    decode_http_result_1,
    decode_rest_result,
    encode_event_1,
    is_among,
)
from ondol.aws.http_event import JSON, Fields, HttpCall, HttpResult, decode_result, encode_event
from ondol.aws.tracing import TRACE_HEADER
from ondol.control.api import Control
from ondol.frontend.body_room import BodyRoom
from ondol.frontend.cors import answer_fields, is_preflight, preflight_fields
from ondol.frontend.directory import Target
from ondol.frontend.durable_invocations import DurableInvocations
from ondol.frontend.gateway_cors import mocked_preflight
from ondol.frontend.gateway_words import Refusal, refusal
from ondol.frontend.http_answer import (
    LONELY_ORIGIN,
    HttpAnswer,
    Manners,
    is_slow,
    source_of,
    told_headers,
)
from ondol.frontend.invocations import Invocation, Invocations
from ondol.frontend.names import Names
from ondol.frontend.payloads import WholePayload
from ondol.frontend.routing import Found, Router, decoded_path, within_stage
from ondol.frontend.targets import Targets
from ondol.frontend.url_address import UrlAddress, domain_of
from ondol.http import BodyTooLarge, Request, Response
from ondol.model.errors import CallerError, OndolError, PlatformError
from ondol.model.function import FunctionKey
from ondol.model.http_api import ApiKind, ApiRoute, HttpApi
from ondol.model.ids import RequestId
from ondol.model.limits import REQUEST_PAYLOAD_BYTES
from ondol.model.policy import INVOKE, SOURCE_ACCOUNT, SOURCE_ARN, Principal
from ondol.model.time import Clock, WallTime

REQUEST_BYTES = 10 * 1024 * 1024
"""The largest body; what becomes of it must still be no larger than a function's payload may be."""

_SERVICE = "apigateway.amazonaws.com"


class _Refused(Exception):
    def __init__(self, why: Refusal) -> None:
        super().__init__(why.value)
        self.why = why


class _Incoming(msgspec.Struct, frozen=True):
    """A request, and where to."""

    address: UrlAddress
    request_id: RequestId
    request: Request


class Gateway:
    """Answers requests to HTTP APIs, and holds those that were asked for."""

    def __init__(
        self,
        *,
        control: Control,
        targets: Targets,
        invocations: Invocations,
        durable: DurableInvocations,
        clock: Clock,
        names: Names,
        room: BodyRoom,
    ) -> None:
        self._control = control
        self._targets = targets
        self._invocations = invocations
        self._durable = durable
        self._clock = clock
        self._names = names
        self._room = room
        self._held: dict[str, tuple[HttpApi, Router]] = {}

    def adopt(self, api: HttpApi) -> None:
        """Decide by this, if it is newer than what is held."""
        held = self._held.get(api.id)
        if held is None or api.revision > held[0].revision:
            self._held[api.id] = (api, Router(api))

    def forget(self, id: str) -> None:
        self._held.pop(id, None)

    async def serve(self, address: UrlAddress, request_id: RequestId, request: Request, response: Response) -> None:
        """Answer a request to `address`, whatever it is."""
        incoming = _Incoming(address, request_id, request)
        api = None
        try:
            api, router = await self._find(incoming)
            path = within_stage(api, address.path)
            if path is None:
                raise _Refused(Refusal.NO_API)
            preflight = _preflight(api, router, path, request)
            if preflight is not None:
                HttpAnswer(response, _manners(incoming, api, cors=False), _Speech(api.kind)).send(preflight)
                return
            found = router.find(request.method, path)
            if found is None:
                raise _Refused(Refusal.NO_ROUTE)
            call = _call(incoming, api, found, self._clock.wall())
            event = await self._event(incoming, api, found, path, call)
            target = await self._target(api, found.route, request.method)
        except _Refused as refused:
            kind = None if api is None else api.kind
            HttpAnswer(response, _manners(incoming, api), _Speech(kind)).send(refusal(kind, refused.why))
            return
        answer = HttpAnswer(response, _manners(incoming, api), _ResultSpeech(api, found.route, request))
        answer.send_after(found.route.timeout_ms / 1000, refusal(api.kind, Refusal.LATE))
        trace = call.headers[TRACE_HEADER]
        invocation = Invocation(request_id, target, len(event), WholePayload(event), answer, trace=trace)
        if target.version.durable is not None:
            self._durable.begin(invocation)
            return
        request.when_client_gone(lambda: self._invocations.client_gone(invocation))
        self._invocations.begin(invocation)

    async def _find(self, incoming: _Incoming) -> tuple[HttpApi, Router]:
        """Raises `_Refused`."""
        address, request = incoming.address, incoming.request
        if not self._names.mean_us(request.headers.get("host", "")):
            raise _Refused(Refusal.NO_API)
        held = self._held.get(address.id)
        if held is None:
            api = await self._control.http_api(address.id)
            if api is None:
                raise _Refused(Refusal.NO_API)
            self.adopt(api)
            held = self._held[address.id]
        if address.region not in {None, held[0].key.region}:
            raise _Refused(Refusal.NO_API)
        return held

    async def _event(self, incoming: _Incoming, api: HttpApi, found: Found, path: str, call: HttpCall) -> bytes:
        """Raises `_Refused`."""
        request = incoming.request
        try:
            body = await self._room.read(request, REQUEST_BYTES)
        except BodyTooLarge as error:
            raise _Refused(Refusal.TOO_LARGE) from error
        except PlatformError as error:
            raise _Refused(Refusal.NOT_INVOKED) from error
        told = ApiCall(api.kind, found.route.path, path, request.repeated or {}, api.binary_types)
        if is_slow(request, body):
            event = await asyncio.to_thread(_encode, found.route, call, told, body)
        else:
            event = _encode(found.route, call, told, body)
        if len(event) > REQUEST_PAYLOAD_BYTES:
            raise _Refused(Refusal.TOO_LARGE)
        return event

    async def _target(self, api: HttpApi, route: ApiRoute, method: str) -> Target:
        """What runs, if the function lets this API invoke it. Raises `_Refused`."""
        function = FunctionKey(api.key.account, api.key.region, route.function)
        try:
            target = await self._targets.find(function, route.qualifier)
        except (CallerError, PlatformError) as error:
            raise _Refused(Refusal.NOT_INVOKED) from error
        context = {SOURCE_ARN: api.source_arn(method, route.path), SOURCE_ACCOUNT: api.key.account}
        if not target.view.permits(route.qualifier, INVOKE, Principal(service=_SERVICE), context):
            raise _Refused(Refusal.NOT_INVOKED)
        return target


class _Speech:
    """What an API says for itself."""

    def __init__(self, kind: ApiKind | None) -> None:
        self._kind = kind

    def read(self, payload: bytes) -> HttpResult:
        return decode_result(payload)

    def failed(self) -> HttpResult:
        return refusal(self._kind, Refusal.FAILED)

    def refused(self, error: OndolError) -> HttpResult:
        return refusal(self._kind, Refusal.NOT_INVOKED)


class _ResultSpeech(_Speech):
    """How it reads what the function of a route answers."""

    def __init__(self, api: HttpApi, route: ApiRoute, request: Request) -> None:
        super().__init__(api.kind)
        self._payload = route.payload
        # The first type that a client accepts decides whether it gets bytes ("Content type conversions").
        accepted = request.headers.get("accept", "").partition(",")[0]
        self._binary = is_among(accepted, api.binary_types)

    def read(self, payload: bytes) -> HttpResult:
        if self._kind is ApiKind.REST:
            return decode_rest_result(payload, self._binary)
        if self._payload == "1.0":
            return decode_http_result_1(payload)
        return decode_result(payload, PLAIN)


def _call(incoming: _Incoming, api: HttpApi, found: Found, now: WallTime) -> HttpCall:
    address, request = incoming.address, incoming.request
    return HttpCall(
        method=request.method,
        path=decoded_path(api.kind, address.path),
        query=request.query,
        headers=told_headers(request, incoming.request_id, now, cookies=address.region is not None),
        api=api.id,
        domain=domain_of(address.front, api.id, api.key.region),
        source_ip=source_of(request),
        request_id=incoming.request_id,
        time=now,
        version=f"HTTP/{request.version}",
        account=api.key.account,
        route_key=found.route.key,
        stage=api.stage,
        path_parameters=found.variables,
        stage_variables=api.stage_variables,
    )


def _encode(route: ApiRoute, call: HttpCall, told: ApiCall, body: bytes) -> bytes:
    return encode_event(call, body) if route.payload == "2.0" else encode_event_1(call, told, body)


def _preflight(api: HttpApi, router: Router, path: str, request: Request) -> HttpResult | None:
    """The answer to a page that asks whether it may, where the API itself gives it."""
    if api.cors is None:
        return None
    if api.kind is ApiKind.HTTP:
        if not is_preflight(request.method, request.headers):
            return None
        return HttpResult(204, preflight_fields(api.cors, request.headers))
    if request.method != "OPTIONS":
        return None
    methods = router.methods(path)
    if methods is None or "OPTIONS" in methods:
        return None
    return HttpResult(200, [("Content-Type", JSON), *mocked_preflight(api.cors, methods)], b"{}\n")


def _manners(incoming: _Incoming, api: HttpApi | None, *, cors: bool = True) -> Manners:
    """`cors`: the answer is a function's, to which the API adds what pages are told."""
    by_path = incoming.address.region is None
    speaks = cors and api is not None and api.kind is ApiKind.HTTP and api.cors is not None
    named = "Apigw-Requestid" if api is not None and api.kind is ApiKind.HTTP else "x-amzn-RequestId"
    added: Fields = [(named, incoming.request_id)]
    if api is not None and speaks:
        added += answer_fields(api.cors, incoming.request.headers)
    return Manners(added + ([LONELY_ORIGIN] if by_path else []), speaks, not by_path)
