"""What went wrong, as AWS's clients read it: status, headers, body.

```
 CallerError     4xx  the name and status of the service model, or of a row of `ondol.aws.departures`
 PlatformError   503  NOT_STARTED: clients repeat it by themselves, and safely
                 520  UNKNOWN, FINISHED: clients do not repeat it by themselves
 anything else   520  a bug; told without its text
```
AWS's current SDKs repeat 500, 502, 503 and 504 unasked (tested with botocore; SDKs that repeat every 5xx, as the old
one for JavaScript did, can not be helped). What may have run must not run twice without the caller's say, so it is
answered with a 5xx that is on no such list (RFC 9110, 15: an unknown one means what 500 means). The code is the
model's `ServiceException` in each case.

Bodies come in families: `Message` or `message` as the model spells it, `Type` where the model has it and the caller is
to blame; CloudWatch Logs says `__type` instead. A member that is not there is absent, never null; but an
AccessDenied that must tell nothing has a null message, as AWS's has.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from ondol.aws.reply import JSON, JSON_RPC, WireReply
from ondol.aws.service_model import ServiceModel, Shape
from ondol.model.errors import AccessDenied, CallerError, Outcome, PlatformError

SAFE_TO_REPEAT = 503
NOT_TO_REPEAT = 520

BUG = "An internal error occurred. It is in the log, under this request's id."


class _Family(msgspec.Struct, frozen=True):
    """How one error looks on the wire."""

    status: int
    message_key: str
    typed: bool = False
    headers: Mapping[str, str] = {}
    """Members that travel as headers: name to header."""


class Errors:
    """The errors of one service. `rpc` for the JSON 1.1 protocol, in which the code stands in the body too."""

    def __init__(self, model: ServiceModel, rpc: bool) -> None:
        self._rpc = rpc
        self._families = {name: _modelled(shape, rpc) for name, shape in model.shapes.items() if shape.exception}
        for row in model.unmodelled_errors:
            self._families[row.code] = _Family(row.status, row.message_key, row.typed)
        self._unnamed = _Family(400, "message")

    def reply(self, error: Exception, request_id: str) -> WireReply:
        """The answer to a request that ended in `error`."""
        if isinstance(error, CallerError):
            return self._caller(error, request_id)
        if isinstance(error, PlatformError):
            status = SAFE_TO_REPEAT if error.outcome is Outcome.NOT_STARTED else NOT_TO_REPEAT
            return self._platform(status, error.message, request_id)
        return self._platform(NOT_TO_REPEAT, BUG, request_id)

    def _caller(self, error: CallerError, request_id: str) -> WireReply:
        family = self._families.get(error.code, self._unnamed)
        body: dict[str, Any] = {"__type": error.code} if self._rpc else {}
        if family.typed:
            body["Type"] = "User"
        headers = {}
        for name, value in error.members.items():
            if name in family.headers:
                headers[family.headers[name]] = value
            else:
                body[name] = value
        if not body.get("Type", "User"):
            del body["Type"]
        untold = isinstance(error, AccessDenied) and not error.message
        body[family.message_key] = None if untold else error.message
        return self._answer(family.status, error.code, body, headers, request_id)

    def _platform(self, status: int, message: str, request_id: str) -> WireReply:
        code = "InternalServerException" if self._rpc else "ServiceException"
        body = {"__type": code, "message": message} if self._rpc else {"Message": message}
        return self._answer(status, code, body, {}, request_id)

    def _answer(
        self, status: int, code: str, body: dict[str, Any], headers: Mapping[str, str], request_id: str
    ) -> WireReply:
        told = {
            "Content-Type": JSON_RPC if self._rpc else JSON,
            "x-amzn-RequestId": request_id,
            "x-amzn-ErrorType": code,
            **headers,
        }
        return WireReply(status, told, msgspec.json.encode(body))


def _modelled(shape: Shape, rpc: bool) -> _Family:
    status = shape.error.status or (500 if shape.fault else 400)
    key = "message" if rpc or "message" in shape.members else "Message"
    headers = {
        name: member.name_on_wire or name for name, member in shape.members.items() if member.location == "header"
    }
    return _Family(status, key, "Type" in shape.members and not shape.fault, headers)
