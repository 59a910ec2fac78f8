"""Who may use a layer version beside its own account: the statements of its policy, and AWS's words about them."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from ondol.control.layers import LayerKey, LayerVersionRecord, Statement
from ondol.model.errors import (
    AccessDenied,
    PolicyLengthExceeded,
    PreconditionFailed,
    ResourceConflict,
    ResourceNotFound,
)
from ondol.model.ids import AccountId

POLICY_BYTES = 20_480
"""The most that a policy may have (developer guide, "Lambda quotas")."""

USE = "GetLayerVersion"
"""The one action that a policy allows: to read a layer version, and to use it in a function."""


def require_allowed(record: LayerVersionRecord | None, key: LayerKey, number: int, account: AccountId) -> None:
    """Raises `AccessDenied` if another account may not use this version, or it is not there.

    ondol knows no organizations: a statement for the members of one allows nobody.
    """
    if account == key.account:
        return
    if record is None or not any(
        statement.principal in ("*", account) and statement.organization is None for statement in record.statements
    ):
        raise denied(account, USE, key.version_arn(number))


def denied(account: AccountId, action: str, resource: str) -> AccessDenied:
    """The refusal of what only a policy could allow."""
    return AccessDenied(
        f"User: arn:aws:iam::{account}:root is not authorized to perform: lambda:{action} on resource: {resource} "
        f"because no resource-based policy allows the lambda:{action} action"
    )


def require_policy_revision(record: LayerVersionRecord, wanted: str | None) -> None:
    """Raises `PreconditionFailed` if the caller decided by an older policy."""
    if wanted is not None and wanted != record.policy_revision:
        raise PreconditionFailed(
            "The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy API to retrieve "
            "the latest Revision Id"
        )


def granted(
    record: LayerVersionRecord, resource: str, parameters: Mapping[str, Any], new_id: Callable[[], str]
) -> LayerVersionRecord:
    """The record with one statement more. Raises `ResourceConflict`, `PolicyLengthExceeded`."""
    id = parameters["StatementId"]
    if any(statement.id == id for statement in record.statements):
        raise ResourceConflict(
            f"The statement id ({id}) provided already exists. Please provide a new statement id, or remove the "
            "existing statement."
        )
    principal = parameters["Principal"]
    if principal.startswith("arn:"):
        principal = principal.split(":")[4]
    statement = Statement(id, principal, parameters.get("OrganizationId"))
    record = replace(record, statements=(*record.statements, statement), policy_revision=new_id())
    size = len(policy_text(record, resource))
    if size > POLICY_BYTES:
        raise PolicyLengthExceeded(f"The final policy size ({size}) is bigger than the limit ({POLICY_BYTES}).")
    return record


def revoked(record: LayerVersionRecord, id: str, new_id: Callable[[], str]) -> LayerVersionRecord:
    """The record without a statement. Raises `ResourceNotFound`."""
    kept = tuple(statement for statement in record.statements if statement.id != id)
    if len(kept) == len(record.statements):
        raise ResourceNotFound(f"Statement {id} is not found in resource policy.")
    return replace(record, statements=kept, policy_revision=new_id())


def policy_text(record: LayerVersionRecord, resource: str) -> str:
    """The policy document. Raises `ResourceNotFound` if there is no statement."""
    if not record.statements:
        raise ResourceNotFound("No policy is associated with the given resource.")
    statements = [_described(statement, resource) for statement in record.statements]
    return _json({"Version": "2012-10-17", "Id": "default", "Statement": statements})


def statement_text(statement: Statement, resource: str) -> str:
    return _json(_described(statement, resource))


def _described(statement: Statement, resource: str) -> dict[str, Any]:
    everybody = statement.principal == "*"
    described: dict[str, Any] = {
        "Sid": statement.id,
        "Effect": "Allow",
        "Principal": "*" if everybody else {"AWS": f"arn:aws:iam::{statement.principal}:root"},
        "Action": f"lambda:{USE}",
        "Resource": resource,
    }
    if statement.organization is not None:
        described["Condition"] = {"StringEquals": {"aws:PrincipalOrgID": statement.organization}}
    return described


def _json(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
