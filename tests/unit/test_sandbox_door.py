"""What code in a sandbox may do, and to whose functions."""

import pytest

from ondol.aws.session import Session
from ondol.aws.signing import Scope
from ondol.frontend.sandbox_door import caller_as, check_allowed
from ondol.model.errors import AccessDenied
from ondol.model.ids import AccountId, EnvironmentId, Region

SESSION = Session(
    AccountId("123456789012"), Region("us-east-1"), "arn:aws:iam::123456789012:role/r", "f", EnvironmentId("e")
)

CALLER = caller_as(SESSION, Scope("ASIA", "20260101", "us-east-1", "lambda"))


@pytest.mark.parametrize("operation", ["Invoke", "GetFunction", "ListTags", "InvokeWithResponseStream"])
@pytest.mark.parametrize(
    "resource", ["g", "g:live", "123456789012:function:g", "arn:aws:lambda:us-east-1:123456789012:function:g"]
)
def test_it_may_invoke_and_read_its_own_accounts_functions(operation: str, resource: str) -> None:
    check_allowed(SESSION, CALLER, operation, [resource])


@pytest.mark.parametrize(
    "operation", ["UpdateFunctionCode", "DeleteFunction", "PutFunctionConcurrency", "TagResource", ""]
)
def test_it_may_change_nothing(operation: str) -> None:
    with pytest.raises(AccessDenied, match="assumed-role/r/f is not authorized to perform: lambda:"):
        check_allowed(SESSION, CALLER, operation, ["g"])


@pytest.mark.parametrize(
    "resource",
    ["999999999999:function:g", "arn:aws:lambda:us-east-1:999999999999:function:g", "arn:aws:lambda", "arn:::::"],
)
def test_another_accounts_are_not_its_to_reach(resource: str) -> None:
    with pytest.raises(AccessDenied, match="on resource: "):
        check_allowed(SESSION, CALLER, "Invoke", [resource])


def test_it_stays_in_its_region() -> None:
    elsewhere = caller_as(SESSION, Scope("ASIA", "20260101", "eu-west-3", "lambda"))
    with pytest.raises(AccessDenied, match="outside of us-east-1"):
        check_allowed(SESSION, elsewhere, "Invoke", ["g"])
