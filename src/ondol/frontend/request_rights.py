"""Whether whoever signed a request has the right to what it asks for."""

import msgspec

from ondol.aws.names import resolve_function
from ondol.aws.protocols import TARGET
from ondol.aws.routes import Match
from ondol.aws.service_ids import LAMBDA, LOGS, OWN, SCHEDULER, STS
from ondol.aws.sts import action_of
from ondol.callers.api import Right
from ondol.frontend.debugging import PATH as DEBUG_PATH
from ondol.frontend.rights import denial, refusal, require_elsewhere, require_operator
from ondol.frontend.template_api import serves_templates
from ondol.frontend.verified_door import Signatory
from ondol.http import Request
from ondol.model.arn import FunctionArn
from ondol.model.errors import AccessDenied, OndolError
from ondol.model.foreign_json import UNREADABLE

_OWN_PATHS = "/_ondol/"


def denial_of(signatory: Signatory, match: Match, request: Request) -> AccessDenied:
    """What is told to whom this operation of Lambda is none of the `operations` that it may ask for."""
    return refusal(signatory.credential, match.operation, _resource(signatory, match, request))


def check_rights(signatory: Signatory, request: Request) -> None:
    """Raises `AccessDenied`, of a request that is to no operation of Lambda's model."""
    credential, service = signatory.credential, signatory.service
    if service == LAMBDA and TARGET in request.headers:
        require_elsewhere(credential, LOGS, _operation(LOGS, request), own=True)
    elif service != LAMBDA:
        require_elsewhere(credential, service, _operation(service, request), own=service in OWN)
    elif request.path == DEBUG_PATH or serves_templates(request.path):
        right = Right.READ if request.method == "GET" else Right.MANAGE
        if right not in credential.rights:
            raise denial(credential, f"ondol:{request.path.removeprefix(_OWN_PATHS)}", "*")
    elif request.path.startswith(_OWN_PATHS):
        require_operator(credential, f"ondol:{request.path.removeprefix(_OWN_PATHS)}")


def _operation(service: str, request: Request) -> str | None:
    """The operation of another service that a request names; None where that is not plain."""
    if service == STS:
        return action_of(request.query, request.body.whole or b"")
    if service == SCHEDULER:
        return "Get" if request.method == "GET" else None
    # Of two dots somebody else might make another operation.
    operation = request.headers.get(TARGET, "").partition(".")[2]
    return operation if operation and "." not in operation else None


def _resource(signatory: Signatory, match: Match, request: Request) -> str:
    """The ARN of the function that a request names, in its path or, to create it, in its body; else `*`."""
    name = match.uri.get("FunctionName")
    if name is None and match.operation == "CreateFunction":
        try:
            name = msgspec.json.decode(request.body.whole or b"", type=_Named).FunctionName
        except UNREADABLE:
            name = None
    caller = signatory.caller
    try:
        found = None if name is None else resolve_function(name, None, caller.account, caller.region, match.operation)
    except OndolError:
        # A name that nobody may have: whether it is one is not looked at for who may not ask.
        found = None
    return "*" if found is None else str(FunctionArn(found.region, found.account, found.name))


class _Named(msgspec.Struct):
    FunctionName: str | None = None
