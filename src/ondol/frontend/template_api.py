"""ondol's own API for HTTP APIs and for the records of what templates made.

```
 GET             /_ondol/http-apis          GET             /_ondol/stacks
 GET PUT DELETE  /_ondol/http-apis/<name>   GET PUT DELETE  /_ondol/stacks/<name>
```
It is as protected as AWS's operations are: the caller's account and region are those of its signature, no web page may
call it, and no code in a sandbox.
"""

from urllib.parse import unquote

import msgspec

from ondol.aws.identity import Caller
from ondol.aws.reply import WireReply
from ondol.control.api import Caller as Owner
from ondol.control.api import Control, OwnOperation
from ondol.frontend.payloads import read_body
from ondol.frontend.url_address import Front, link_to
from ondol.http import Request
from ondol.model.errors import UnknownOperation
from ondol.model.ids import RequestId

_APIS = "/_ondol/http-apis"
_STACKS = "/_ondol/stacks"
_LARGEST = 1_048_576
"""Bytes: as large as a template may be on AWS."""

_LISTS = {_APIS: OwnOperation.LIST_APIS, _STACKS: OwnOperation.LIST_STACKS}
_ONES = {
    (_APIS, "GET"): OwnOperation.GET_API,
    (_APIS, "PUT"): OwnOperation.PUT_API,
    (_APIS, "DELETE"): OwnOperation.DELETE_API,
    (_STACKS, "GET"): OwnOperation.GET_STACK,
    (_STACKS, "PUT"): OwnOperation.PUT_STACK,
    (_STACKS, "DELETE"): OwnOperation.DELETE_STACK,
}
_SHOWN = frozenset({OwnOperation.LIST_APIS, OwnOperation.GET_API, OwnOperation.PUT_API})
"""Their answers show APIs, which have an address."""


def serves_templates(path: str) -> bool:
    return path.startswith((_APIS, _STACKS))


class TemplateApi:
    def __init__(self, control: Control) -> None:
        self._control = control

    async def serve(self, caller: Caller, request_id: RequestId, request: Request) -> WireReply:
        """Raises `CallerError` and `PlatformError`, which the caller frames."""
        operation, name = _operation(request)
        document = await read_body(request, _LARGEST)
        owner = Owner(caller.account, caller.region)
        result = await self._control.perform_own(operation, owner, name, document)
        if operation in _SHOWN:
            for shown in result.get("apis", (result,)):
                shown["url"] = link_to(
                    Front.API, shown["id"], owner.region, request.headers["host"], encrypted=request.encrypted
                )
        headers = {"Content-Type": "application/json", "x-amzn-RequestId": request_id}
        return WireReply(200, headers, msgspec.json.encode(result))


def _operation(request: Request) -> tuple[OwnOperation, str]:
    """Raises `UnknownOperation`."""
    collection, slash, name = request.path.removeprefix("/_ondol/").partition("/")
    place = f"/_ondol/{collection}"
    operation = _ONES.get((place, request.method)) if slash else None
    if not slash and request.method == "GET":
        operation = _LISTS.get(place)
    if operation is None or (slash and not name):
        raise UnknownOperation(f"{request.method} {request.path} is no operation that ondol knows.")
    return operation, unquote(name)
