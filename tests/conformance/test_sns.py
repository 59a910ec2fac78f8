"""Functions that subscribe to topics of a moto server, and get what is published through ondol's door."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from triggered import ACCOUNT, awaited, recorder, seen

from ondol_process import OndolProcess, create


@pytest.fixture(scope="module")
def door(moto_door: OndolProcess) -> OndolProcess:
    return moto_door


@pytest.fixture(scope="module")
def sns(door: OndolProcess) -> Any:
    return door.client("sns")


def subscribed(door: OndolProcess, sns: Any, name: str, **attributes: str) -> tuple[str, str]:
    """The ARNs of a new topic, and of its subscription of a new function."""
    topic = sns.create_topic(Name=name)["TopicArn"]
    function = recorder(door, name, "sns", topic)
    answer = sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function, Attributes=attributes)
    return topic, answer["SubscriptionArn"]


def messages(door: OndolProcess, name: str, count: int) -> list[dict[str, Any]]:
    return [record["Sns"] for event in awaited(door, name, count) for record in event["Records"]]


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def test_what_is_published_reaches_functions_and_the_servers_own_subscribers(
    door: OndolProcess, sns: Any, name: str
) -> None:
    topic, subscription = subscribed(door, sns, name)
    sqs = door.client("sqs")
    queue = sqs.create_queue(QueueName="beside")["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:{ACCOUNT}:beside")
    attributes = {"a": {"DataType": "String", "StringValue": "ä"}, "n": {"DataType": "Number", "StringValue": "1"}}
    sent = sns.publish(TopicArn=topic, Message="<hello> & ü", Subject="s", MessageAttributes=attributes)
    [event] = awaited(door, name)
    [record] = event["Records"]
    assert record["EventSubscriptionArn"] == subscription
    told = record["Sns"]
    assert (told["MessageId"], told["Message"], told["Subject"]) == (sent["MessageId"], "<hello> & ü", "s")
    assert told["MessageAttributes"] == {
        "a": {"Type": "String", "Value": "ä"},
        "n": {"Type": "Number", "Value": "1"},
    }
    [beside] = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(beside["Body"])["MessageId"] == sent["MessageId"]


def test_a_batch_and_a_text_for_functions(door: OndolProcess, sns: Any, name: str) -> None:
    topic, _ = subscribed(door, sns, name)
    bodies = json.dumps({"default": "d", "lambda": "l"})
    entries = [
        {"Id": "1", "Message": "one"},
        {"Id": "2", "Message": bodies, "MessageStructure": "json"},
    ]
    answer = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    ids = {each["MessageId"] for each in answer["Successful"]}
    got = messages(door, name, 2)
    assert {each["MessageId"] for each in got} == ids and {each["Message"] for each in got} == {"one", "l"}


def test_filters(door: OndolProcess, sns: Any, name: str) -> None:
    topic, subscription = subscribed(door, sns, name, FilterPolicy='{"kind": ["wanted"]}')
    for kind in ("other", "wanted"):
        sns.publish(
            TopicArn=topic, Message=kind, MessageAttributes={"kind": {"DataType": "String", "StringValue": kind}}
        )
    assert [each["Message"] for each in messages(door, name, 1)] == ["wanted"]
    sns.set_subscription_attributes(
        SubscriptionArn=subscription, AttributeName="FilterPolicyScope", AttributeValue="MessageBody"
    )
    shown = sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
    assert shown["FilterPolicyScope"] == "MessageBody" and json.loads(shown["FilterPolicy"]) == {"kind": ["wanted"]}
    for kind in ("other", "wanted"):
        sns.publish(TopicArn=topic, Message=json.dumps({"kind": kind}))
    assert json.loads(messages(door, name, 2)[1]["Message"]) == {"kind": "wanted"}


def test_subscriptions_of_functions_are_listed_with_the_servers_and_end(
    door: OndolProcess, sns: Any, name: str
) -> None:
    topic, subscription = subscribed(door, sns, name)
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@example.com")
    for listed in (sns.list_subscriptions_by_topic(TopicArn=topic), sns.list_subscriptions()):
        protocols = {each["Protocol"] for each in listed["Subscriptions"] if each["TopicArn"] == topic}
        assert protocols == {"lambda", "email"}
    own = next(each for each in sns.list_subscriptions()["Subscriptions"] if each["SubscriptionArn"] == subscription)
    assert own["Endpoint"].endswith(f":function:{name}") and own["Owner"] == ACCOUNT
    sns.unsubscribe(SubscriptionArn=subscription)
    sns.publish(TopicArn=topic, Message="nobody")
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)
    sns.publish(TopicArn=topic, Message="somebody")
    assert [each["Message"] for each in messages(door, name, 1)] == ["somebody"]
    sns.delete_topic(TopicArn=topic)
    assert all(each["TopicArn"] != topic for each in sns.list_subscriptions()["Subscriptions"])


def test_subscriptions_that_cannot_be(door: OndolProcess, sns: Any, name: str) -> None:
    topic, _ = subscribed(door, sns, name)
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"
    for arn, endpoint, attributes, code in (
        (f"{topic}x", function, {}, "NotFound"),
        (topic, "nothing", {}, "InvalidParameter"),
        (topic, f"{function}2", {"RawMessageDelivery": "true"}, "InvalidParameter"),
        (topic, f"{function}2", {"FilterPolicy": "{"}, "InvalidParameter"),
    ):
        with pytest.raises(ClientError) as error:
            sns.subscribe(TopicArn=arn, Protocol="lambda", Endpoint=endpoint, Attributes=attributes)
        assert refusal(error)[0] == code
    with pytest.raises(ClientError) as error:
        sns.publish(TopicArn=f"{topic}x", Message="m")
    assert refusal(error)[0] == "NotFound"
    assert seen(door, name) == []


def test_code_in_a_function_publishes_and_may_not_subscribe(door: OndolProcess, sns: Any, name: str) -> None:
    topic, _ = subscribed(door, sns, name)
    code = f"""
import boto3
def h(event, context):
    sns = boto3.client("sns")
    sns.publish(TopicArn="{topic}", Message="from inside")
    try:
        sns.subscribe(TopicArn="{topic}", Protocol="lambda", Endpoint=context.invoked_function_arn)
    except Exception as error:
        return str(error)
"""
    create(door.client(), "publisher", code, MemorySize=1769, Timeout=30)
    answer = door.client().invoke(FunctionName="publisher")["Payload"].read()
    assert b"AuthorizationError" in answer
    assert [each["Message"] for each in messages(door, name, 1)] == ["from inside"]


def test_a_destination_of_asynchronous_invocations_is_such_a_topic(door: OndolProcess, sns: Any, name: str) -> None:
    topic, _ = subscribed(door, sns, name)
    create(door.client(), "called", "def h(event, context): return 5", MemorySize=1769)
    door.client().put_function_event_invoke_config(
        FunctionName="called", DestinationConfig={"OnSuccess": {"Destination": topic}}
    )
    door.client().invoke(FunctionName="called", InvocationType="Event", Payload=b"{}")
    assert json.loads(messages(door, name, 1)[0]["Message"])["responsePayload"] == 5
