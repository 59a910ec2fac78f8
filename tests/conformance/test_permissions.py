"""Permissions of functions, versions and aliases: how they are given, shown and taken, and what they let others do."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from lambda_calls import ABSENT, answer, arn, conflict, invalid, invoke, not_found, refusal

from ondol_process import OndolProcess, create, package

STRANGER = "555566667777"
INVOKE = "lambda:InvokeFunction"


@pytest.fixture
def function(client: Any, name: str) -> str:
    create(client, name, "def h(event, context): return context.invoked_function_arn", Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    return name


def add(client: Any, name: str, id: str = "s", action: str = INVOKE, principal: str = "*", **more: Any) -> Any:
    """The statement that was added, read, and as it was sent."""
    told = client.add_permission(FunctionName=name, StatementId=id, Action=action, Principal=principal, **more)
    assert set(answer(told, 201)) == {"Statement"}
    return json.loads(told["Statement"]), told["Statement"]


def policy(client: Any, name: str, **more: Any) -> Any:
    told = answer(client.get_policy(FunctionName=name, **more))
    assert set(told) == {"Policy", "RevisionId"}
    return json.loads(told["Policy"])


def stale() -> tuple[int, Any]:
    text = (
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetPolicy API to retrieve the latest Revision Id"
    )
    error = {"Code": "PreconditionFailedException", "Message": text}
    return 412, {"Error": error, "message": text, "Type": "User"}


@pytest.mark.parametrize(
    ("principal", "shown"),
    [
        ("*", "*"),
        ("s3.amazonaws.com", {"Service": "s3.amazonaws.com"}),
        ("alexa-appkit.amazon.com", {"Service": "alexa-appkit.amazon.com"}),
        ("111122223333", {"AWS": "arn:aws:iam::111122223333:root"}),
        ("arn:aws:iam::111122223333:role/r", {"AWS": "arn:aws:iam::111122223333:role/r"}),
    ],
)
def test_whom_a_statement_names(client: Any, function: str, principal: str, shown: Any) -> None:
    expected = {"Sid": "s", "Effect": "Allow", "Principal": shown, "Action": INVOKE, "Resource": arn(function)}
    statement, text = add(client, function, principal=principal)
    assert statement == expected
    assert list(statement) == list(expected) and ": " not in text.replace("arn:aws", "")
    assert policy(client, function) == {"Version": "2012-10-17", "Id": "default", "Statement": [expected]}


def test_under_which_conditions(client: Any, function: str) -> None:
    statement, _ = add(
        client,
        function,
        principal="s3.amazonaws.com",
        SourceArn="arn:aws:s3:::bucket",
        SourceAccount="111122223333",
        EventSourceToken="token",
        PrincipalOrgID="o-1234567890",
    )
    assert statement["Condition"] == {
        "StringEquals": {
            "aws:PrincipalOrgID": "o-1234567890",
            "AWS:SourceAccount": "111122223333",
            "lambda:EventSourceToken": "token",
        },
        "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"},
    }
    statement, _ = add(client, function, "url", "lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE")
    assert statement["Condition"] == {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}
    statement, _ = add(client, function, "via", InvokedViaFunctionUrl=True)
    assert statement["Condition"] == {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}
    assert [each["Sid"] for each in policy(client, function)["Statement"]] == ["s", "url", "via"]


@pytest.mark.parametrize(("qualifier", "resource"), [("1", "1"), ("live", "live")])
def test_versions_and_aliases_have_policies_of_their_own(
    client: Any, function: str, qualifier: str, resource: str
) -> None:
    add(client, function)
    statement, _ = add(client, function, Qualifier=qualifier)
    assert statement["Resource"] == arn(function, resource)
    assert policy(client, f"{function}:{qualifier}")["Statement"] == [statement]
    assert policy(client, function)["Statement"][0]["Resource"] == arn(function)
    client.remove_permission(FunctionName=function, StatementId="s", Qualifier=qualifier)
    gone = not_found("The resource you requested does not exist.")
    assert refusal(lambda: client.get_policy(FunctionName=function, Qualifier=qualifier)) == gone
    assert policy(client, function, Qualifier="$LATEST") == policy(client, function)


def test_a_policy_has_the_revision_of_what_it_belongs_to(client: Any, function: str) -> None:
    def revisions() -> tuple[str, str]:
        return client.get_policy(FunctionName=function)["RevisionId"], client.get_function_configuration(
            FunctionName=function
        )["RevisionId"]

    before = client.get_function_configuration(FunctionName=function)["RevisionId"]
    add(client, function, RevisionId=before)
    (after, shown) = revisions()
    assert after == shown != before
    assert refusal(lambda: add(client, function, "t", RevisionId=before)) == stale()
    calls: list[Callable[[], Any]] = [
        lambda: client.remove_permission(FunctionName=function, StatementId="s", RevisionId=before)
    ]
    assert [refusal(call) for call in calls] == [stale()]
    assert answer(client.remove_permission(FunctionName=function, StatementId="s", RevisionId=after), 204) == {}
    alias = client.get_alias(FunctionName=function, Name="live")["RevisionId"]
    add(client, function, Qualifier="live")
    policy_revision = client.get_policy(FunctionName=function, Qualifier="live")["RevisionId"]
    assert policy_revision == client.get_alias(FunctionName=function, Name="live")["RevisionId"] != alias


def test_what_is_refused(client: Any, function: str) -> None:
    add(client, function)
    text = (
        "The statement id (s) provided already exists. Please provide a new statement id, "
        "or remove the existing statement."
    )
    assert refusal(lambda: add(client, function)) == conflict(text)
    text = "The provided principal was invalid. Please check the principal and try again."
    assert refusal(lambda: add(client, function, "t", principal="nobody")) == invalid(text)
    text = "We currently do not support adding policies for $LATEST."
    assert refusal(lambda: add(client, function, "t", Qualifier="$LATEST")) == invalid(text)
    text = "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action"
    assert refusal(lambda: add(client, function, "t", FunctionUrlAuthType="NONE")) == invalid(text)
    status, error = refusal(lambda: add(client, function, "a b"))
    assert (status, error["Error"]["Code"]) == (400, "ValidationException")
    assert "at 'statementId' failed" in error["Error"]["Message"]


def test_what_is_not_there(client: Any, function: str) -> None:
    none = not_found("No policy is associated with the given resource.")
    assert refusal(lambda: client.remove_permission(FunctionName=function, StatementId="s")) == none
    add(client, function)
    missing = not_found("Statement x is not found in resource policy.")
    assert refusal(lambda: client.remove_permission(FunctionName=function, StatementId="x")) == missing
    nobody = ABSENT.rpartition(":")[2]
    assert refusal(lambda: client.get_policy(FunctionName=nobody)) == not_found(f"Function not found: {ABSENT}")
    assert refusal(lambda: add(client, nobody)) == not_found(f"Function not found: {ABSENT}")
    absent = not_found(f"Function not found: {arn(function, '7')}")
    assert refusal(lambda: add(client, function, Qualifier="7")) == absent
    absent = not_found(f"Cannot find alias arn: {arn(function, 'dead')}")
    assert refusal(lambda: add(client, function, Qualifier="dead")) == absent
    absent = not_found(f"Function not found: {arn(function, 'no-$-alias')}")
    assert refusal(lambda: add(client, function, Qualifier="no-$-alias")) == absent
    gone = not_found("The resource you requested does not exist.")
    for qualifier in ("7", "dead"):
        assert refusal(lambda at=qualifier: client.get_policy(FunctionName=function, Qualifier=at)) == gone


def test_a_policy_has_an_end(client: Any, function: str) -> None:
    def fill() -> None:
        for number in range(100):
            add(client, function, f"{number:0>100}")

    status, error = refusal(fill)
    assert (status, error["Error"]["Code"]) == (400, "PolicyLengthExceededException")
    assert error["Error"]["Message"].endswith("is bigger than the limit (20480).")
    assert len(client.get_policy(FunctionName=function)["Policy"]) <= 20_480


def test_a_policy_goes_with_what_it_belongs_to(client: Any, function: str) -> None:
    for qualifier in ("1", "live"):
        add(client, function, Qualifier=qualifier)
    add(client, function)
    client.delete_alias(FunctionName=function, Name="live")
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="$LATEST")
    client.delete_function(FunctionName=function, Qualifier="1")
    gone = not_found("The resource you requested does not exist.")
    assert refusal(lambda: client.get_policy(FunctionName=function, Qualifier="live")) == gone
    client.delete_function(FunctionName=function)
    create(client, function, "")
    assert refusal(lambda: client.get_policy(FunctionName=function)) == gone


def test_another_account_invokes_by_permission_only(ondol: OndolProcess, client: Any, function: str) -> None:
    stranger = ondol.client(account=STRANGER)

    def refused(named: str) -> None:
        text = (
            f"User: arn:aws:iam::{STRANGER}:root is not authorized to perform: {INVOKE} on resource: {named} "
            f"because no resource-based policy allows the {INVOKE} action"
        )
        for call in (stranger.invoke, stranger.invoke_with_response_stream):
            status, error = refusal(lambda call=call: call(FunctionName=named))
            assert (status, error["Error"]) == (403, {"Code": "AccessDeniedException", "Message": text})

    refused(arn(function))
    add(client, function, principal=STRANGER)
    assert invoke(stranger, arn(function))[1] == arn(function)
    refused(arn(function, "live"))
    refused(arn(function, "1"))
    add(client, function, principal="*", Qualifier="live")
    assert invoke(stranger, arn(function, "live"))[1] == arn(function, "live")
    assert stranger.invoke(FunctionName=arn(function), InvocationType="DryRun")["StatusCode"] == 204
    client.remove_permission(FunctionName=function, StatementId="s")
    refused(arn(function))


def test_another_account_reads_and_changes_by_permission_only(ondol: OndolProcess, client: Any, function: str) -> None:
    stranger = ondol.client(account=STRANGER)
    whole, live = arn(function), arn(function, "live")
    calls = {
        "GetFunction": lambda named: stranger.get_function(FunctionName=named),
        "GetFunctionConfiguration": lambda named: stranger.get_function_configuration(FunctionName=named),
        "ListAliases": lambda named: stranger.list_aliases(FunctionName=named),
        "ListTags": lambda named: stranger.list_tags(Resource=named),
        "UpdateFunctionCode": lambda named: stranger.update_function_code(
            FunctionName=named, ZipFile=package({"m.py": ""}), DryRun=True
        ),
        "PutFunctionConcurrency": lambda named: stranger.put_function_concurrency(
            FunctionName=named, ReservedConcurrentExecutions=1
        ),
        "DeleteFunction": lambda named: stranger.delete_function(FunctionName=named),
    }

    def denied(operation: str, named: str) -> None:
        status, error = refusal(lambda: calls[operation](named))
        assert (status, error["Error"]["Code"]) == (403, "AccessDeniedException")
        assert f"is not authorized to perform: lambda:{operation} on resource: {named} " in error["Error"]["Message"]

    for operation, call in calls.items():
        denied(operation, whole)
        client.add_permission(
            FunctionName=function, StatementId=operation, Action=f"lambda:{operation}", Principal=STRANGER
        )
        assert call(whole)["ResponseMetadata"]["HTTPStatusCode"] < 300
        if operation == "GetFunction":
            denied(operation, live)
    assert refusal(lambda: client.get_function(FunctionName=function))[0] == 404, "what it may, it has done"


def test_whole_policies(ondol: OndolProcess, client: Any, function: str) -> None:
    add(client, function)
    statements = [
        {"Effect": "Allow", "Principal": "*", "Action": INVOKE, "Resource": arn(function)},
        {"Effect": "Deny", "Principal": {"AWS": [STRANGER]}, "Action": "lambda:*", "Resource": "*"},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    told = answer(client.put_resource_policy(ResourceArn=arn(function), Policy=document))
    assert told["Policy"] == document
    assert answer(client.get_resource_policy(ResourceArn=arn(function))) == told
    assert client.get_policy(FunctionName=function)["Policy"] == document
    assert refusal(lambda: ondol.client(account=STRANGER).invoke(FunctionName=arn(function)))[0] == 403
    assert invoke(ondol.client(account="111122223333"), arn(function))[1] == arn(function)
    add(client, function, "more")
    assert len(policy(client, function)["Statement"]) == 3
    revision = client.get_resource_policy(ResourceArn=arn(function))["RevisionId"]
    stale_put = refusal(
        lambda: client.put_resource_policy(ResourceArn=arn(function), Policy=document, RevisionId=told["RevisionId"])
    )
    assert stale_put == stale()
    gone = answer(client.delete_resource_policy(ResourceArn=arn(function), RevisionId=revision), 204)
    assert gone == {}
    assert refusal(lambda: client.get_resource_policy(ResourceArn=arn(function)))[0] == 404
    malformed = refusal(lambda: client.put_resource_policy(ResourceArn=arn(function), Policy="{}"))
    assert malformed[0] == 400
