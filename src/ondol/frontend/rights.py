"""What each operation needs the right to, and what whoever lacks it is told.

Source: service authorization reference, "Actions, resources, and condition keys for AWS Lambda", whose access levels
List and Read are `read` here, and Write, Tagging and Permissions management are `manage`; but to run a function, and
to speak for a durable execution that runs, is `invoke`.
"""

from collections.abc import Mapping
from functools import cache

from ondol.aws.service_ids import EVENTS, STS
from ondol.callers.api import Credential, Right
from ondol.model.errors import AccessDenied

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

_READS = ("Describe", "Filter", "Get", "List")


@cache
def operations_of(rights: frozenset[Right]) -> frozenset[str]:
    """The operations of Lambda that somebody with these rights may ask for."""
    return frozenset(operation for operation, right in NEEDS.items() if right in rights)


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
