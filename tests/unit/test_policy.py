"""Whether a resource policy lets somebody do something."""

import json
import time
from typing import Any

import pytest

from ondol.model.ids import AccountId
from ondol.model.policy import (
    INVOKE,
    SOURCE_ACCOUNT,
    SOURCE_ARN,
    PolicyMalformed,
    Principal,
    allows,
    parse_policy,
)

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
ACCOUNT = AccountId("111122223333")
S3 = Principal(service="s3.amazonaws.com")
SOMEBODY = Principal(account=ACCOUNT)
NOBODY = Principal()


def statement(**changes: Any) -> dict[str, Any]:
    plain = {"Effect": "Allow", "Principal": "*", "Action": INVOKE, "Resource": FUNCTION}
    return {name: value for name, value in {**plain, **changes}.items() if value is not None}


def permits(*statements: dict[str, Any], who: Principal = SOMEBODY, action: str = INVOKE, **context: str) -> bool:
    policy = parse_policy(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
    return allows(policy, action, FUNCTION, who, context)


def when(operator: str, key: str, *values: str, **context: str) -> bool:
    return permits(statement(Condition={operator: {key: list(values)}}), **context)


@pytest.mark.parametrize(
    ("pattern", "text", "like"),
    [
        ("*", "", True),
        ("a*", "a", True),
        ("a*a", "a", False),
        ("*?", "", False),
        ("*b?*d", "abcd", True),
        ("*b?*d", "abd", False),
        ("a*b*a", "aba", True),
        ("a*ab*b", "aab", False),
        ("*a.c", "xabc", False),
        ("?", "\n", True),
    ],
)
def test_wildcards(pattern: str, text: str, like: bool) -> None:
    assert when("StringLike", SOURCE_ARN, pattern, **{SOURCE_ARN: text}) is like


def test_no_pattern_takes_long() -> None:
    began = time.perf_counter()
    assert not when("StringLike", SOURCE_ARN, "*a" * 2_000 + "b", **{SOURCE_ARN: "a" * 2_000})
    assert time.perf_counter() - began < 1


def test_without_a_statement_nobody_may() -> None:
    assert not permits()
    assert not allows((), INVOKE, FUNCTION, SOMEBODY)


@pytest.mark.parametrize(
    ("principal", "who", "may"),
    [
        ("*", SOMEBODY, True),
        ("*", NOBODY, True),
        ({"AWS": "*"}, SOMEBODY, True),
        ({"AWS": ACCOUNT}, SOMEBODY, True),
        ({"AWS": ACCOUNT}, NOBODY, False),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, SOMEBODY, True),
        ({"AWS": "arn:aws:iam::444455556666:root"}, SOMEBODY, False),
        ({"AWS": ["444455556666", ACCOUNT]}, SOMEBODY, True),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:role/r"}, SOMEBODY, True),
        ({"Service": "s3.amazonaws.com"}, S3, True),
        ({"Service": "sns.amazonaws.com"}, S3, False),
        ({"Service": "s3.amazonaws.com"}, SOMEBODY, False),
        ({"AWS": ACCOUNT, "Service": "s3.amazonaws.com"}, S3, True),
    ],
)
def test_who_a_principal_is(principal: Any, who: Principal, may: bool) -> None:
    assert permits(statement(Principal=principal), who=who) is may


@pytest.mark.parametrize(
    ("named", "may"),
    [
        (f"arn:aws:iam::{ACCOUNT}:role/r", True),
        (f"arn:aws:iam::{ACCOUNT}:role/path/r", True),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/r/session", True),
        (f"arn:aws:iam::{ACCOUNT}:role/other", False),
        (f"arn:aws:iam::{ACCOUNT}:user/r", False),
        ("arn:aws:iam::444455556666:role/r", False),
    ],
)
def test_a_session_of_a_role_is_that_role(named: str, may: bool) -> None:
    session = Principal(account=ACCOUNT, arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/r/session")
    assert permits(statement(Principal={"AWS": named}), who=session) is may


def test_one_user_is_not_another() -> None:
    user = Principal(account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:user/a")
    assert permits(statement(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/a"}), who=user)
    assert not permits(statement(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/b"}), who=user)


@pytest.mark.parametrize(
    ("action", "may"),
    [("lambda:InvokeFunction", True), ("lambda:invoke*", True), ("*", True), ("lambda:GetFunction", False)],
)
def test_what_an_action_is(action: str, may: bool) -> None:
    assert permits(statement(Action=action)) is may
    assert permits(statement(Action=["lambda:Nothing", action])) is may


def test_it_holds_for_its_resource() -> None:
    assert not permits(statement(Resource=f"{FUNCTION}:live"))
    assert permits(statement(Resource="arn:aws:lambda:*:000000000000:function:?"))
    assert not permits(statement(Resource="arn:aws:lambda:us-east-1:000000000000:function:f.*"))


def test_a_denial_wins_whatever_else_allows() -> None:
    allow, deny = statement(), statement(Effect="Deny", Principal={"AWS": ACCOUNT})
    for both in ((allow, deny), (deny, allow)):
        assert not permits(*both)
        assert permits(*both, who=S3)


BUCKET = "arn:aws:s3:::bucket"


@pytest.mark.parametrize(
    ("operator", "value", "given", "may"),
    [
        ("ArnLike", BUCKET, BUCKET, True),
        ("ArnLike", "arn:aws:s3:::buck*", BUCKET, True),
        ("ArnLike", "arn:aws:s3:*", BUCKET, False),
        ("ArnLike", "arn:*:s3:::bucket", BUCKET, True),
        ("ArnEquals", "arn:aws:s3:::other", BUCKET, False),
        ("ArnNotLike", BUCKET, BUCKET, False),
        ("ArnLike", "arn:aws:events:*:1:rule/*", "arn:aws:events:eu-west-1:1:rule/a:b/c", True),
        ("StringLike", "arn:aws:s3*", BUCKET, True),
        ("StringEquals", BUCKET.upper(), BUCKET, False),
        ("StringEqualsIgnoreCase", BUCKET.upper(), BUCKET, True),
        ("StringNotEquals", BUCKET, BUCKET, False),
        ("StringNotEquals", "other", BUCKET, True),
    ],
)
def test_what_a_condition_says_of_a_key(operator: str, value: str, given: str, may: bool) -> None:
    assert when(operator, "AWS:SourceArn", value, **{SOURCE_ARN: given}) is may


def test_keys_that_are_not_there() -> None:
    assert not when("StringEquals", "AWS:SourceAccount", ACCOUNT)
    assert when("StringNotEquals", "AWS:SourceAccount", ACCOUNT)
    assert when("StringEqualsIfExists", "AWS:SourceAccount", ACCOUNT)
    assert not when("StringEqualsIfExists", "AWS:SourceAccount", ACCOUNT, **{SOURCE_ACCOUNT: "1"})
    assert when("Null", "AWS:SourceAccount", "true")
    assert not when("Null", "AWS:SourceAccount", "true", **{SOURCE_ACCOUNT: "1"})
    assert not when("StringEquals", "aws:PrincipalOrgID", "o-1234567890")


def test_all_conditions_must_hold_and_one_value_is_enough() -> None:
    both = statement(
        Condition={"StringEquals": {"AWS:SourceAccount": ["1", "2"]}, "ArnLike": {"AWS:SourceArn": BUCKET}}
    )
    assert permits(both, **{SOURCE_ACCOUNT: "2", SOURCE_ARN: BUCKET})
    assert not permits(both, **{SOURCE_ACCOUNT: "3", SOURCE_ARN: BUCKET})
    assert not permits(both, **{SOURCE_ACCOUNT: "2"})


def test_truth_is_a_text() -> None:
    assert when("Bool", "lambda:InvokedViaFunctionUrl", "true", **{"lambda:invokedviafunctionurl": "true"})
    assert not when("Bool", "lambda:InvokedViaFunctionUrl", "true")
    truth = statement(Condition={"Bool": {"lambda:InvokedViaFunctionUrl": True}})
    assert permits(truth, **{"lambda:invokedviafunctionurl": "true"})


@pytest.mark.parametrize(
    "malformed",
    [
        statement(Effect="Perhaps"),
        statement(Principal=None),
        statement(Principal={"Federated": "x"}),
        statement(Action=None),
        statement(Action=[]),
        statement(Resource=7),
        statement(NotAction="x"),
        statement(Condition={"IpAddress": {"aws:SourceIp": "1.2.3.4"}}),
        statement(Condition={"StringEquals": "x"}),
        "text",
    ],
)
def test_what_cannot_be_evaluated_is_no_policy(malformed: Any) -> None:
    with pytest.raises(PolicyMalformed):
        parse_policy(json.dumps({"Statement": malformed}))


@pytest.mark.parametrize("document", ["", "{", "[]", "7", "{}"])
def test_what_is_no_policy_at_all(document: str) -> None:
    with pytest.raises(PolicyMalformed):
        parse_policy(document)
