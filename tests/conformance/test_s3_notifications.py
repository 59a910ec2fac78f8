"""Functions that buckets tell of their objects, as these pass ondol's door on their way to a moto server."""

import json
import os
import re
import urllib.request
from datetime import datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from event_sources import RECORD
from triggered import ACCOUNT, awaited, permit, recorder, seen

from ondol_process import OndolProcess, create

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def door(moto_door: OndolProcess) -> OndolProcess:
    return moto_door


@pytest.fixture(scope="module")
def s3(door: OndolProcess) -> Any:
    return door.client("s3")


def told(door: OndolProcess, s3: Any, name: str, **settings: Any) -> str:
    """A new bucket that tells a new function of the same name."""
    bucket = name.lower()[-60:].strip("-")
    s3.create_bucket(Bucket=bucket)
    function = recorder(door, name, "s3", f"arn:aws:s3:::{bucket}")
    configuration = {"LambdaFunctionArn": function, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"], **settings}
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [configuration]}
    )
    return bucket


def records(door: OndolProcess, name: str, count: int) -> list[dict[str, Any]]:
    """In the order in which things happened."""
    found = [record for event in awaited(door, name, count) for record in event["Records"]]
    return sorted(found, key=lambda record: record["s3"]["object"]["sequencer"])


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def test_each_way_to_make_and_unmake_an_object_is_told(door: OndolProcess, s3: Any, name: str) -> None:
    bucket = told(door, s3, name, Id="mine")
    etag = s3.put_object(Bucket=bucket, Key="a b/ü+.txt", Body=b"12345")["ETag"].strip('"')
    s3.copy_object(Bucket=bucket, Key="copied", CopySource={"Bucket": bucket, "Key": "a b/ü+.txt"})
    upload = s3.create_multipart_upload(Bucket=bucket, Key="large")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="large", UploadId=upload, PartNumber=1, Body=os.urandom(5 * MEBIBYTE))
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="large", UploadId=upload, MultipartUpload=parts)
    s3.put_object_tagging(Bucket=bucket, Key="large", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    s3.delete_object(Bucket=bucket, Key="copied")
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a b/ü+.txt"}, {"Key": "large"}], "Quiet": True})
    got = records(door, name, 6)
    happened = [(each["eventName"], each["s3"]["object"]["key"], each["s3"]["object"].get("size")) for each in got]
    assert happened[:4] == [
        ("ObjectCreated:Put", "a+b/%C3%BC%2B.txt", 5),
        ("ObjectCreated:Copy", "copied", 5),
        ("ObjectCreated:CompleteMultipartUpload", "large", 5 * MEBIBYTE),
        ("ObjectRemoved:Delete", "copied", None),
    ]
    removed = ("ObjectRemoved:Delete", "a+b/%C3%BC%2B.txt", None), ("ObjectRemoved:Delete", "large", None)
    assert sorted(happened[4:]) == sorted(removed)
    first = got[0]
    assert datetime.fromisoformat(first["eventTime"]).tzinfo is not None
    assert re.fullmatch("[0-9A-F]{18}", first["s3"]["object"].pop("sequencer"))
    assert first["s3"] == {
        "s3SchemaVersion": "1.0",
        "configurationId": "mine",
        "bucket": {"name": bucket, "ownerIdentity": {"principalId": ACCOUNT}, "arn": f"arn:aws:s3:::{bucket}"},
        "object": {"key": "a+b/%C3%BC%2B.txt", "size": 5, "eTag": etag},
    }
    assert (first["eventVersion"], first["eventSource"], first["awsRegion"]) == ("2.1", "aws:s3", "us-east-1")
    assert first["requestParameters"] == {"sourceIPAddress": "127.0.0.1"}


def test_versions_are_told_and_markers_are(door: OndolProcess, s3: Any, name: str) -> None:
    bucket = told(door, s3, name)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key="k", Body=b"")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="k", VersionId=version)
    got = [(each["eventName"], each["s3"]["object"]["versionId"]) for each in records(door, name, 3)]
    assert got == [
        ("ObjectCreated:Put", version),
        ("ObjectRemoved:DeleteMarkerCreated", marker),
        ("ObjectRemoved:Delete", version),
    ]


def test_filters(door: OndolProcess, s3: Any, name: str) -> None:
    rules = [{"Name": "prefix", "Value": "in/"}, {"Name": "suffix", "Value": ".csv"}]
    bucket = told(door, s3, name, Events=["s3:ObjectCreated:Put"], Filter={"Key": {"FilterRules": rules}})
    for key in ("in/a.txt", "out/a.csv", "in/a.csv"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.copy_object(Bucket=bucket, Key="in/b.csv", CopySource=f"{bucket}/in/a.csv")
    s3.delete_object(Bucket=bucket, Key="in/a.csv")
    s3.put_object(Bucket=bucket, Key="in/last.csv", Body=b"x")
    assert [each["s3"]["object"]["key"] for each in records(door, name, 2)] == ["in/a.csv", "in/last.csv"]


def test_clients_with_links_and_in_pieces_are_seen_too(door: OndolProcess, s3: Any, name: str) -> None:
    bucket = told(door, s3, name)
    link = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "linked"})
    with urllib.request.urlopen(urllib.request.Request(link, b"sent", {"Content-Type": ""}, method="PUT"), timeout=10):
        pass
    s3.put_object(Bucket=bucket, Key="summed", Body=os.urandom(100_000), ChecksumAlgorithm="SHA256")
    sizes = {each["s3"]["object"]["key"]: each["s3"]["object"]["size"] for each in records(door, name, 2)}
    assert sizes == {"linked": 4, "summed": 100_000}


def test_what_fails_is_told_to_the_client_alone(door: OndolProcess, s3: Any, name: str) -> None:
    bucket = told(door, s3, name)
    with pytest.raises(ClientError) as error:
        s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/none")
    assert refusal(error)[0] == "NoSuchKey"
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert [each["eventName"] for each in records(door, name, 1)] == ["ObjectCreated:Put"]


def test_a_configuration_is_shown_with_that_of_the_server_and_replaced_as_a_whole(
    door: OndolProcess, s3: Any, name: str
) -> None:
    bucket = told(door, s3, name)
    queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:told"
    door.client("sqs").create_queue(QueueName="told")
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"
    rules = [{"Name": "prefix", "Value": "a/"}]
    wanted = {
        "QueueConfigurations": [{"Id": "q", "QueueArn": queue, "Events": ["s3:ObjectCreated:*"]}],
        "LambdaFunctionConfigurations": [
            {
                "Id": "f",
                "LambdaFunctionArn": function,
                "Events": ["s3:ObjectRemoved:Delete", "s3:ObjectCreated:Put"],
                "Filter": {"Key": {"FilterRules": rules}},
            }
        ],
    }
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=wanted)
    shown = s3.get_bucket_notification_configuration(Bucket=bucket)
    assert shown["LambdaFunctionConfigurations"] == wanted["LambdaFunctionConfigurations"]
    assert [each["QueueArn"] for each in shown["QueueConfigurations"]] == [queue]
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    assert "LambdaFunctionConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a/k", Body=b"x")
    assert seen(door, name) == []


def test_a_bucket_that_is_deleted_tells_nobody_when_it_is_there_again(door: OndolProcess, s3: Any, name: str) -> None:
    bucket = told(door, s3, name)
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert "LambdaFunctionConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)


def test_configurations_that_cannot_be(door: OndolProcess, s3: Any, name: str) -> None:
    bucket = told(door, s3, name)
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"
    create(door.client(), "closed", "def h(event, context): pass")
    closed = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:closed"
    for functions, code, words in (
        ([(f"{function}x", ["s3:ObjectCreated:*"])], "InvalidArgument", "there is no such function"),
        ([(closed, ["s3:ObjectCreated:*"])], "InvalidArgument", "--principal s3.amazonaws.com"),
        ([(function, ["s3:ObjectRestore:Post"])], "NotImplemented", "s3:ObjectRestore:Post"),
        ([(function, ["s3:ObjectCreated:*"]), (function, ["s3:ObjectCreated:Put"])], "InvalidArgument", "overlap"),
    ):
        configurations = [{"LambdaFunctionArn": arn, "Events": events} for arn, events in functions]
        with pytest.raises(ClientError) as error:
            s3.put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": configurations}
            )
        assert refusal(error)[0] == code and words in refusal(error)[1]
    with pytest.raises(ClientError) as error:
        s3.put_bucket_notification_configuration(
            Bucket="no-such-bucket-here",
            NotificationConfiguration={
                "LambdaFunctionConfigurations": [
                    {"LambdaFunctionArn": open_to_all(door), "Events": ["s3:ObjectCreated:*"]}
                ]
            },
        )
    assert refusal(error)[0] == "NoSuchBucket"
    assert len(s3.get_bucket_notification_configuration(Bucket=bucket)["LambdaFunctionConfigurations"]) == 1


def open_to_all(door: OndolProcess) -> str:
    return recorder(door, "open", "s3")


def test_eventbridge_is_told_of_everything(door: OndolProcess, s3: Any, name: str) -> None:
    bucket = name.lower()[-60:].strip("-")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    events = door.client("events")
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "it", "Arn": recorder(door, name, "events")}])
    s3.put_object(Bucket=bucket, Key="a b", Body=b"12")
    s3.delete_object(Bucket=bucket, Key="a b")
    got = sorted(awaited(door, name, 2), key=lambda event: event["detail"]["object"]["sequencer"])
    assert [event["detail-type"] for event in got] == ["Object Created", "Object Deleted"]
    detail = got[0]["detail"]
    assert (detail["object"]["key"], detail["object"]["size"], detail["reason"]) == ("a b", 2, "PutObject")
    assert got[1]["detail"]["deletion-type"] == "Permanently Deleted"
    assert "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket=bucket)


def test_code_in_a_function_is_seen_and_changes_no_configuration(door: OndolProcess, s3: Any, name: str) -> None:
    bucket = told(door, s3, name)
    code = f"""
import boto3
def h(event, context):
    s3 = boto3.client("s3")
    s3.put_object(Bucket="{bucket}", Key="k", Body=b"x")
    try:
        s3.put_bucket_notification_configuration(Bucket="{bucket}", NotificationConfiguration={{}})
    except Exception as error:
        return str(error)
"""
    create(door.client(), "writer", code, MemorySize=1769, Timeout=30)
    answer = door.client().invoke(FunctionName="writer")["Payload"].read()
    assert b"AccessDenied" in answer and b"may not change which functions" in answer
    assert [each["s3"]["object"]["key"] for each in records(door, name, 1)] == ["k"]


def test_a_function_that_is_told_of_its_own_objects_is_stopped(door: OndolProcess, s3: Any, name: str) -> None:
    bucket = name.lower()[-60:].strip("-")
    s3.create_bucket(Bucket=bucket)
    code = """
import boto3
s3 = boto3.client("s3")
def h(event, context):
    bucket = event["Records"][0]["s3"]["bucket"]["name"]
    s3.put_object(Bucket=bucket, Key=context.aws_request_id, Body=b"x")
"""
    client = door.client()
    looping = create(client, f"{name[:50]}-loops", code, MemorySize=1769, Timeout=30)["FunctionArn"]
    permit(door, f"{name[:50]}-loops", "s3")
    stopped = create(client, name, RECORD, MemorySize=1769)["FunctionArn"]
    client.put_function_event_invoke_config(
        FunctionName=looping, DestinationConfig={"OnFailure": {"Destination": stopped}}
    )
    configuration = {"LambdaFunctionArn": looping, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [configuration]}
    )
    s3.put_object(Bucket=bucket, Key="first", Body=b"x")
    [record] = awaited(door, name)
    assert record["requestContext"]["condition"] == "RecursiveInvocation"
    assert len(s3.list_objects_v2(Bucket=bucket)["Contents"]) == 17
