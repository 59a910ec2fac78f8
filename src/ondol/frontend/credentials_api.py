"""`/_ondol/credentials`: credentials made, listed and revoked, by the operator alone.

```
POST   /_ondol/credentials   {"account": "000000000000", "name": "ci", "rights": ["invoke"]}   one, with its secret
GET    /_ondol/credentials                                                                     all, without
DELETE /_ondol/credentials/AKIA...
```
The operator's signature is verified here whether or not ondol verifies others: what is made now counts later.
"""

import re
from typing import Any

import msgspec

from ondol.aws.reply import JSON, WireReply
from ondol.callers.api import Callers, Credential, Right
from ondol.frontend.rights import require_operator
from ondol.frontend.verified_door import VerifiedDoor
from ondol.http import Request
from ondol.model.errors import InvalidParameterValue, UnknownOperation
from ondol.model.foreign_json import UNREADABLE
from ondol.model.ids import AccountId, RequestId

PATH = "/_ondol/credentials"
_LARGEST_REQUEST = 4096

_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9+=,.@_-]{1,64}", re.ASCII)
"""As IAM has it of user names."""


class _Wanted(msgspec.Struct, frozen=True):
    account: str
    rights: frozenset[Right]
    name: str | None = None


class CredentialsApi:
    def __init__(self, callers: Callers, door: VerifiedDoor) -> None:
        self._callers = callers
        self._door = door

    async def serve(self, request_id: RequestId, request: Request) -> WireReply:
        """The answer to a request below `PATH`. Raises `CallerError` and `PlatformError`."""
        claim = self._door.claimed(request)
        await self._door.verify_whole(claim, request, _LARGEST_REQUEST, "this operation")
        require_operator(claim.terms.credential, "ondol:Credentials")
        status, body = 200, b""
        match request.method, request.path.removeprefix(PATH):
            case "POST", "":
                key = await self._callers.create(*_wanted(await request.body.read()))
                status, body = 201, msgspec.json.encode({**_shown(key.credential), "SecretAccessKey": key.secret})
            case "GET", "":
                body = msgspec.json.encode({"Credentials": [_shown(each) for each in self._callers.listed()]})
            case "DELETE", access_key if access_key.startswith("/"):
                await self._callers.revoke(access_key[1:])
                status = 204
            case _:
                raise UnknownOperation(f"{request.method} {request.path} is no operation that ondol knows.")
        return WireReply(status, {"Content-Type": JSON, "x-amzn-RequestId": request_id}, body)


def _wanted(body: bytes) -> tuple[AccountId, str | None, frozenset[Right]]:
    try:
        wanted = msgspec.json.decode(body, type=_Wanted)
    except UNREADABLE as error:
        raise InvalidParameterValue(f"The request is not understood: {error}.") from error
    if not _ACCOUNT.fullmatch(wanted.account):
        raise InvalidParameterValue(f"An account has twelve digits; {wanted.account!r} is none.")
    if wanted.name is not None and not _NAME.fullmatch(wanted.name):
        raise InvalidParameterValue("A name has 1 to 64 letters, digits and characters of +=,.@_-.")
    if not wanted.rights:
        raise InvalidParameterValue(f"A credential needs a right at least: {', '.join(Right)}.")
    return AccountId(wanted.account), wanted.name, wanted.rights


def _shown(credential: Credential) -> dict[str, Any]:
    return {
        "AccessKeyId": credential.access_key,
        "Name": credential.name,
        "Account": credential.account,
        "Rights": sorted(credential.rights),
        "Operator": credential.operator,
        "Created": credential.created,
    }
