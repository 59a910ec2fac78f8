"""What callers may do."""

import pytest

from ondol.aws.wire import LambdaWire
from ondol.callers.api import Credential, Right
from ondol.frontend.rights import NEEDS, operations_of, refusal, require_elsewhere, require_operator
from ondol.model.errors import AccessDenied
from ondol.model.ids import AccountId
from ondol.model.time import WallTime

ACCOUNT = AccountId("111122223333")


def credential(*rights: Right, operator: bool = False) -> Credential:
    return Credential("AKIA", ACCOUNT, "ci", frozenset(rights), WallTime(0), operator)


def test_every_operation_of_the_model_needs_one_right() -> None:
    assert NEEDS.keys() == LambdaWire().operations


@pytest.mark.parametrize(
    ("right", "operation"),
    [
        (Right.INVOKE, "Invoke"),
        (Right.INVOKE, "InvokeWithResponseStream"),
        (Right.READ, "GetFunction"),
        (Right.READ, "ListTags"),
        (Right.MANAGE, "CreateFunction"),
        (Right.MANAGE, "AddPermission"),
        (Right.MANAGE, "PutFunctionConcurrency"),
    ],
)
def test_a_right_opens_its_own_operations_and_no_others(right: Right, operation: str) -> None:
    assert operation in operations_of(frozenset({right}))
    assert operation not in operations_of(frozenset(Right) - {right})


def test_a_refusal_is_in_aws_words() -> None:
    arn = "arn:aws:lambda:us-east-1:111122223333:function:f"
    refused = refusal(credential(Right.READ), "InvokeWithResponseStream", arn)
    assert refused.message == (
        "User: arn:aws:iam::111122223333:user/ci is not authorized to perform: lambda:InvokeFunction on resource: "
        f"{arn} because no identity-based policy allows the lambda:InvokeFunction action"
    )


def test_other_services_and_what_is_the_operators() -> None:
    require_elsewhere(credential(), "sts", "GetCallerIdentity", own=True)
    require_elsewhere(credential(Right.READ), "logs", "FilterLogEvents", own=True)
    require_elsewhere(credential(Right.INVOKE), "events", "PutEvents", own=True)
    require_elsewhere(credential(Right.READ), "events", "ListRules", own=True)
    require_elsewhere(credential(Right.MANAGE), "s3", None, own=False)
    for rights, service_name, operation, own in (
        ((Right.INVOKE, Right.READ), "s3", None, False),
        ((Right.INVOKE, Right.READ), "dynamodb", "GetItem", False),
        ((Right.INVOKE, Right.READ), "logs", "DeleteLogGroup", True),
        ((Right.INVOKE, Right.MANAGE), "logs", "GetLogEvents", True),
        ((Right.INVOKE, Right.READ), "events", "PutRule", True),
        ((Right.INVOKE, Right.READ), "sts", "AssumeRole", True),
    ):
        with pytest.raises(AccessDenied):
            require_elsewhere(credential(*rights), service_name, operation, own=own)
    require_operator(credential(operator=True), "ondol:Reset")
    with pytest.raises(AccessDenied, match="only ondol's operator"):
        require_operator(credential(*Right), "ondol:Reset")
