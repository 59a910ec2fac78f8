"""Every form in which a function can be named, for every operation that names one."""

from collections.abc import Callable
from typing import Any

import pytest
from lambda_calls import ACCOUNT, arn, invalid, invoke, not_found, refusal

from ondol_process import OndolProcess, create

SEEN = "def h(event, context): return [context.function_version, context.invoked_function_arn]"

FORMS = {
    "name": "{name}",
    "function and name": "function:{name}",
    "partial ARN": ACCOUNT + ":function:{name}",
    "full ARN": "arn:aws:lambda:us-east-1:" + ACCOUNT + ":function:{name}",
}


@pytest.fixture(scope="module")
def function(client: Any) -> str:
    """A function with version 1 and an alias for it."""
    create(client, "qualified", SEEN, Publish=True)
    client.create_alias(FunctionName="qualified", Name="live", FunctionVersion="1")
    return "qualified"


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    ("qualifier", "version"), [(None, "$LATEST"), ("$LATEST", "$LATEST"), ("1", "1"), ("live", "1")]
)
def test_invoke_takes_every_form(client: Any, function: str, form: str, qualifier: str | None, version: str) -> None:
    named = form.format(name=function)
    expected = [version, arn(function, qualifier)]
    by_parameter = {} if qualifier is None else {"Qualifier": qualifier}
    in_name = named if qualifier is None else f"{named}:{qualifier}"
    for told, seen in (
        invoke(client, named, **by_parameter),
        invoke(client, in_name),
        invoke(client, in_name, **by_parameter),
    ):
        assert seen == expected
        assert told["ExecutedVersion"] == version


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_get_function_takes_every_form(client: Any, function: str, form: str) -> None:
    named = form.format(name=function)
    for qualifier, version in ((None, "$LATEST"), ("$LATEST", "$LATEST"), ("1", "1"), ("live", "1")):
        in_name = named if qualifier is None else f"{named}:{qualifier}"
        by_parameter = {} if qualifier is None else {"Qualifier": qualifier}
        for parameters in ({"FunctionName": in_name}, {"FunctionName": named, **by_parameter}):
            shown = client.get_function(**parameters)["Configuration"]
            assert (shown["Version"], shown["FunctionArn"]) == (version, arn(function, qualifier))
            assert client.get_function_configuration(**parameters)["FunctionArn"] == arn(function, qualifier)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_other_operation_takes_every_form(client: Any, name: str, form: str) -> None:
    named = form.format(name=name)
    create(client, named, SEEN)
    client.get_waiter("function_active_v2").wait(FunctionName=named, WaiterConfig={"Delay": 0.05})
    assert client.update_function_configuration(FunctionName=named, Timeout=5)["FunctionName"] == name
    client.get_waiter("function_updated_v2").wait(FunctionName=named, WaiterConfig={"Delay": 0.05})
    code = client.get_function(FunctionName=named)["Configuration"]["CodeSha256"]
    assert client.publish_version(FunctionName=named, CodeSha256=code)["FunctionArn"] == arn(name, "1")
    assert len(client.list_versions_by_function(FunctionName=named)["Versions"]) == 2
    created = client.create_alias(FunctionName=named, Name="a", FunctionVersion="1")
    assert created["AliasArn"] == arn(name, "a")
    assert client.get_alias(FunctionName=named, Name="a")["AliasArn"] == arn(name, "a")
    assert client.update_alias(FunctionName=named, Name="a", Description="d")["Description"] == "d"
    assert len(client.list_aliases(FunctionName=named)["Aliases"]) == 1
    client.delete_alias(FunctionName=named, Name="a")
    client.put_function_concurrency(FunctionName=named, ReservedConcurrentExecutions=1)
    assert client.get_function_concurrency(FunctionName=named)["ReservedConcurrentExecutions"] == 1
    client.delete_function_concurrency(FunctionName=named)
    client.delete_function(FunctionName=f"{named}:1")
    client.delete_function(FunctionName=named)
    assert refusal(lambda: client.get_function(FunctionName=name))[0] == 404


def test_two_qualifiers_must_agree_whether_the_function_is_there_or_not(client: Any, function: str) -> None:
    text = "The derived qualifier from the function name does not match the specified qualifier."
    for named in (f"{function}:1", arn(function, "1"), "nobody-made-this:1"):
        for call in (client.invoke, client.get_function, client.get_function_configuration, client.delete_function):
            assert refusal(_calling(call, FunctionName=named, Qualifier="live")) == invalid(text)


def test_another_region_is_out_of_reach(client: Any, function: str) -> None:
    elsewhere = arn(function).replace("us-east-1", "eu-west-1")
    text = "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"
    for call in (client.invoke, client.get_function, client.delete_function, client.list_aliases):
        assert refusal(_calling(call, FunctionName=elsewhere)) == not_found(text)


def test_another_accounts_function_is_reached_by_its_arn_and_no_other_is_told_of(
    ondol: OndolProcess, client: Any, function: str
) -> None:
    stranger = ondol.client(account="555566667777")
    client.add_permission(
        FunctionName=function, StatementId="stranger", Action="lambda:GetFunction", Principal="555566667777"
    )
    assert stranger.get_function(FunctionName=arn(function))["Configuration"]["FunctionArn"] == arn(function)
    for call in (stranger.get_function, stranger.invoke):
        status, error = refusal(_calling(call, FunctionName=arn("nobody-made-this")))
        assert (status, error["Error"]["Code"]) == (403, "AccessDeniedException")
        assert not error["Error"].get("Message")
    assert refusal(lambda: stranger.get_function(FunctionName=function))[0] == 404


def test_an_unknown_qualifier_is_shown(client: Any, function: str) -> None:
    for qualifier in ("7", "dead"):
        absent = not_found(f"Function not found: {arn(function, qualifier)}")
        for call in (client.invoke, client.get_function, client.get_function_configuration):
            assert refusal(_calling(call, FunctionName=function, Qualifier=qualifier)) == absent
            assert refusal(_calling(call, FunctionName=f"{function}:{qualifier}")) == absent


@pytest.mark.parametrize(
    ("named", "rule"),
    [
        ("two words", "Member must satisfy regular expression pattern: "),
        ("arn:aws:s3:us-east-1:000000000000:function:f", "Member must satisfy regular expression pattern: "),
        (arn("n" * 130), "Member must have length less than or equal to 170"),
    ],
)
def test_names_that_cannot_be(client: Any, named: str, rule: str) -> None:
    for call in (client.invoke, client.get_function):
        status, error = refusal(_calling(call, FunctionName=named))
        told = error["Error"]["Message"]
        assert (status, error) == (400, {"Error": {"Code": "ValidationException", "Message": told}})
        opening = f"1 validation error detected: Value '{named}' at 'functionName' failed to satisfy constraint: "
        assert told.startswith(opening + rule)


def _calling(call: Callable[..., Any], **parameters: Any) -> Callable[[], Any]:
    return lambda: call(**parameters)
