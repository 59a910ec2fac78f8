"""A real boto3 client on one side, the wire on the other: what each says, the other must understand."""

import io
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.retries.standard import RetryContext, TransientRetryableChecker

from ondol.aws.reply import WireReply
from ondol.aws.wire import LambdaWire, LogsWire
from ondol.model.errors import (
    AccessDenied,
    CallerError,
    InvalidParameterValue,
    InvariantError,
    NotServed,
    Outcome,
    PlatformError,
    ResourceNotFound,
    TooManyRequests,
    ValidationFailed,
)

LAMBDA = LambdaWire()
LOGS = LogsWire()
REQUEST_ID = "3f6d0d6c-9a5d-4b3f-9d8e-0d5f4a1b2c3d"
FN = "arn:aws:lambda:us-east-1:000000000000:function:f"
ROLE = "arn:aws:iam::000000000000:role/r"


class Raw(io.BytesIO):
    def stream(self) -> Any:
        yield self.read()


class Exchange:
    """A client whose requests are read by the wire and answered with what the test decides."""

    def __init__(self, service: str) -> None:
        self.client = boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url="http://localhost:8000",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
        )
        self.client.meta.events.register("before-send.*.*", self._answer)
        self.service = service
        self.operation = ""
        self.params: dict[str, Any] = {}
        self.outcome: Mapping[str, Any] | Exception = {}

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        reply = self._reply(request)
        return AWSResponse(request.url, reply.status, dict(reply.headers), Raw(reply.body))

    def _reply(self, request: Any) -> WireReply:
        headers = {
            name.lower(): value.decode() if isinstance(value, bytes) else str(value)
            for name, value in request.headers.items()
        }
        body = request.body.encode() if isinstance(request.body, str) else bytes(request.body or b"")
        wire = LAMBDA if self.service == "lambda" else LOGS
        try:
            if isinstance(wire, LambdaWire):
                url = urlsplit(request.url)
                match = wire.match(request.method, url.path, url.query)
                assert match is not None, request.url
                self.params = wire.parse(match, headers, body)
            else:
                match = wire.match(headers["x-amz-target"])
                assert match is not None
                self.params = wire.parse(match, body)
            self.operation = match.operation
            if isinstance(self.outcome, Exception):
                raise self.outcome
        except Exception as error:  # noqa: BLE001 the wire answers whatever was raised
            return wire.failure(error, REQUEST_ID)
        return wire.reply(self.operation, self.outcome, REQUEST_ID)

    def call(self, operation: str, params: dict[str, Any], outcome: Mapping[str, Any] | Exception) -> dict[str, Any]:
        self.outcome = outcome
        method = self.client.meta.method_to_api_mapping
        name = next(python for python, api in method.items() if api == operation)
        answer: dict[str, Any] = getattr(self.client, name)(**params)
        return answer


@pytest.fixture(scope="module")
def functions() -> Exchange:
    return Exchange("lambda")


@pytest.fixture(scope="module")
def logs() -> Exchange:
    return Exchange("logs")


CONFIGURATION = {
    "FunctionName": "f",
    "FunctionArn": FN,
    "Runtime": "python3.11",
    "Role": ROLE,
    "Handler": "app.handler",
    "CodeSize": 12_345_678_901,
    "Description": "Größe 🔥",
    "Timeout": 3,
    "MemorySize": 128,
    "LastModified": "2025-01-02T03:04:05.678+0000",
    "CodeSha256": "x=",
    "Version": "$LATEST",
    "Environment": {"Variables": {}},
    "State": "Active",
    "Architectures": ["x86_64"],
    "EphemeralStorage": {"Size": 512},
    "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"},
}
ALIAS = {
    "AliasArn": f"{FN}:live",
    "Name": "live",
    "FunctionVersion": "1",
    "Description": "",
    "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.1}},
    "RevisionId": "3f6d0d6c-9a5d-4b3f-9d8e-0d5f4a1b2c3d",
}
FULL_CREATE = {
    "FunctionName": "f",
    "Runtime": "python3.11",
    "Role": ROLE,
    "Handler": "app.handler",
    "Code": {"ZipFile": b"PK\x00\xff"},
    "Description": "Größe",
    "Timeout": 900,
    "MemorySize": 10_240,
    "Publish": True,
    "VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": []},
    "PackageType": "Zip",
    "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:q"},
    "Environment": {"Variables": {"KEY": "välue", "EMPTY": ""}},
    "TracingConfig": {"Mode": "Active"},
    "Tags": {"ключ": "value with space"},
    "Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:l:1"],
    "Architectures": ["arm64"],
    "EphemeralStorage": {"Size": 10_240},
    "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG"},
}
LAMBDA_CASES: list[tuple[str, dict[str, Any], dict[str, Any], int]] = [
    ("CreateFunction", FULL_CREATE, CONFIGURATION, 201),
    (
        "CreateFunction",
        {"FunctionName": FN, "Role": ROLE, "Code": {"S3Bucket": "bkt", "S3Key": "k"}},
        CONFIGURATION,
        201,
    ),
    (
        "GetFunction",
        {"FunctionName": f"{FN}:live", "Qualifier": "live"},
        {
            "Configuration": CONFIGURATION,
            "Code": {"RepositoryType": "S3", "Location": "http://x/?a=b&c"},
            "Tags": {"a": "b"},
            "Concurrency": {"ReservedConcurrentExecutions": 0},
        },
        200,
    ),
    ("GetFunctionConfiguration", {"FunctionName": "000000000000:function:f"}, CONFIGURATION, 200),
    ("UpdateFunctionCode", {"FunctionName": "f", "ZipFile": b"", "DryRun": False}, CONFIGURATION, 200),
    ("UpdateFunctionConfiguration", {"FunctionName": "f:$LATEST", "Timeout": 1, "Layers": []}, CONFIGURATION, 200),
    ("DeleteFunction", {"FunctionName": "f", "Qualifier": "1"}, {}, 204),
    (
        "ListFunctions",
        {"FunctionVersion": "ALL", "Marker": "a+b/c= %", "MaxItems": 50},
        {"Functions": [CONFIGURATION], "NextMarker": "m"},
        200,
    ),
    ("ListFunctions", {}, {"Functions": []}, 200),
    ("PublishVersion", {"FunctionName": "f", "CodeSha256": "x", "Description": "d"}, CONFIGURATION, 201),
    ("PublishVersion", {"FunctionName": "f"}, CONFIGURATION, 201),
    ("ListVersionsByFunction", {"FunctionName": "f", "MaxItems": 1}, {"Versions": [CONFIGURATION]}, 200),
    (
        "CreateAlias",
        {
            "FunctionName": "f",
            "Name": "live",
            "FunctionVersion": "1",
            "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.25}},
        },
        ALIAS,
        201,
    ),
    ("GetAlias", {"FunctionName": "f", "Name": "2024-01-02"}, ALIAS, 200),
    ("ListAliases", {"FunctionName": "f", "FunctionVersion": "1"}, {"Aliases": [ALIAS]}, 200),
    ("UpdateAlias", {"FunctionName": "f", "Name": "live", "RoutingConfig": {}}, ALIAS, 200),
    ("DeleteAlias", {"FunctionName": "f", "Name": "live"}, {}, 204),
    (
        "PutFunctionConcurrency",
        {"FunctionName": "f", "ReservedConcurrentExecutions": 0},
        {"ReservedConcurrentExecutions": 0},
        200,
    ),
    ("GetFunctionConcurrency", {"FunctionName": "f"}, {}, 200),
    ("DeleteFunctionConcurrency", {"FunctionName": "f"}, {}, 204),
    (
        "GetAccountSettings",
        {},
        {"AccountLimit": {"TotalCodeSize": 80_530_636_800}, "AccountUsage": {"FunctionCount": 1}},
        200,
    ),
    ("TagResource", {"Resource": FN, "Tags": {"k": "v"}}, {}, 204),
    ("UntagResource", {"Resource": FN, "TagKeys": ["a", "b c"]}, {}, 204),
    ("ListTags", {"Resource": FN}, {"Tags": {"k": "v"}}, 200),
    ("GetLayerVersionByArn", {"Arn": "arn:aws:lambda:us-east-1:000000000000:layer:l:1"}, {"Version": 1}, 200),
    ("ListLayers", {"CompatibleRuntime": "python2.7-greengrass"}, {"Layers": []}, 200),
    ("ListProvisionedConcurrencyConfigs", {"FunctionName": "f"}, {"ProvisionedConcurrencyConfigs": []}, 200),
    ("GetProvisionedConcurrencyConfig", {"FunctionName": "f", "Qualifier": "1"}, {"Status": "READY"}, 200),
]


@pytest.mark.parametrize(("operation", "params", "result", "status"), LAMBDA_CASES)
def test_lambda_and_its_client_understand_each_other(
    functions: Exchange, operation: str, params: dict[str, Any], result: dict[str, Any], status: int
) -> None:
    answer = functions.call(operation, params, result)
    metadata = answer.pop("ResponseMetadata")
    assert (functions.operation, functions.params) == (operation, params)
    assert metadata["HTTPStatusCode"] == status
    assert metadata["RequestId"] == REQUEST_ID
    answer.pop("StatusCode", None)
    assert answer == result


def test_an_invocation_passes_bytes_both_ways(functions: Exchange) -> None:
    params = {
        "FunctionName": f"{FN}:live",
        "InvocationType": "RequestResponse",
        "LogType": "Tail",
        "ClientContext": "e30=",
        "Payload": '{"ключ":  1}'.encode(),
        "Qualifier": "live",
    }
    result = {
        "StatusCode": 200,
        "FunctionError": "Unhandled",
        "LogResult": "bG9n",
        "ExecutedVersion": "1",
        "Payload": b'{"a":  "\xc3\xbc"}',
    }
    answer = functions.call("Invoke", params, result)
    assert functions.params == params
    assert answer["Payload"].read() == result["Payload"]
    assert {key: answer[key] for key in result if key != "Payload"} == {
        k: v for k, v in result.items() if k != "Payload"
    }
    assert answer["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/json"


def test_an_accepted_event_has_no_body(functions: Exchange) -> None:
    answer = functions.call("Invoke", {"FunctionName": "f", "InvocationType": "Event"}, {"StatusCode": 202})
    assert answer["StatusCode"] == 202
    assert answer["Payload"].read() == b""
    assert "content-type" not in answer["ResponseMetadata"]["HTTPHeaders"]


def test_times_are_milliseconds_inside_and_seconds_outside(functions: Exchange) -> None:
    answer = functions.call("GetFunctionEventInvokeConfig", {"FunctionName": "f"}, {"LastModified": 1_700_000_000_123})
    assert answer["LastModified"].timestamp() == 1_700_000_000.123
    mapping = {"FunctionName": "f", "StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 1_700_000_000.5}
    functions.call("CreateEventSourceMapping", mapping, {})
    assert functions.params["StartingPositionTimestamp"] == 1_700_000_000_500


def test_a_field_without_a_value_is_absent() -> None:
    reply = LAMBDA.reply(
        "GetFunctionConfiguration", {"FunctionName": "f", "KMSKeyArn": None, "Layers": None}, REQUEST_ID
    )
    assert reply.body == b'{"FunctionName":"f"}'


def test_a_field_that_the_model_lacks_is_a_bug() -> None:
    with pytest.raises(InvariantError, match="Nonsense"):
        LAMBDA.reply("GetFunctionConfiguration", {"Nonsense": 1}, REQUEST_ID)


LOGS_CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "DescribeLogGroups",
        {"logGroupNamePrefix": "/aws/lambda/", "limit": 50},
        {"logGroups": [{"logGroupName": "/aws/lambda/f", "creationTime": 1, "storedBytes": 0}], "nextToken": "t"},
    ),
    (
        "DescribeLogStreams",
        {"logGroupName": "/aws/lambda/f", "orderBy": "LastEventTime", "descending": True},
        {"logStreams": [{"logStreamName": "2025/01/01/[$LATEST]0", "firstEventTimestamp": 1_700_000_000_123}]},
    ),
    (
        "GetLogEvents",
        {"logGroupName": "g", "logStreamName": "2025/01/01/[$LATEST]0", "startFromHead": True},
        {
            "events": [{"timestamp": 1, "message": "line\twith ü\n", "ingestionTime": 2}],
            "nextForwardToken": "f",
            "nextBackwardToken": "b",
        },
    ),
    (
        "FilterLogEvents",
        {"logGroupName": "g", "logStreamNames": ["a", "b"], "startTime": 0, "filterPattern": ""},
        {"events": [{"logStreamName": "a", "timestamp": 1, "message": "m", "eventId": "1"}], "searchedLogStreams": []},
    ),
    ("CreateLogGroup", {"logGroupName": "g", "tags": {"a": "b"}}, {}),
    ("PutLogEvents", {"logGroupName": "g", "logStreamName": "s", "logEvents": [{"timestamp": 1, "message": "m"}]}, {}),
]


@pytest.mark.parametrize(("operation", "params", "result"), LOGS_CASES)
def test_logs_and_their_client_understand_each_other(
    logs: Exchange, operation: str, params: dict[str, Any], result: dict[str, Any]
) -> None:
    answer = logs.call(operation, params, result)
    assert answer.pop("ResponseMetadata")["RequestId"] == REQUEST_ID
    assert (logs.operation, logs.params) == (operation, params)
    assert answer == result


ERRORS: list[tuple[CallerError, int, dict[str, Any]]] = [
    (
        ResourceNotFound(f"Function not found: {FN}"),
        404,
        {"Type": "User", "Message": f"Function not found: {FN}"},
    ),
    (InvalidParameterValue("Bad."), 400, {"Type": "User", "message": "Bad."}),
    (InvalidParameterValue("Below [100].", Type=""), 400, {"message": "Below [100]."}),
    (ValidationFailed("1 validation error detected: ..."), 400, {"message": "1 validation error detected: ..."}),
    (AccessDenied(""), 403, {"Message": None}),
    (
        TooManyRequests("Rate Exceeded.", Reason="ReservedFunctionConcurrentInvocationLimitExceeded"),
        429,
        {"Type": "User", "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded", "message": "Rate Exceeded."},
    ),
    (NotServed("CreateCapacityProvider"), 501, {"Message": "CreateCapacityProvider"}),
]


@pytest.mark.parametrize(("error", "status", "body"), ERRORS)
def test_an_error_is_what_the_client_raises(
    functions: Exchange, error: CallerError, status: int, body: dict[str, Any]
) -> None:
    with pytest.raises(ClientError) as raised:
        functions.call("GetFunction", {"FunctionName": "f"}, error)
    response = raised.value.response
    assert response["Error"]["Code"] == error.code
    assert response["Error"]["Message"] == (error.message or None)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response["ResponseMetadata"]["RequestId"] == REQUEST_ID
    assert json.loads(LAMBDA.failure(error, REQUEST_ID).body) == body


def test_a_throttle_may_say_when_to_come_back() -> None:
    reply = LAMBDA.failure(TooManyRequests("Rate Exceeded.", retryAfterSeconds="2"), REQUEST_ID)
    assert reply.headers["Retry-After"] == "2"
    assert json.loads(reply.body) == {"Type": "User", "message": "Rate Exceeded."}


def test_an_error_of_logs_carries_its_name_in_the_body(logs: Exchange) -> None:
    with pytest.raises(logs.client.exceptions.ResourceNotFoundException) as raised:
        logs.call(
            "DescribeLogStreams", {"logGroupName": "g"}, ResourceNotFound("The specified log group does not exist.")
        )
    assert raised.value.response["Error"]["Message"] == "The specified log group does not exist."
    with pytest.raises(logs.client.exceptions.InvalidParameterException) as refused:
        logs.call("DescribeLogStreams", {"logGroupName": "g g", "limit": 51}, {})
    assert refused.value.response["Error"]["Message"] == (
        "2 validation errors detected: Value 'g g' at 'logGroupName' failed to satisfy constraint: Member must satisfy "
        r"regular expression pattern: [\.\-_/#A-Za-z0-9]+; Value '51' at 'limit' failed to satisfy constraint: "
        "Member must have value less than or equal to 50"
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PlatformError("No room.", Outcome.NOT_STARTED), 503),
        (PlatformError("Lost.", Outcome.UNKNOWN), 520),
        (PlatformError("Lost after.", Outcome.FINISHED), 520),
        (InvariantError("secret"), 520),
    ],
)
def test_what_may_have_run_is_not_repeated_unasked(functions: Exchange, error: Exception, status: int) -> None:
    with pytest.raises(functions.client.exceptions.ServiceException) as raised:
        functions.call("Invoke", {"FunctionName": "f"}, error)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert "secret" not in str(raised.value)
    response = AWSResponse("http://localhost", status, {}, Raw())
    context = RetryContext(attempt_number=1, http_response=response, parsed_response=raised.value.response)
    assert TransientRetryableChecker().is_retryable(context) == (status == 503)
