"""Which function a name means, and who may mean it."""

import pytest

from ondol.aws.names import resolve_function
from ondol.model.arn import FunctionArn, parse_function_arn
from ondol.model.errors import AccessDenied, CallerError, InvalidParameterValue, ResourceNotFound
from ondol.model.ids import AccountId, Region

HERE, US = AccountId("000000000000"), Region("us-east-1")
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"


def resolve(name: str, qualifier: str | None = None, operation: str = "Invoke") -> FunctionArn:
    return resolve_function(name, qualifier, HERE, US, operation)


@pytest.mark.parametrize("name", ["f", "function:f", "000000000000:function:f", "000000000000:f", ARN])
@pytest.mark.parametrize("qualifier", [None, "live", "7", "$LATEST", "$LATEST.PUBLISHED"])
def test_every_form_means_the_same(name: str, qualifier: str | None) -> None:
    expected = FunctionArn(US, HERE, "f", qualifier)
    assert resolve(name, qualifier) == expected
    assert resolve(name if qualifier is None else f"{name}:{qualifier}") == expected
    assert resolve(name if qualifier is None else f"{name}:{qualifier}", qualifier) == expected


def test_qualifiers_must_agree() -> None:
    with pytest.raises(InvalidParameterValue) as raised:
        resolve("f:1", "2")
    assert raised.value.message == (
        "The derived qualifier from the function name does not match the specified qualifier."
    )
    assert resolve("f:1", "").qualifier == "1"


def test_another_region_is_out_of_reach() -> None:
    with pytest.raises(ResourceNotFound) as raised:
        resolve(ARN.replace("us-east-1", "eu-west-1"))
    assert raised.value.message == "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"


def test_another_account_is_named_only_where_a_policy_could_allow_it() -> None:
    foreign = ARN.replace("000000000000", "111111111111")
    assert resolve(foreign, operation="GetFunction").account == "111111111111"
    with pytest.raises(AccessDenied) as raised:
        resolve(foreign, operation="CreateFunctionUrlConfig")
    assert raised.value.message == ""


@pytest.mark.parametrize(
    ("operation", "refused"), [("CreateFunction", True), ("CreateEventSourceMapping", True), ("GetFunction", False)]
)
def test_a_new_bare_name_has_at_most_64_characters(operation: str, refused: bool) -> None:
    assert resolve("x" * 64, operation=operation).name == "x" * 64
    assert resolve(f"function:{'x' * 65}", operation=operation).name == "x" * 65
    if refused:
        with pytest.raises(InvalidParameterValue) as raised:
            resolve("x" * 65, operation=operation)
        assert raised.value.message == (
            f"1 validation error detected: Value '{'x' * 65}' at 'functionName' failed to satisfy constraint: "
            "Member must have length less than or equal to 64"
        )
    else:
        assert resolve("x" * 65, operation=operation).name == "x" * 65


def test_whose_it_is_comes_before_where_it_is() -> None:
    with pytest.raises(CallerError) as raised:
        resolve("arn:aws:lambda:eu-west-1:111111111111:function:f:1", "2", operation="CreateFunctionUrlConfig")
    assert isinstance(raised.value, AccessDenied)


@pytest.mark.parametrize(
    ("region", "text"),
    [
        ("us-east-1", "arn:aws:lambda:us-east-1:000000000000:function:f:live"),
        ("cn-north-1", "arn:aws-cn:lambda:cn-north-1:000000000000:function:f:live"),
        ("us-gov-west-1", "arn:aws-us-gov:lambda:us-gov-west-1:000000000000:function:f:live"),
    ],
)
def test_an_arn_is_written_and_read(region: str, text: str) -> None:
    arn = FunctionArn(Region(region), HERE, "f", "live")
    assert str(arn) == text
    assert parse_function_arn(text) == arn
    assert str(arn.unqualified()) == text.removesuffix(":live")
    assert arn.unqualified().qualified("live") == arn


@pytest.mark.parametrize(
    "text", ["f", "arn:aws:lambda:us-east-1:000000000000:layer:l:1", "arn:aws:sqs:us-east-1:0:q", ARN + ":1:2", ""]
)
def test_what_names_no_function_is_no_function_arn(text: str) -> None:
    assert parse_function_arn(text) is None
