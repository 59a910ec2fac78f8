"""The policies of a function, its versions and its aliases: how statements come and go. Texts are AWS's.

A policy has no revision of its own: it is the function's, version's or alias's, which each change of its policy renews.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from ondol.control.lifecycle import NewId
from ondol.control.policy_document import document_of, missing_statement, require_length, require_new_id
from ondol.control.records import FunctionRecord
from ondol.model.arn import partition_of
from ondol.model.errors import InvalidParameterValue, PreconditionFailed, ResourceNotFound
from ondol.model.function import LATEST
from ondol.model.ids import Region
from ondol.model.policy import INVOKE_URL, PolicyMalformed, parse_policy

_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_SERVICE = re.compile(r"[a-z0-9.-]+\.amazon(?:aws)?\.com(?:\.cn)?", re.ASCII)

_CONDITIONS: tuple[tuple[str, str, str, Callable[[Any], str]], ...] = (
    ("FunctionUrlAuthType", "StringEquals", "lambda:FunctionUrlAuthType", str),
    ("PrincipalOrgID", "StringEquals", "aws:PrincipalOrgID", str),
    ("SourceAccount", "StringEquals", "AWS:SourceAccount", str),
    ("EventSourceToken", "StringEquals", "lambda:EventSourceToken", str),
    ("InvokedViaFunctionUrl", "Bool", "lambda:InvokedViaFunctionUrl", lambda value: str(value).lower()),
    ("SourceArn", "ArnLike", "AWS:SourceArn", str),
)
"""Which parameter becomes which condition: operator, key, value."""


def new_statement(resource: str, region: Region, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The statement that AddPermission asks for. Raises `InvalidParameterValue`."""
    if "FunctionUrlAuthType" in parameters and parameters["Action"] != INVOKE_URL:
        raise InvalidParameterValue(f"FunctionUrlAuthType is only supported for {INVOKE_URL} action")
    statement = {
        "Sid": parameters["StatementId"],
        "Effect": "Allow",
        "Principal": _principal(parameters["Principal"], region),
        "Action": parameters["Action"],
        "Resource": resource,
    }
    conditions: dict[str, dict[str, str]] = {}
    for member, operator, key, text in _CONDITIONS:
        if member in parameters:
            conditions.setdefault(operator, {})[key] = text(parameters[member])
    return statement | ({"Condition": conditions} if conditions else {})


def granted(record: FunctionRecord, label: str, statement: Mapping[str, Any], new_id: NewId) -> FunctionRecord:
    """The record with one statement more. Raises `ResourceConflict`, `PolicyLengthExceeded`."""
    statements = _statements(record, label)
    require_new_id(statement["Sid"], (each.get("Sid", "") for each in statements))
    return with_policy(record, label, document_of([*statements, statement]), new_id)


def revoked(record: FunctionRecord, label: str, id: str, new_id: NewId) -> FunctionRecord:
    """The record without one statement; with the last of them its policy goes. Raises `ResourceNotFound`."""
    if label not in record.policies:
        raise ResourceNotFound("No policy is associated with the given resource.")
    statements = _statements(record, label)
    kept = [each for each in statements if each.get("Sid") != id]
    if len(kept) == len(statements):
        raise missing_statement(id)
    return with_policy(record, label, document_of(kept) if kept else None, new_id)


def policy_of(record: FunctionRecord, label: str) -> str:
    """The policy document. Raises `ResourceNotFound` if there is none."""
    if label not in record.policies:
        raise ResourceNotFound("The resource you requested does not exist.")
    return record.policies[label]


def with_policy(record: FunctionRecord, label: str, document: str | None, new_id: NewId) -> FunctionRecord:
    """The record with this policy, or none, under a new revision. The label must be there."""
    policies = without_policy(record.policies, label)
    if document is not None:
        policies[label] = document
    record = replace(record, policies=policies)
    if label == LATEST:
        return replace(record, revision_id=new_id())
    if label in record.aliases:
        alias = replace(record.aliases[label], revision_id=new_id())
        return replace(record, aliases={**record.aliases, label: alias})
    version = replace(record.versions[label], revision_id=new_id())
    return replace(record, versions={**record.versions, label: version})


def without_policy(policies: Mapping[str, str], label: str) -> dict[str, str]:
    return {other: document for other, document in policies.items() if other != label}


def revision_of(record: FunctionRecord, label: str) -> str:
    if label == LATEST:
        return record.revision_id
    return record.aliases[label].revision_id if label in record.aliases else record.versions[label].revision_id


def require_policy_revision(record: FunctionRecord, label: str, wanted: str | None) -> None:
    """Raises `PreconditionFailed` if the caller decided by an older policy."""
    if wanted is not None and wanted != revision_of(record, label):
        raise PreconditionFailed(
            "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the "
            "latest Revision Id"
        )


def require_policy(document: str) -> None:
    """Raises `InvalidParameterValue` for what is no policy, or cannot be evaluated; `PolicyLengthExceeded`."""
    require_length(document)
    try:
        parse_policy(document)
    except PolicyMalformed as error:
        raise InvalidParameterValue(f"The provided policy document is malformed: {error}.") from error


def _statements(record: FunctionRecord, label: str) -> list[dict[str, Any]]:
    document = record.policies.get(label)
    if document is None:
        return []
    statements = msgspec.json.decode(document)["Statement"]
    return statements if isinstance(statements, list) else [statements]


def _principal(text: str, region: Region) -> str | dict[str, str]:
    """As a policy names whom a parameter names. Raises `InvalidParameterValue`."""
    if text == "*":
        return text
    if _ACCOUNT.fullmatch(text):
        return {"AWS": f"arn:{partition_of(region)}:iam::{text}:root"}
    if text.startswith("arn:"):
        return {"AWS": text}
    if _SERVICE.fullmatch(text):
        return {"Service": text}
    raise InvalidParameterValue("The provided principal was invalid. Please check the principal and try again.")
