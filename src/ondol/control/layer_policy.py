"""Who may use a layer version beside its own account: the statements of its policy, and AWS's words about them."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from ondol.control.layers import LayerKey, LayerVersionRecord, Statement
from ondol.control.policy_document import compact, document_of, missing_statement, require_new_id
from ondol.model.errors import PreconditionFailed, ResourceNotFound
from ondol.model.ids import AccountId
from ondol.model.policy import denied

USE = "lambda:GetLayerVersion"
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
    require_new_id(id, (statement.id for statement in record.statements))
    principal = parameters["Principal"]
    if principal.startswith("arn:"):
        principal = principal.split(":")[4]
    statement = Statement(id, principal, parameters.get("OrganizationId"))
    record = replace(record, statements=(*record.statements, statement), policy_revision=new_id())
    policy_text(record, resource)
    return record


def revoked(record: LayerVersionRecord, id: str, new_id: Callable[[], str]) -> LayerVersionRecord:
    """The record without a statement. Raises `ResourceNotFound`."""
    kept = tuple(statement for statement in record.statements if statement.id != id)
    if len(kept) == len(record.statements):
        raise missing_statement(id)
    return replace(record, statements=kept, policy_revision=new_id())


def policy_text(record: LayerVersionRecord, resource: str) -> str:
    """The policy document. Raises `ResourceNotFound` if there is no statement, `PolicyLengthExceeded`."""
    if not record.statements:
        raise ResourceNotFound("No policy is associated with the given resource.")
    return document_of([_described(statement, resource) for statement in record.statements])


def statement_text(statement: Statement, resource: str) -> str:
    return compact(_described(statement, resource))


def _described(statement: Statement, resource: str) -> dict[str, Any]:
    everybody = statement.principal == "*"
    described: dict[str, Any] = {
        "Sid": statement.id,
        "Effect": "Allow",
        "Principal": "*" if everybody else {"AWS": f"arn:aws:iam::{statement.principal}:root"},
        "Action": USE,
        "Resource": resource,
    }
    if statement.organization is not None:
        described["Condition"] = {"StringEquals": {"aws:PrincipalOrgID": statement.organization}}
    return described
