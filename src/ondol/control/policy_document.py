"""Policies of functions and of layers as documents: how their text is made, and AWS's words about it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ondol.model.errors import PolicyLengthExceeded, ResourceConflict, ResourceNotFound

POLICY_BYTES = 20_480
"""The most that a policy may have (developer guide, "Lambda quotas")."""


def document_of(statements: Sequence[Mapping[str, Any]]) -> str:
    """The policy that these statements make. Raises `PolicyLengthExceeded`."""
    document = compact({"Version": "2012-10-17", "Id": "default", "Statement": statements})
    require_length(document)
    return document


def require_length(document: str) -> None:
    """Raises `PolicyLengthExceeded`."""
    size = len(document.encode())
    if size > POLICY_BYTES:
        raise PolicyLengthExceeded(f"The final policy size ({size}) is bigger than the limit ({POLICY_BYTES}).")


def require_new_id(id: str, taken: Iterable[str]) -> None:
    """Raises `ResourceConflict`."""
    if id in taken:
        raise ResourceConflict(
            f"The statement id ({id}) provided already exists. Please provide a new statement id, or remove the "
            "existing statement."
        )


def missing_statement(id: str) -> ResourceNotFound:
    return ResourceNotFound(f"Statement {id} is not found in resource policy.")


def compact(value: Mapping[str, Any]) -> str:
    """JSON without spaces, its members in the order in which they are."""
    return msgspec.json.encode(value).decode()
