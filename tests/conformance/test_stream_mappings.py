"""Kinesis and DynamoDB streams as event sources: what the function gets, and what becomes of failures."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from triggered import awaited, recorder

from conformance.event_sources import RECORD, events, mapped, queue_of, records, state, switched, until
from conformance.lambda_calls import arn
from ondol_process import ROLE, OndolProcess, create

TIMED = """
import base64, json, time
def h(event, context):
    data = [base64.b64decode(record["kinesis"]["data"]).decode() for record in event["Records"]]
    print(json.dumps({"Records": data, "At": time.monotonic_ns()}))
"""
"""Tells when: what two environments log within one millisecond stands in the log in any order."""

FAIL_ON_BAD = """
import base64, json
def h(event, context):
    data = [base64.b64decode(record["kinesis"]["data"]).decode() for record in event["Records"]]
    print(json.dumps({"Records": data}))
    if "bad" in data:
        raise ValueError("bad")
"""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    """An ondol with a moto server beside it."""
    with OndolProcess(tmp_path_factory.mktemp("streams") / "data", {"WITH": "moto"}) as process:
        yield process


def stream_of(door: OndolProcess, name: str, shards: int = 1) -> str:
    kinesis = door.client("kinesis")
    kinesis.create_stream(StreamName=name, ShardCount=shards)
    answer: str = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    return answer


def put(door: OndolProcess, name: str, *data: str, key: str = "key") -> None:
    entries = [{"Data": each.encode(), "PartitionKey": key} for each in data]
    door.client("kinesis").put_records(StreamName=name, Records=entries)


def data_of(records: list[dict[str, Any]]) -> list[str]:
    return [base64.b64decode(record["kinesis"]["data"]).decode() for record in records]


def table_of(door: OndolProcess, name: str) -> str:
    table = door.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    answer: str = table["TableDescription"]["LatestStreamArn"]
    return answer


def test_a_kinesis_record_reaches_the_function_as_on_aws(door: OndolProcess, name: str) -> None:
    create(door.client(), name, RECORD)
    source = stream_of(door, name)
    put(door, name, "before")
    uuid = mapped(door, name, source, StartingPosition="LATEST")
    put(door, name, "after")
    [record] = until(lambda: records(door, name))
    assert record["kinesis"].pop("approximateArrivalTimestamp") > 1_000_000_000
    sequence = record["kinesis"]["sequenceNumber"]
    assert record == {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "key",
            "sequenceNumber": sequence,
            "data": base64.b64encode(b"after").decode(),
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000000:{sequence}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": ROLE,
        "awsRegion": "us-east-1",
        "eventSourceARN": source,
    }
    until(lambda: door.client().get_event_source_mapping(UUID=uuid)["LastProcessingResult"] == "OK")


def test_a_change_of_a_table_reaches_the_function_as_on_aws(door: OndolProcess, name: str) -> None:
    create(door.client(), name, RECORD)
    source = table_of(door, name)
    mapped(
        door,
        name,
        source,
        StartingPosition="TRIM_HORIZON",
        FilterCriteria={
            "Filters": [{"Pattern": '{"eventName": ["MODIFY"], "dynamodb": {"Keys": {"id": {"S": ["1"]}}}}'}]
        },
    )
    dynamodb = door.client("dynamodb")
    for item in ({"id": {"S": "1"}}, {"id": {"S": "2"}}, {"id": {"S": "1"}, "n": {"N": "5"}, "b": {"B": b"x"}}):
        dynamodb.put_item(TableName=name, Item=item)
    [record] = until(lambda: records(door, name))
    assert record["eventName"] == "MODIFY"
    assert (record["eventSource"], record["eventSourceARN"]) == ("aws:dynamodb", source)
    assert record["dynamodb"]["NewImage"] == {"id": {"S": "1"}, "n": {"N": "5"}, "b": {"B": "eA=="}}
    assert record["dynamodb"]["OldImage"] == {"id": {"S": "1"}}


def test_batches_keep_the_order_of_a_key_and_run_in_parallel_over_keys(door: OndolProcess, name: str) -> None:
    create(door.client(), name, TIMED)
    source = stream_of(door, name, shards=2)
    mapped(door, name, source, StartingPosition="TRIM_HORIZON", BatchSize=5, ParallelizationFactor=3)
    for number in range(10):
        for key in "abcdef":
            put(door, name, f"{key}{number}", key=key)
    until(lambda: len(records(door, name)) >= 60)
    told = sorted(events(door, name), key=lambda event: event["At"])
    seen = [data for event in told for data in event["Records"]]
    assert sorted(seen) == sorted(f"{key}{number}" for key in "abcdef" for number in range(10))
    for key in "abcdef":
        assert [each for each in seen if each[0] == key] == [f"{key}{number}" for number in range(10)]
    assert max(len(event["Records"]) for event in events(door, name)) <= 5


def test_a_bad_record_is_isolated_and_told_of(door: OndolProcess, name: str) -> None:
    create(door.client(), name, FAIL_ON_BAD)
    source = stream_of(door, name)
    url, queue = queue_of(door, name)
    put(door, name, "a", "b", "bad", "c", "d")
    mapped(
        door,
        name,
        source,
        StartingPosition="TRIM_HORIZON",
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": queue}},
    )
    [message] = until(lambda: door.client("sqs").receive_message(QueueUrl=url).get("Messages"))
    told = json.loads(message["Body"])
    until(lambda: ["d"] in [event["Records"][-1:] for event in events(door, name)])
    batches = [event["Records"] for event in events(door, name)]
    assert batches == [["a", "b", "bad", "c", "d"], ["a", "b", "bad"], ["a", "b"], ["bad"], ["bad"], ["c", "d"]]
    context, info = told.pop("requestContext"), told.pop("KinesisBatchInfo")
    assert context.pop("requestId")
    assert context == {"functionArn": arn(name), "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 4}
    assert told.pop("timestamp").endswith("Z")
    assert told == {
        "version": "1.0",
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
    }
    assert info.pop("approximateArrivalOfFirstRecord") == info.pop("approximateArrivalOfLastRecord")
    assert info == {
        "shardId": "shardId-000000000000",
        "startSequenceNumber": "3",
        "endSequenceNumber": "3",
        "batchSize": 1,
        "streamArn": source,
    }


def test_topics_and_buckets_are_told_too(door: OndolProcess, name: str) -> None:
    create(door.client(), name, FAIL_ON_BAD)
    url, queue = queue_of(door, name)
    sns = door.client("sns")
    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    listener = recorder(door, f"{name}-listener", "sns", topic)
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=listener)
    s3 = door.client("s3")
    s3.create_bucket(Bucket="failures")
    for number, destination in enumerate((topic, "arn:aws:s3:::failures")):
        source = stream_of(door, f"{name}-{number}")
        put(door, f"{name}-{number}", "bad")
        settings = {"MaximumRetryAttempts": 0, "DestinationConfig": {"OnFailure": {"Destination": destination}}}
        uuid = mapped(door, name, source, StartingPosition="TRIM_HORIZON", **settings)
    [message] = until(lambda: door.client("sqs").receive_message(QueueUrl=url).get("Messages"))
    told = json.loads(message["Body"])
    assert told["requestContext"]["condition"] == "RetryAttemptsExhausted"
    [heard] = awaited(door, f"{name}-listener")
    assert json.loads(heard["Records"][0]["Sns"]["Message"]) == told
    [listed] = until(lambda: s3.list_objects_v2(Bucket="failures").get("Contents"))
    assert listed["Key"].startswith(f"aws/lambda/{uuid}/shardId-000000000000/20")
    kept = json.loads(s3.get_object(Bucket="failures", Key=listed["Key"])["Body"].read())
    assert data_of(json.loads(kept["payload"])["Records"]) == ["bad"]


def test_only_what_failed_comes_again(door: OndolProcess, name: str) -> None:
    code = """
import base64, json
def h(event, context):
    data = [base64.b64decode(record["kinesis"]["data"]).decode() for record in event["Records"]]
    print(json.dumps({"Records": data}))
    if data[0] == "a":
        return {"batchItemFailures": [{"itemIdentifier": event["Records"][1]["kinesis"]["sequenceNumber"]}]}
"""
    create(door.client(), name, code)
    source = stream_of(door, name)
    put(door, name, "a", "b", "c")
    settings = {"FunctionResponseTypes": ["ReportBatchItemFailures"], "StartingPosition": "TRIM_HORIZON"}
    mapped(door, name, source, **settings)
    until(lambda: len(events(door, name)) == 2)
    assert [event["Records"] for event in events(door, name)] == [["a", "b", "c"], ["b", "c"]]


def test_a_mapping_that_was_disabled_goes_on_where_it_was(door: OndolProcess, name: str) -> None:
    create(door.client(), name, RECORD)
    source = stream_of(door, name)
    uuid = mapped(door, name, source, StartingPosition="LATEST")
    put(door, name, "1")
    until(lambda: data_of(records(door, name)) == ["1"])
    switched(door, uuid, on=False)
    put(door, name, "2")
    switched(door, uuid, on=True)
    put(door, name, "3")
    until(lambda: len(records(door, name)) >= 3)
    assert data_of(records(door, name)) == ["1", "2", "3"]


def test_shards_that_follow_wait_for_their_parents(door: OndolProcess, name: str) -> None:
    create(door.client(), name, RECORD)
    source = stream_of(door, name, shards=1)
    put(door, name, *(f"a{number}" for number in range(5)))
    kinesis = door.client("kinesis")
    mapped(door, name, source, StartingPosition="TRIM_HORIZON", BatchSize=2)
    kinesis.split_shard(StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    put(door, name, "b0", "b1")
    shards = [shard["ShardId"] for shard in kinesis.list_shards(StreamName=name)["Shards"]]
    until(lambda: len(records(door, name)) >= 7)
    kinesis.merge_shards(StreamName=name, ShardToMerge=shards[1], AdjacentShardToMerge=shards[2])
    put(door, name, "c0")
    until(lambda: len(records(door, name)) >= 8)
    assert data_of(records(door, name)) == ["a0", "a1", "a2", "a3", "a4", "b0", "b1", "c0"]


def test_windows_hand_on_their_state_and_are_closed(door: OndolProcess, name: str) -> None:
    code = """
import json
def h(event, context):
    print(json.dumps(event))
    return {"state": {"count": event["state"].get("count", 0) + len(event["Records"])}}
"""
    create(door.client(), name, code)
    source = stream_of(door, name)
    put(door, name, "a", "b", "c")
    mapped(door, name, source, StartingPosition="TRIM_HORIZON", BatchSize=2, TumblingWindowInSeconds=1)
    until(lambda: any(event["isFinalInvokeForWindow"] for event in events(door, name)))
    first, second, last = events(door, name)
    assert [event["state"] for event in (first, second, last)] == [{}, {"count": 2}, {"count": 3}]
    assert (first["isFinalInvokeForWindow"], last["Records"]) == (False, [])
    assert first["window"] == last["window"]
    assert first["shardId"] == "shardId-000000000000"
    assert first["eventSourceARN"] == source
    assert first["isWindowTerminatedEarly"] is False


def test_a_stream_must_be_there(door: OndolProcess, name: str) -> None:
    create(door.client(), name, RECORD)
    client = door.client()
    for source in (
        "arn:aws:kinesis:us-east-1:000000000000:stream/none",
        "arn:aws:dynamodb:us-east-1:000000000000:table/none/stream/2026-01-01T00:00:00.000",
    ):
        with pytest.raises(client.exceptions.InvalidParameterValueException, match="Stream not found: arn:aws"):
            client.create_event_source_mapping(FunctionName=name, EventSourceArn=source, StartingPosition="LATEST")


def test_a_deleted_mapping_is_gone(door: OndolProcess, name: str) -> None:
    create(door.client(), name, RECORD)
    source = stream_of(door, name)
    client = door.client()
    uuid = mapped(door, name, source, StartingPosition="LATEST")
    assert client.delete_event_source_mapping(UUID=uuid)["State"] == "Deleting"
    until(lambda: not client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"])
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        state(door, uuid)
    put(door, name, "late")
    again = mapped(door, name, source, StartingPosition="TRIM_HORIZON")
    assert again != uuid
    assert data_of(until(lambda: records(door, name))) == ["late"]
