"""What each request needs the right to, and whether its caller has it: asked once its signature is verified.

Source: service authorization reference, "Actions, resources, and condition keys for AWS Lambda", whose access levels
List and Read are `read` here, and Write, Tagging and Permissions management are `manage`; but to run a function, and
to speak for a durable execution that runs, is `invoke`.
"""

from collections.abc import Mapping

import msgspec

from ondol.aws.names import resolve_function
from ondol.aws.routes import Match
from ondol.aws.service_ids import EVENTS, LAMBDA, LOGS, OWN, SCHEDULER, STS
from ondol.aws.sts import action_of
from ondol.callers.api import Credential, Right
from ondol.frontend.debugging import PATH as DEBUG_PATH
from ondol.frontend.other_services import TARGET
from ondol.frontend.template_api import serves_templates
from ondol.frontend.verified_door import Claimed
from ondol.http import Request
from ondol.model.arn import FunctionArn
from ondol.model.errors import AccessDenied, OndolError

NEEDS: Mapping[str, Right] = {
    "AddLayerVersionPermission": Right.MANAGE,
    "AddPermission": Right.MANAGE,
    "CheckpointDurableExecution": Right.INVOKE,
    "CreateAlias": Right.MANAGE,
    "CreateCapacityProvider": Right.MANAGE,
    "CreateCodeSigningConfig": Right.MANAGE,
    "CreateEventSourceMapping": Right.MANAGE,
    "CreateFunction": Right.MANAGE,
    "CreateFunctionUrlConfig": Right.MANAGE,
    "DeleteAlias": Right.MANAGE,
    "DeleteCapacityProvider": Right.MANAGE,
    "DeleteCodeSigningConfig": Right.MANAGE,
    "DeleteDurableExecution": Right.MANAGE,
    "DeleteEventSourceMapping": Right.MANAGE,
    "DeleteFunction": Right.MANAGE,
    "DeleteFunctionCodeSigningConfig": Right.MANAGE,
    "DeleteFunctionConcurrency": Right.MANAGE,
    "DeleteFunctionEventInvokeConfig": Right.MANAGE,
    "DeleteFunctionUrlConfig": Right.MANAGE,
    "DeleteLayerVersion": Right.MANAGE,
    "DeleteProvisionedConcurrencyConfig": Right.MANAGE,
    "DeleteResourcePolicy": Right.MANAGE,
    "GetAccountSettings": Right.READ,
    "GetAlias": Right.READ,
    "GetCapacityProvider": Right.READ,
    "GetCodeSigningConfig": Right.READ,
    "GetDurableExecution": Right.READ,
    "GetDurableExecutionHistory": Right.READ,
    "GetDurableExecutionState": Right.INVOKE,
    "GetEventSourceMapping": Right.READ,
    "GetFunction": Right.READ,
    "GetFunctionCodeSigningConfig": Right.READ,
    "GetFunctionConcurrency": Right.READ,
    "GetFunctionConfiguration": Right.READ,
    "GetFunctionEventInvokeConfig": Right.READ,
    "GetFunctionRecursionConfig": Right.READ,
    "GetFunctionScalingConfig": Right.READ,
    "GetFunctionUrlConfig": Right.READ,
    "GetLayerVersion": Right.READ,
    "GetLayerVersionByArn": Right.READ,
    "GetLayerVersionPolicy": Right.READ,
    "GetPolicy": Right.READ,
    "GetProvisionedConcurrencyConfig": Right.READ,
    "GetResourcePolicy": Right.READ,
    "GetRuntimeManagementConfig": Right.READ,
    "Invoke": Right.INVOKE,
    "InvokeAsync": Right.INVOKE,
    "InvokeWithResponseStream": Right.INVOKE,
    "ListAliases": Right.READ,
    "ListCapacityProviders": Right.READ,
    "ListCodeSigningConfigs": Right.READ,
    "ListDurableExecutionsByFunction": Right.READ,
    "ListEventSourceMappings": Right.READ,
    "ListFunctionEventInvokeConfigs": Right.READ,
    "ListFunctionUrlConfigs": Right.READ,
    "ListFunctionVersionsByCapacityProvider": Right.READ,
    "ListFunctions": Right.READ,
    "ListFunctionsByCodeSigningConfig": Right.READ,
    "ListLayerVersions": Right.READ,
    "ListLayers": Right.READ,
    "ListProvisionedConcurrencyConfigs": Right.READ,
    "ListTags": Right.READ,
    "ListVersionsByFunction": Right.READ,
    "PauseDurableExecution": Right.MANAGE,
    "PublishLayerVersion": Right.MANAGE,
    "PublishVersion": Right.MANAGE,
    "PutFunctionCodeSigningConfig": Right.MANAGE,
    "PutFunctionConcurrency": Right.MANAGE,
    "PutFunctionEventInvokeConfig": Right.MANAGE,
    "PutFunctionRecursionConfig": Right.MANAGE,
    "PutFunctionScalingConfig": Right.MANAGE,
    "PutProvisionedConcurrencyConfig": Right.MANAGE,
    "PutResourcePolicy": Right.MANAGE,
    "PutRuntimeManagementConfig": Right.MANAGE,
    "RemoveLayerVersionPermission": Right.MANAGE,
    "RemovePermission": Right.MANAGE,
    "ResumeDurableExecution": Right.MANAGE,
    "SendDurableExecutionCallbackFailure": Right.INVOKE,
    "SendDurableExecutionCallbackHeartbeat": Right.INVOKE,
    "SendDurableExecutionCallbackSuccess": Right.INVOKE,
    "StopDurableExecution": Right.MANAGE,
    "TagResource": Right.MANAGE,
    "UntagResource": Right.MANAGE,
    "UpdateAlias": Right.MANAGE,
    "UpdateCapacityProvider": Right.MANAGE,
    "UpdateCodeSigningConfig": Right.MANAGE,
    "UpdateEventSourceMapping": Right.MANAGE,
    "UpdateFunctionCode": Right.MANAGE,
    "UpdateFunctionConfiguration": Right.MANAGE,
    "UpdateFunctionEventInvokeConfig": Right.MANAGE,
    "UpdateFunctionUrlConfig": Right.MANAGE,
}
"""Every operation of Lambda."""

_ACTIONS: Mapping[str, str] = {
    "Invoke": "InvokeFunction",
    "InvokeWithResponseStream": "InvokeFunction",
    "GetLayerVersionByArn": "GetLayerVersion",
}
"""Where IAM calls it otherwise."""

_OWN_PATHS = "/_ondol/"
_READS = ("Describe", "Filter", "Get", "List")


def permits(credential: Credential, operation: str) -> bool:
    """Whether a credential has the right to this operation of Lambda."""
    return NEEDS[operation] in credential.rights


def permits_url(credential: Credential) -> bool:
    """Whether a credential has the right to call function URLs."""
    return Right.INVOKE in credential.rights


def refusal(credential: Credential, operation: str, resource: str) -> AccessDenied:
    """What somebody without that right is told."""
    return denial(credential, f"lambda:{_ACTIONS.get(operation, operation)}", resource)


def require_elsewhere(credential: Credential, service: str, operation: str | None, *, own: bool) -> None:
    """Raises `AccessDenied` unless it has the right to an operation of another service than Lambda.

    Of a service of ondol's `own`, what reads by its name is `read`, and to send events is to have functions run. To
    ask STS who one is needs no right, as on AWS. What goes on to another server may do anything there: `manage`.
    """
    if (service, operation) == (STS, "GetCallerIdentity"):
        return
    right = Right.MANAGE
    if (service, operation) == (EVENTS, "PutEvents"):
        right = Right.INVOKE
    elif own and operation is not None and operation.startswith(_READS):
        right = Right.READ
    if right not in credential.rights:
        raise denial(credential, f"{service}:{operation or '*'}", "*")


def require_operator(credential: Credential, action: str) -> None:
    """Raises `AccessDenied` for whom what concerns all accounts is not to be done."""
    if not credential.operator:
        raise AccessDenied(f"User: {credential.arn} is not authorized to perform: {action}: only ondol's operator is.")


def denial(credential: Credential, action: str, resource: str) -> AccessDenied:
    """AWS's words for a right that is missing."""
    return AccessDenied(
        f"User: {credential.arn} is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action"
    )


def check_rights(claimed: Claimed, match: Match | None, request: Request) -> None:
    """Raises `AccessDenied`. `match` is the operation of Lambda, if the request is to one."""
    credential, service = claimed.credential, claimed.service
    if match is not None:
        if not permits(credential, match.operation):
            raise refusal(credential, match.operation, _resource(claimed, match, request))
    elif service == LAMBDA and TARGET in request.headers:
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


def _resource(claimed: Claimed, match: Match, request: Request) -> str:
    """The ARN of the function that a request names, in its path or, to create it, in its body; else `*`."""
    name = match.uri.get("FunctionName")
    if name is None and match.operation == "CreateFunction":
        try:
            name = msgspec.json.decode(request.body.whole or b"", type=_Named).FunctionName
        except msgspec.DecodeError:
            name = None
    caller = claimed.caller
    try:
        found = None if name is None else resolve_function(name, None, caller.account, caller.region, match.operation)
    except OndolError:
        # A name that nobody may have: whether it is one is not looked at for who may not ask.
        found = None
    return "*" if found is None else str(FunctionArn(found.region, found.account, found.name))


class _Named(msgspec.Struct):
    FunctionName: str | None = None
