"""The Lambda API but for Invoke: reads a request, has control decide, frames the answer."""

import asyncio
from typing import Any
from urllib.parse import unquote

from ondol.aws.identity import Caller
from ondol.aws.names import resolve_function
from ondol.aws.reply import WireReply
from ondol.aws.routes import Match
from ondol.aws.wire import LambdaWire
from ondol.background import SLOW_BYTES
from ondol.control.api import Caller as Owner
from ondol.control.api import Control
from ondol.durable.api import Durable
from ondol.frontend.code_links import CodeLinks
from ondol.frontend.payloads import read_body
from ondol.frontend.targets import require_permission
from ondol.frontend.url_address import Front, link_to
from ondol.http import Request
from ondol.model.arn import parse_function_arn
from ondol.model.errors import AccessDenied
from ondol.model.function import FunctionKey
from ondol.model.ids import CodeDigest, RequestId
from ondol.model.limits import CREATE_REQUEST_BYTES

_LINKED = {
    "GetFunction": "Code",
    "PublishLayerVersion": "Content",
    "GetLayerVersion": "Content",
    "GetLayerVersionByArn": "Content",
}
"""Where answers show a package, for which they have a link."""


class LambdaApi:
    """Serves every operation of the model, if only by saying what ondol lacks for it."""

    def __init__(self, wire: LambdaWire, control: Control, durable: Durable, links: CodeLinks) -> None:
        self._wire = wire
        self._control = control
        self._durable = durable
        self._of_durable = durable.operations()
        self._links = links

    async def serve(self, match: Match, caller: Caller, request_id: RequestId, request: Request) -> WireReply:
        """The answer to one request. Raises `CallerError` and `PlatformError`, which the caller frames."""
        operation = match.operation
        parameters = await self._parse(match, request)
        owner = _resolve(parameters, caller, operation)
        if operation in self._of_durable:
            # Executions are their own account's alone (developer guide, "Security and permissions").
            own = Owner(caller.account, caller.region)
            return self._wire.reply(operation, await self._durable.perform(operation, own, parameters), request_id)
        if owner.account != caller.account:
            await self._require_permission(operation, parameters, owner, caller)
        result = await self._control.perform(operation, owner, parameters)
        if operation in _LINKED:
            self._link_package(result.get(_LINKED[operation]), owner, request)
        for shown in result.get("FunctionUrlConfigs", (result,)):
            if "FunctionUrl" in shown:
                shown["FunctionUrl"] = link_to(
                    Front.URL, shown["FunctionUrl"], owner.region, request.headers["host"], encrypted=request.encrypted
                )
        return self._wire.reply(operation, result, request_id)

    async def _require_permission(
        self, operation: str, parameters: dict[str, Any], owner: Owner, caller: Caller
    ) -> None:
        """Another account does what the function's policy lets it do.

        Raises `AccessDenied`, which is empty where the function is not there and so tells nothing.
        """
        named = parse_function_arn(parameters.get("Resource", ""))
        name = parameters["FunctionName"] if named is None else named.name
        view = await self._control.view(FunctionKey(owner.account, owner.region, name))
        if view is None:
            raise AccessDenied("")
        require_permission(view, parameters.get("Qualifier"), f"lambda:{operation}", caller)

    async def _parse(self, match: Match, request: Request) -> dict[str, Any]:
        body = await read_body(request, CREATE_REQUEST_BYTES, f"the {match.operation} operation")
        if len(body) > SLOW_BYTES:
            return await asyncio.to_thread(self._wire.parse, match, request.headers, body)
        return self._wire.parse(match, request.headers, body)

    def _link_package(self, shown: dict[str, Any] | None, owner: Owner, request: Request) -> None:
        if shown is not None and "Location" in shown:
            endpoint = f"{'https' if request.encrypted else 'http'}://{request.headers['host']}"
            shown["Location"] = self._links.link(endpoint, owner.region, CodeDigest(shown["Location"]))


def _resolve(parameters: dict[str, Any], caller: Caller, operation: str) -> Owner:
    """Replace what names a function by its bare name and qualifier; the answer is whose it is."""
    if "FunctionName" in parameters:
        arn = resolve_function(
            parameters["FunctionName"], parameters.get("Qualifier"), caller.account, caller.region, operation
        )
        parameters["FunctionName"] = arn.name
        if arn.qualifier is not None:
            parameters["Qualifier"] = arn.qualifier
        return Owner(arn.account, arn.region)
    if "Resource" in parameters:
        parameters["Resource"] = unquote(parameters["Resource"])
        named = parse_function_arn(parameters["Resource"])
        if named is not None:
            return Owner(named.account, caller.region)
    return Owner(caller.account, caller.region)
