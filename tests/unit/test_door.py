"""Which service a request is for, who serves it, and how a client is told that nobody does."""

import time
from pathlib import Path
from typing import Any

import pytest
from botocore.parsers import create_parser
from botocore.session import Session

from ondol.aws.identity import caller_of
from ondol.aws.protocols import Protocol, failure, protocol_of
from ondol.aws.reply import WireReply
from ondol.aws.signing import Scope
from ondol.aws.sigv4 import is_presigned, presigned_scope, scope_of
from ondol.aws.sts import action_of, caller_identity
from ondol.config import ConfigError, load
from ondol.frontend.door import NoServer, server_of
from ondol.model.endpoint import Endpoint, Endpoints, parse_endpoint

SERVED = {"logs": frozenset({"GetLogEvents"}), "sts": frozenset({"GetCallerIdentity"})}
HERE, THERE = Endpoint("127.0.0.1", 9000), Endpoint("127.0.0.1", 9001)


def as_received(reply: WireReply) -> dict[str, Any]:
    """A reply as botocore's parsers take it."""
    headers = {name.lower(): value for name, value in reply.headers.items()}
    return {"status_code": reply.status, "headers": headers, "body": reply.body, "context": {}}


# Who answers


def test_a_service_goes_to_its_own_line_and_else_to_the_default() -> None:
    endpoints = Endpoints({"s3": HERE}, THERE)
    assert server_of("s3", None, SERVED, endpoints) == HERE
    assert server_of("S3", None, SERVED, endpoints) == HERE
    assert server_of("sqs", None, SERVED, endpoints) == THERE


def test_what_ondol_serves_it_serves_whatever_is_configured() -> None:
    endpoints = Endpoints({"logs": HERE, "sts": HERE}, THERE)
    assert server_of("sts", "GetCallerIdentity", SERVED, endpoints) is None
    assert server_of("logs", "GetLogEvents", SERVED, Endpoints()) is None
    assert server_of("sts", "AssumeRole", SERVED, endpoints) == HERE
    assert server_of("logs", "CreateLogGroup", SERVED, Endpoints({}, THERE)) == THERE
    assert server_of("sts", None, SERVED, endpoints) == HERE
    assert server_of("iam", "GetCallerIdentity", SERVED, endpoints) == THERE


@pytest.mark.parametrize(
    ("service", "operation", "words"),
    [
        ("sqs", None, ["the service sqs", "[endpoints]", 'sqs = "http://', "--with moto"]),
        ("logs", "CreateLogGroup", ["CreateLogGroup of logs", 'logs = "http://']),
        ("sts", "AssumeRole", ["AssumeRole of sts", 'sts = "http://']),
    ],
)
def test_without_a_server_the_missing_line_is_named(service: str, operation: str | None, words: list[str]) -> None:
    with pytest.raises(NoServer) as refused:
        server_of(service, operation, SERVED, Endpoints({"s3": HERE}))
    assert all(word in str(refused.value) for word in words), str(refused.value)


# Which service


def test_the_scope_names_the_service() -> None:
    header = "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/sqs/aws4_request, SignedHeaders=host, Signature=0"
    assert scope_of(header) == Scope("AK", "20260101", "eu-west-1", "sqs")
    query = "X-Amz-Credential=AK%2F20260101%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Signature=0"
    assert is_presigned(query) and presigned_scope(query).service == "s3"


def test_the_older_signature_is_that_of_s3() -> None:
    assert scope_of("AWS AK:c2ln").service == "s3"
    assert scope_of("AWS AK:c2ln").access_key == "AK"
    query = "AWSAccessKeyId=AK&Signature=c2ln%3D&Expires=1795384102"
    assert is_presigned(query) and presigned_scope(query).service == "s3"
    assert not is_presigned("Signature=1") and not is_presigned("AWSAccessKeyId=1")


# How a client is told


@pytest.mark.parametrize(
    ("service", "query", "headers", "protocol"),
    [
        ("sqs", "", {"x-amz-target": "AmazonSQS.SendMessage"}, Protocol.JSON_RPC),
        ("dynamodb", "", {"x-amz-target": "DynamoDB_20120810.PutItem"}, Protocol.JSON_RPC),
        ("sns", "", {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}, Protocol.XML),
        ("iam", "Action=ListUsers&Version=2010-05-08", {}, Protocol.XML),
        ("ec2", "", {"content-type": "application/x-www-form-urlencoded"}, Protocol.EC2),
        ("s3", "Action=1", {}, Protocol.S3),
        ("s3express", "", {}, Protocol.S3),
        ("route53", "", {}, Protocol.XML),
        ("monitoring", "", {"smithy-protocol": "rpc-v2-cbor", "content-type": "application/cbor"}, Protocol.CBOR),
        ("apigateway", "", {}, Protocol.REST_JSON),
    ],
)
def test_a_protocol_is_known_by_its_request(service: str, query: str, headers: dict[str, str], protocol: str) -> None:
    assert protocol_of(service, query, headers) is protocol


@pytest.mark.parametrize(
    ("protocol", "client_protocols"),
    [
        (Protocol.JSON_RPC, ["json"]),
        (Protocol.REST_JSON, ["rest-json"]),
        (Protocol.XML, ["query", "rest-xml"]),
        (Protocol.S3, ["rest-xml"]),
        (Protocol.EC2, ["ec2"]),
        (Protocol.CBOR, ["smithy-rpc-v2-cbor"]),
    ],
)
def test_clients_of_every_protocol_read_the_name_and_the_text(protocol: Protocol, client_protocols: list[str]) -> None:
    message = f'write <here> & "there": {"long " * 80}'
    reply = failure(protocol, 501, "NoEndpointForService", message, "id-1")
    shape = Session().get_service_model("sts").operation_model("GetCallerIdentity").output_shape
    for name in client_protocols:
        error = create_parser(name).parse(as_received(reply), shape)
        assert error["Error"]["Code"] == "NoEndpointForService", name
        assert error["Error"]["Message"].strip() == message.strip(), name
        assert error["ResponseMetadata"]["RequestId"] == "id-1", name


# GetCallerIdentity


@pytest.mark.parametrize(
    ("query", "form", "action"),
    [
        ("", b"Action=GetCallerIdentity&Version=2011-06-15", "GetCallerIdentity"),
        ("Action=AssumeRole&Version=2011-06-15", b"", "AssumeRole"),
        ("", b"Version=2011-06-15&Action=GetCallerIdentity", "GetCallerIdentity"),
        ("", b"XAction=GetCallerIdentity&Action=&Action=Get%43allerIdentity", None),
        ("", b"", None),
        ("", b"\xff\xfe", None),
    ],
)
def test_an_action_is_read_from_query_or_form(query: str, form: bytes, action: str | None) -> None:
    assert action_of(query, form) == action


def test_no_form_is_gone_through_for_long() -> None:
    began = time.thread_time()
    assert action_of("", b"a=b&" * 5_000_000 + b"Action=GetCallerIdentity") is None
    assert time.thread_time() - began < 0.2


@pytest.mark.parametrize(
    ("key", "region", "arn"),
    [
        ("test", "us-east-1", "arn:aws:iam::000000000000:root"),
        ("111122223333", "eu-west-1", "arn:aws:iam::111122223333:root"),
        ("test", "cn-north-1", "arn:aws-cn:iam::000000000000:root"),
    ],
)
def test_whoever_has_a_key_of_an_account_is_its_root(key: str, region: str, arn: str) -> None:
    reply = caller_identity(caller_of(Scope(key, "20260101", region, "sts")), "id-1")
    shape = Session().get_service_model("sts").operation_model("GetCallerIdentity").output_shape
    parsed = create_parser("query").parse(as_received(reply), shape)
    assert (parsed["Arn"], parsed["UserId"], parsed["Account"]) == (arn, arn.split(":")[4], arn.split(":")[4])
    assert parsed["ResponseMetadata"]["RequestId"] == "id-1"


# The configuration


def test_addresses_of_servers() -> None:
    assert parse_endpoint("http://127.0.0.1:9000") == HERE
    assert parse_endpoint("http://127.0.0.1:9000/") == HERE
    assert parse_endpoint("https://minio.example") == Endpoint("minio.example", 443, True)
    assert parse_endpoint("http://[::1]") == Endpoint("::1", 80)
    assert str(Endpoint("::1", 80)) == "http://[::1]:80"
    assert str(parse_endpoint("https://minio.example")) == "https://minio.example:443"


def test_the_table_and_the_variables_name_servers(tmp_path: Path) -> None:
    file = tmp_path / "ondol.toml"
    file.write_text('[endpoints]\ns3 = "http://127.0.0.1:9000"\nsqs = "http://127.0.0.1:9000"\n')
    environ = {
        "ONDOL_ENDPOINTS_SQS": "http://127.0.0.1:9001",
        "ONDOL_ENDPOINTS_EXECUTE_API": "http://127.0.0.1:9001",
        "ONDOL_ENDPOINTS_DEFAULT": "https://moto.example",
        "ONDOL_ENDPOINTS_EVENTS": "",
    }
    endpoints = load({}, environ, file).endpoints
    assert endpoints.of("s3") == HERE
    assert endpoints.of("sqs") == endpoints.of("execute-api") == THERE
    assert endpoints.of("events") == Endpoint("moto.example", 443, True)
    assert load({}, {}, file).endpoints.of("events") is None


def test_moto_is_asked_for_by_flag_variable_or_file(tmp_path: Path) -> None:
    file = tmp_path / "ondol.toml"
    file.write_text('with = "moto"')
    assert load({}, {}, file).companion == "moto"
    file.write_text("[endpoints]")
    assert load({"with": "moto"}, {}, file).companion == "moto"
    assert load({"with": None}, {"ONDOL_WITH": "moto"}, file).companion == "moto"
    assert load({}, {}, file).companion is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[endpoints]\ns3 = "127.0.0.1:9000"', ["endpoints.s3 in", "ondol.toml", "'127.0.0.1:9000'", "http://"]),
        ('[endpoints]\ns3 = "ftp://a"', ["endpoints.s3", "'ftp://a'"]),
        ('[endpoints]\ns3 = "http://"', ["endpoints.s3", "'http://'"]),
        ('[endpoints]\ns3 = "http://a:port"', ["endpoints.s3", "'http://a:port'"]),
        ('[endpoints]\ns3 = "http://a:70000"', ["endpoints.s3", "70000"]),
        ('[endpoints]\ns3 = "http://a b"', ["endpoints.s3", "'http://a b'"]),
        ('[endpoints]\ns3 = "http://a..b"', ["endpoints.s3", "'http://a..b'"]),
        ('[endpoints]\ns3 = "http://a/path"', ["endpoints.s3", "nothing but a host and a port"]),
        ('[endpoints]\ns3 = "http://user@a"', ["endpoints.s3", "nothing but a host and a port"]),
        ("[endpoints]\ns3 = 9000", ["endpoints.s3", "9000"]),
        ('[endpoints.s3]\nurl = "http://a"', ["endpoints.s3", "url"]),
        ('[endpoints]\n"a.b" = "http://a"', ["endpoints.a.b", "no service"]),
        ('[endpoints]\nlambda = "http://a"', ["endpoints.lambda", "ondol serves lambda itself"]),
        ('[endpoints]\ns3 = "http://localhost:4566"', ["endpoints.s3", "ondol itself", "4566"]),
        ('endpoints = "http://a"', ["ondol.toml", "endpoints"]),
        ('with = "minio"', ["with", "moto", "'minio'"]),
    ],
)
def test_a_mistake_is_one_sentence_that_names_it(tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "ondol.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load({}, {}, file)
    message = str(refused.value)
    assert all(word in message for word in words), message
    assert "\n" not in message and message.endswith(".")


def test_a_variable_with_a_mistake_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^ONDOL_ENDPOINTS_S3 must be the address of a server like http://"):
        load({}, {"ONDOL_ENDPOINTS_S3": "nowhere"})


@pytest.mark.parametrize("name", ["s3", "cognito-idp", "execute-api", "route53", "IoTSecuredTunneling"])
def test_any_signing_name_can_be_a_variable(name: str) -> None:
    variable = f"ONDOL_ENDPOINTS_{name.upper().replace('-', '_')}"
    assert load({}, {variable: "http://127.0.0.1:9000"}).endpoints.of(name) == HERE
