"""Function URLs: who may call one, what web pages are told, and the way from a request to an invocation.

A URL with AuthType NONE needs a permission for everybody, one with AWS_IAM a signature, and of another account a
permission too. Outside of sandboxes ondol takes the signature in an Authorization header as it is, as it does for the
API: a web page can set that header only where the URL's own CORS settings let it.
Source: developer guide, "Control access to Lambda function URLs" and "Invoking Lambda function URLs".
"""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from ondol.aws.http_event import HttpCall, encode_event
from ondol.aws.identity import Caller
from ondol.aws.tracing import TRACE_HEADER
from ondol.aws.wire import LambdaWire
from ondol.frontend.body_room import BodyRoom
from ondol.frontend.cors import answer_fields, is_preflight, preflight_fields
from ondol.frontend.durable_invocations import DurableInvocations
from ondol.frontend.http_answer import (
    LONELY_ORIGIN,
    HttpAnswer,
    Manners,
    is_slow,
    source_of,
    told_headers,
)
from ondol.frontend.invocations import Client, Invocation, Invocations
from ondol.frontend.names import Names
from ondol.frontend.payloads import WholePayload
from ondol.frontend.targets import Targets
from ondol.frontend.url_address import UrlAddress, domain_of
from ondol.frontend.url_answers import UrlSpeech, UrlStreamAnswer
from ondol.http import BodyTooLarge, Request, Response
from ondol.model.errors import (
    AccessDenied,
    CallerError,
    InvalidSignature,
    OndolError,
    RequestEntityTooLarge,
    ResourceNotFound,
    UnrecognizedClient,
)
from ondol.model.function import FunctionView
from ondol.model.function_url import FunctionUrl
from ondol.model.ids import Region, RequestId
from ondol.model.limits import REQUEST_PAYLOAD_BYTES
from ondol.model.policy import INVOKE, INVOKE_URL, INVOKED_VIA_URL, URL_AUTH_TYPE, Principal
from ondol.model.time import Clock, WallTime

Identify = Callable[[Request], Awaitable[Caller]]
"""Who has signed a request. Raises `CallerError` if nobody has."""

_FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)


class UrlApi:
    """Answers requests to function URLs."""

    def __init__(
        self,
        *,
        wire: LambdaWire,
        targets: Targets,
        invocations: Invocations,
        durable: DurableInvocations,
        clock: Clock,
        names: Names,
        room: BodyRoom,
    ) -> None:
        self._wire = wire
        self._targets = targets
        self._invocations = invocations
        self._durable = durable
        self._clock = clock
        self._names = names
        self._room = room

    async def serve(
        self, address: UrlAddress, request_id: RequestId, identify: Identify, request: Request, response: Response
    ) -> None:
        """Answer a request to `address`, whatever it is."""
        manners = _manners(address, request_id, request)
        speech = UrlSpeech(self._wire, request_id)
        try:
            view, url = await self._find(address, request)
            if url.cors is not None and is_preflight(request.method, request.headers):
                response.send(200, manners.fields(preflight_fields(url.cors, request.headers)))
                return
            manners = _manners(address, request_id, request, url)
            caller = await _admitted(view, url, identify, request)
            now = self._clock.wall()
            call = _call(address, view.key.region, request_id=request_id, request=request, caller=caller, now=now)
            event = await self._event(call, request)
            answer = (UrlStreamAnswer if url.streams else HttpAnswer)(response, manners, speech)
            self._begin(view, url, call, event, answer=answer, request=request)
        except OndolError as error:
            HttpAnswer(response, manners, speech).refuse(error)

    async def _find(self, address: UrlAddress, request: Request) -> tuple[FunctionView, FunctionUrl]:
        """Raises `AccessDenied` where there is no such URL, and tells no more."""
        if not self._names.mean_us(request.headers.get("host", "")):
            raise AccessDenied("")
        found = await self._targets.url(address.id)
        if found is None or address.region not in {None, found[0].key.region}:
            raise AccessDenied("")
        return found

    async def _event(self, call: HttpCall, request: Request) -> bytes:
        """Raises `RequestEntityTooLarge`, `PlatformError`."""
        try:
            body = await self._room.read(request, REQUEST_PAYLOAD_BYTES)
        except BodyTooLarge as error:
            raise RequestEntityTooLarge(f"Request must be smaller than {REQUEST_PAYLOAD_BYTES} bytes") from error
        if is_slow(request, body):
            return await asyncio.to_thread(encode_event, call, body)
        return encode_event(call, body)

    def _begin(
        self,
        view: FunctionView,
        url: FunctionUrl,
        call: HttpCall,
        event: bytes,
        *,
        answer: Client,
        request: Request,
    ) -> None:
        try:
            target = self._targets.held(view.key, url.qualifier)
        except ResourceNotFound as error:
            raise AccessDenied(_FORBIDDEN) from error
        if target is None:
            raise AccessDenied("")
        invocation = Invocation(
            call.request_id,
            target,
            len(event),
            WholePayload(event),
            answer,
            trace=call.headers[TRACE_HEADER],
            stream=url.streams,
        )
        if target.version.durable is not None:
            self._durable.begin(invocation)
            return
        request.when_client_gone(lambda: self._invocations.client_gone(invocation))
        self._invocations.begin(invocation)


async def _admitted(view: FunctionView, url: FunctionUrl, identify: Identify, request: Request) -> Caller | None:
    """Who calls, where that must be known. Raises `AccessDenied`."""
    refused = AccessDenied(_FORBIDDEN)
    if not url.signed:
        if not _permitted(view, url, Principal(), "NONE"):
            raise refused
        return None
    try:
        caller = await identify(request)
    except (InvalidSignature, RequestEntityTooLarge, UnrecognizedClient):
        raise
    except CallerError as error:
        raise refused from error
    if caller.region != view.key.region:
        raise InvalidSignature(f"Credential should be scoped to a valid region, not '{caller.region}'. ")
    principal = Principal(account=caller.account, arn=caller.identity)
    own = caller.account == view.key.account
    if not own and not _permitted(view, url, principal, "AWS_IAM"):
        raise refused
    return caller


def _permitted(view: FunctionView, url: FunctionUrl, principal: Principal, auth_type: str) -> bool:
    """Whether the policy lets somebody call the URL, and by it the function: AWS asks for both since October 2025
    (developer guide, "Control access to Lambda function URLs")."""
    context = {URL_AUTH_TYPE: auth_type, INVOKED_VIA_URL: "true"}
    return all(view.permits(url.qualifier, action, principal, context) for action in (INVOKE_URL, INVOKE))


def _manners(address: UrlAddress, request_id: RequestId, request: Request, url: FunctionUrl | None = None) -> Manners:
    by_path = address.region is None
    cors = None if url is None else url.cors
    added = [("x-amzn-RequestId", request_id), *answer_fields(cors, request.headers)]
    return Manners(added + ([LONELY_ORIGIN] if by_path else []), cors is not None, not by_path)


def _call(
    address: UrlAddress,
    region: Region,
    *,
    request_id: RequestId,
    request: Request,
    caller: Caller | None,
    now: WallTime,
) -> HttpCall:
    call = HttpCall(
        method=request.method,
        path=address.path,
        query=request.query,
        headers=told_headers(request, request_id, now, cookies=address.region is not None),
        api=address.id,
        domain=domain_of(address.front, address.id, region),
        source_ip=source_of(request),
        request_id=request_id,
        time=now,
        version=f"HTTP/{request.version}",
    )
    if caller is None:
        return call
    return replace(call, account=caller.account, identity=_identity(caller))


def _identity(caller: Caller) -> dict[str, str | None]:
    return {
        "accessKey": caller.access_key,
        "accountId": caller.account,
        "callerId": caller.user_id,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": caller.arn,
        "userId": caller.user_id,
    }
