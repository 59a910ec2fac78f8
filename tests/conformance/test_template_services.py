"""What stands around the functions of a template: buses, streams, subscriptions, destinations; on a real ondol."""

import json
from pathlib import Path
from typing import Any

from test_templates import EAR, HELLO, command, deployed, logged, resources_with, template

from conformance.event_sources import until
from ondol_process import OndolProcess

RESOURCES = (
    EAR
    + """        Told: {Type: EventBridgeRule, Properties: {EventBusName: !Ref Bus, Pattern: {source: [shop]}}}
        Stored: {Type: EventBridgeRule, Properties: {Pattern: {source: [aws.s3]}}}
        Read: {Type: Kinesis, Properties: {Stream: !GetAtt Stream.Arn, StartingPosition: TRIM_HORIZON}}
        Queued: {Type: SQS, Properties: {Queue: !GetAtt Inbox.Arn}}
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: shop-bus}}
  Stream: {Type: AWS::Kinesis::Stream, Properties: {ShardCount: 1}}
  Files:
    Type: AWS::S3::Bucket
    Properties: {NotificationConfiguration: {EventBridgeConfiguration: {EventBridgeEnabled: true}}}
  News: {Type: AWS::SNS::Topic}
  Inbox: {Type: AWS::SQS::Queue}
  Copied:
    Type: AWS::SNS::Subscription
    Properties: {Protocol: sqs, TopicArn: !Ref News, Endpoint: !GetAtt Inbox.Arn, FilterPolicy: {kind: [hot]}}
Outputs: {News: {Value: !Ref News}}
"""
)


def test_buses_streams_and_subscriptions(moto_door: OndolProcess, tmp_path: Path) -> None:
    door, file = moto_door, template(tmp_path, RESOURCES, "round")
    first = deployed(door, file)
    assert set(first.did().values()) == {"Created"}
    entry = {"Source": "shop", "DetailType": "ordered", "Detail": "{}", "EventBusName": "shop-bus"}
    door.client("events").put_events(Entries=[entry])
    door.client("kinesis").put_record(StreamName="round-Stream", Data=b"x", PartitionKey="p")
    door.client("s3").put_object(Bucket="round-files", Key="k", Body=b"x")
    for kind in ("cold", "hot"):
        attributes = {"kind": {"DataType": "String", "StringValue": kind}}
        door.client("sns").publish(TopicArn=first.value("News"), Message=f"{kind} news", MessageAttributes=attributes)
    for heard in ("ordered", "aws:kinesis", "Object Created", "hot news"):
        until(lambda heard=heard: logged(door, "round-Ear", heard))
    assert logged(door, "round-Ear", "cold news") == []
    assert set(deployed(door, file).did().values()) == {"Unchanged"}

    changed = resources_with(file, "FilterPolicy: {kind: [hot]}", "FilterPolicy: {kind: [cold]}")
    file.write_text(changed.replace("EventBridgeEnabled: true", "EventBridgeEnabled: false"))
    did = deployed(door, file).did()
    assert (did["round-files"], did["round-Stream"], did["shop-bus"]) == ("Deleted", "Unchanged", "Unchanged")
    told = door.client("s3").get_bucket_notification_configuration(Bucket="round-files")
    assert "EventBridgeConfiguration" not in told

    door.client("s3").delete_object(Bucket="round-files", Key="k")
    gone = command(door, "delete", "--yes", file)
    assert gone.code == 0, gone.err
    assert door.client("events").list_event_buses(NamePrefix="shop-bus")["EventBuses"] == []
    assert "round-Stream" not in door.client("kinesis").list_streams()["StreamNames"]


def test_destinations_are_deployed_again(moto_door: OndolProcess, tmp_path: Path) -> None:
    """A destination of which only the kind is said is made, as SAM makes it."""
    config = """
      EventInvokeConfig:
        MaximumRetryAttempts: 0
        DestinationConfig: {OnSuccess: {Type: SQS}, OnFailure: {Type: SQS, Destination: !GetAtt Failed.Arn}}
  Failed: {Type: AWS::SQS::Queue}
"""
    door, file = moto_door, template(tmp_path, HELLO + config, "told")
    assert set(deployed(door, file).did().values()) == {"Created"}
    assert set(deployed(door, file).did().values()) == {"Unchanged"}
    door.client().invoke(FunctionName="told-Hello", InvocationType="Event")
    [made] = door.client("sqs").list_queues(QueueNamePrefix="told-HelloEventInvokeConfigOnSuccess")["QueueUrls"]

    def received() -> list[Any]:
        answer = door.client("sqs").receive_message(QueueUrl=made, WaitTimeSeconds=5)
        return answer.get("Messages", [])  # type: ignore[no-any-return]

    [message] = until(received)
    assert json.loads(message["Body"])["responsePayload"] == "told-Hello"
    file.write_text(resources_with(file, "OnSuccess: {Type: SQS}, ", ""))
    did = deployed(door, file).did()
    assert did["told-Hello"] == "Updated" and did["told-HelloEventInvokeConfigOnSuccessQueue"] == "Deleted"
    config_now = door.client().get_function_event_invoke_config(FunctionName="told-Hello")["DestinationConfig"]
    assert config_now["OnSuccess"] == {} and config_now["OnFailure"]["Destination"].endswith(":told-Failed")
    file.write_text(resources_with(file, "MaximumRetryAttempts: 0", "MaximumEventAgeInSeconds: 60"))
    deployed(door, file)
    shown = door.client().get_function_event_invoke_config(FunctionName="told-Hello")
    assert "MaximumRetryAttempts" not in shown and shown["MaximumEventAgeInSeconds"] == 60
    assert command(door, "delete", "--yes", file).code == 0


def test_what_was_there_before_is_used_and_outlives_the_stack(moto_door: OndolProcess, tmp_path: Path) -> None:
    door, tables, queues = moto_door, moto_door.client("dynamodb"), moto_door.client("sqs")
    tables.create_table(
        TableName="precious",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    url = queues.create_queue(QueueName="precious", Attributes={"DelaySeconds": "3"})["QueueUrl"]
    resources = """
Resources:
  Table: {Type: AWS::Serverless::SimpleTable, Properties: {TableName: precious}}
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: precious}}
  Own: {Type: AWS::SQS::Queue}
"""
    file = template(tmp_path, resources, "guest")
    for _ in range(2):
        assert deployed(door, file).did()["precious"] != "Created"
    assert set(command(door, "delete", "--yes", file).did()) == {"guest-Own"}
    assert "precious" in tables.list_tables()["TableNames"]
    assert url in queues.list_queues(QueueNamePrefix="precious")["QueueUrls"]
    tables.delete_table(TableName="precious")
    queues.delete_queue(QueueUrl=url)


FULL = """
      Description: d
      LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: DEBUG, LogGroup: /elsewhere}
      Events:
        Queued:
          Type: SQS
          Properties:
            Queue: !GetAtt Inbox.Arn
            BatchSize: 5
            FilterCriteria: {Filters: [{Pattern: '{"body": ["x"]}'}]}
            FunctionResponseTypes: [ReportBatchItemFailures]
        Later:
          Type: ScheduleV2
          Properties:
            ScheduleExpression: rate(7 days)
            Description: d
            EndDate: "2199-01-01T00:00:00Z"
            Input: '{"a": 1}'
            RetryPolicy: {MaximumRetryAttempts: 2}
  Inbox:
    Type: AWS::SQS::Queue
    Properties: {VisibilityTimeout: 60, RedrivePolicy: {maxReceiveCount: 3, deadLetterTargetArn: !GetAtt Dead.Arn}}
  Dead: {Type: AWS::SQS::Queue}
"""
BARE = """
      Events:
        Queued: {Type: SQS, Properties: {Queue: !GetAtt Inbox.Arn}}
        Later: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(7 days)}}
  Inbox: {Type: AWS::SQS::Queue}
  Dead: {Type: AWS::SQS::Queue}
"""


def test_what_a_template_says_no_more_goes_back_to_what_it_is_of_itself(
    moto_door: OndolProcess, tmp_path: Path
) -> None:
    door, client = moto_door, moto_door.client()
    deployed(door, template(tmp_path, HELLO + FULL, "bare"))
    assert set(deployed(door, template(tmp_path, HELLO + FULL, "bare")).did().values()) == {"Unchanged"}
    did = deployed(door, template(tmp_path, HELLO + BARE, "bare")).did()
    assert did["bare-Hello"] == did["bare-Inbox"] == did["default/bare-HelloLater"] == "Updated"
    told = client.get_function_configuration(FunctionName="bare-Hello")
    assert told["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/bare-Hello"}
    [mapping] = client.list_event_source_mappings(FunctionName="bare-Hello")["EventSourceMappings"]
    assert mapping["BatchSize"] == 10 and mapping["FunctionResponseTypes"] == [] and "FilterCriteria" not in mapping
    schedule = door.client("scheduler").get_schedule(Name="bare-HelloLater")
    assert not schedule.keys() & {"Description", "EndDate"} and "Input" not in schedule["Target"]
    assert schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"] == 185
    queues = door.client("sqs")
    url = queues.get_queue_url(QueueName="bare-Inbox")["QueueUrl"]
    attributes = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "30" and not attributes.get("RedrivePolicy")
    assert command(door, "delete", "--yes", tmp_path / "bare" / "template.yaml").code == 0
