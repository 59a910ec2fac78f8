"""Which operation a request line addresses."""

import subprocess
import sys

import pytest

from ondol.aws.wire import LambdaWire

WIRE = LambdaWire()


@pytest.mark.parametrize(
    ("method", "path", "query", "operation", "uri"),
    [
        ("GET", "/2015-03-31/functions", "", "ListFunctions", {}),
        ("GET", "/2015-03-31/functions/", "", "ListFunctions", {}),
        ("POST", "/2015-03-31/functions", "", "CreateFunction", {}),
        ("POST", "/2015-03-31/functions/f/invocations", "", "Invoke", {"FunctionName": "f"}),
        ("POST", "/2015-03-31/functions/f:live/invocations/", "", "Invoke", {"FunctionName": "f:live"}),
        ("GET", "/2015-03-31/functions/f%3Alive", "", "GetFunction", {"FunctionName": "f:live"}),
        ("GET", "/2015-03-31/functions/a%2Fb%20c%25", "", "GetFunction", {"FunctionName": "a/b c%"}),
        (
            "GET",
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/configuration",
            "",
            "GetFunctionConfiguration",
            {"FunctionName": "arn:aws:lambda:us-east-1:000000000000:function:f"},
        ),
        ("GET", "/2015-03-31/functions/invocations", "", "GetFunction", {"FunctionName": "invocations"}),
        ("GET", "/2018-10-31/layers", "", "ListLayers", {}),
        ("GET", "/2018-10-31/layers", "find=LayerVersion&Arn=x", "GetLayerVersionByArn", {}),
        (
            "GET",
            "/2019-09-30/functions/f/provisioned-concurrency",
            "List=ALL",
            "ListProvisionedConcurrencyConfigs",
            None,
        ),
        (
            "GET",
            "/2019-09-30/functions/f/provisioned-concurrency",
            "Qualifier=1",
            "GetProvisionedConcurrencyConfig",
            None,
        ),
        ("DELETE", "/2018-10-31/layers/l/versions/3/policy/s", "", "RemoveLayerVersionPermission", None),
    ],
)
def test_a_path_addresses_its_operation(
    method: str, path: str, query: str, operation: str, uri: dict[str, str] | None
) -> None:
    match = WIRE.match(method, path, query)
    assert match is not None
    assert match.operation == operation
    assert uri is None or match.uri == uri


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", ""),
        ("PATCH", "/2015-03-31/functions"),
        ("GET", "/2015-03-31/function"),
        ("GET", "/2015-03-31/functions/f/nonsense"),
        ("POST", "/2015-03-31/functions/f/invocations/x"),
        ("GET", "/2016-08-19/functions"),
    ],
)
def test_what_the_model_does_not_have_addresses_nothing(method: str, path: str) -> None:
    assert WIRE.match(method, path) is None


def test_every_operation_of_the_model_is_found_at_its_own_uri() -> None:
    for name, operation in WIRE._model.operations.items():
        path, _, query = operation.http.uri.partition("?")
        match = WIRE.match(operation.http.method, path.replace("{", "").replace("}", ""), query)
        assert match is not None
        assert match.operation == name
        assert all(key == value for key, value in match.uri.items())


def test_paths_too_long_to_be_remembered_are_found_all_the_same() -> None:
    match = WIRE.match("GET", f"/2015-03-31/functions/{'x' * 5000}", "Qualifier=1")
    assert match is not None
    assert len(match.uri["FunctionName"]) == 5000


def test_starting_does_not_pay_for_botocore() -> None:
    program = (
        "import sys; from ondol.aws.wire import LambdaWire, LogsWire; LambdaWire(); LogsWire(); "
        "print([name for name in sys.modules if name.startswith('botocore')])"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
