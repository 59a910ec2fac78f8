"""Functions that subscribe to topics: whom a message reaches, and in which form."""

from typing import Any

import pytest
from trigger_world import ACCOUNT, FUNCTION, OWNER, World, scenario

from ondol.aws.sns_requests import attributes_of, batch_of, form_of, message_of, with_subscriptions
from ondol.aws.xml_documents import MalformedXml
from ondol.model.errors import PlatformError
from ondol.model.sns import Message, MessageAttribute
from ondol.triggers.api import SubscriptionRefused
from ondol.triggers.subscription_filters import ATTRIBUTES, BODY, InvalidPolicy, check_policy, passes

TOPIC = f"arn:aws:sns:eu-west-1:{ACCOUNT}:topic"
GIVEN = {
    "colour": MessageAttribute("String", "red"),
    "price": MessageAttribute("Number", "100.5"),
    "tags": MessageAttribute("String.Array", '["a", 1, true]'),
    "raw": MessageAttribute("Binary", "AAEC"),
    "odd": MessageAttribute("Number", "many"),
}


@pytest.mark.parametrize(
    ("policy", "reaches"),
    [
        (None, True),
        ('{"colour": ["red", "blue"]}', True),
        ('{"colour": ["blue"]}', False),
        ('{"colour": [{"anything-but": ["blue"]}], "price": [{"numeric": [">=", 100, "<", 101]}]}', True),
        ('{"price": ["100.5"]}', False),
        ('{"price": [100.5]}', True),
        ('{"tags": ["b", 1]}', True),
        ('{"tags": ["b"]}', False),
        ('{"none": [{"exists": false}]}', True),
        ('{"raw": [{"exists": true}]}', True),
        ('{"odd": [{"numeric": [">", 0]}]}', False),
        ('{"$or": [{"colour": ["blue"]}, {"price": [{"numeric": [">", 1]}]}]}', True),
        ('{"colour": [{"prefix": "r"}, {"suffix": "x"}]}', True),
    ],
)
def test_filters_on_attributes(policy: str | None, reaches: bool) -> None:
    if policy is not None:
        check_policy(policy, ATTRIBUTES)
    assert passes(policy, ATTRIBUTES, "body", GIVEN) is reaches


@pytest.mark.parametrize(
    ("body", "reaches"),
    [('{"a": {"b": 1}}', True), ('{"a": {"b": 2}}', False), ("text", False), ("[1]", False), ("", False)],
)
def test_filters_on_bodies(body: str, reaches: bool) -> None:
    policy = '{"a": {"b": [1]}}'
    check_policy(policy, BODY)
    assert passes(policy, BODY, body, {}) is reaches


@pytest.mark.parametrize(
    ("policy", "scope"),
    [
        ("no", BODY),
        ("[]", BODY),
        ('{"a": "b"}', BODY),
        ('{"a": [{"like": "b"}]}', ATTRIBUTES),
        ('{"a": {"b": ["c"]}}', ATTRIBUTES),
        ('{"a": ["1"], "b": ["1"], "c": ["1"], "d": ["1"], "e": ["1"], "f": ["1"]}', BODY),
    ],
)
def test_what_is_no_policy(policy: str, scope: str) -> None:
    with pytest.raises(InvalidPolicy):
        check_policy(policy, scope)


# What is kept, and who gets what


async def subscribed(world: World, **attributes: str) -> str:
    return await world.service.topics.subscribe(OWNER, TOPIC, FUNCTION.arn, attributes)


@scenario
async def test_a_message_is_an_event_of_one_record_once_that_is_durable(world: World) -> None:
    arn = await subscribed(world)
    await world.restart(down_s=1)
    message = Message("id", "hello", "subject", {"a": MessageAttribute("String", "b")})
    world.neighbours.broken = True
    with pytest.raises(PlatformError):
        await world.service.topics.published(TOPIC, message)
    world.neighbours.broken = False
    await world.service.topics.published(TOPIC, message)
    await world.service.topics.published(f"{TOPIC}2", message)
    await world.service.topics.published("+41790000000", message)
    [event] = world.payloads
    told = event["Records"][0].pop("Sns")
    assert event == {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": arn}]}
    assert told.pop("UnsubscribeUrl").endswith(arn)
    assert told == {
        "Type": "Notification",
        "MessageId": "id",
        "TopicArn": TOPIC,
        "Subject": "subject",
        "Message": "hello",
        "Timestamp": "2026-01-01T00:00:01.000Z",
        "SignatureVersion": "1",
        "Signature": "",
        "SigningCertUrl": "",
        "MessageAttributes": {"a": {"Type": "String", "Value": "b"}},
    }


@pytest.mark.parametrize(
    ("body", "got"),
    [
        ('{"default": "d", "lambda": "l"}', "l"),
        ('{"default": "d", "sqs": "s"}', "d"),
        ("text", "text"),
        ("[]", "[]"),
    ],
)
def test_a_message_may_have_a_text_for_functions(body: str, got: str) -> None:
    @scenario
    async def published(world: World) -> None:
        await subscribed(world)
        await world.service.topics.published(TOPIC, Message("id", body, structured=True))
        assert world.payloads[0]["Records"][0]["Sns"]["Message"] == got

    published()


@scenario
async def test_a_subscription_is_changed_and_ended(world: World) -> None:
    topics = world.service.topics
    arn = await subscribed(world, FilterPolicy='{"colour": ["red"]}')
    assert await subscribed(world, FilterPolicy='{"colour": ["red"]}') == await subscribed(world) == arn
    with pytest.raises(SubscriptionRefused, match="already exists with different attributes"):
        await subscribed(world, FilterPolicy='{"colour": ["blue"]}')
    await topics.published(TOPIC, Message("1", "", attributes={"colour": MessageAttribute("String", "blue")}))
    await topics.set_attribute(arn, "FilterPolicy", "{}")
    await topics.published(TOPIC, Message("2", ""))
    assert [each.arn for each in topics.of_topic(TOPIC)] == [each.arn for each in topics.of_owner(OWNER)] == [arn]
    await topics.unsubscribe(arn)
    assert topics.get(arn) is None
    await subscribed(world)
    await topics.forget_topic(TOPIC)
    await topics.published(TOPIC, Message("3", ""))
    assert [payload["Records"][0]["Sns"]["MessageId"] for payload in world.payloads] == ["2"]


@pytest.mark.parametrize(
    ("topic", "function", "attributes"),
    [
        (TOPIC, "https://example.com", {}),
        (f"{TOPIC}.fifo", FUNCTION.arn, {}),
        (TOPIC, FUNCTION.arn, {"RawMessageDelivery": "true"}),
        (TOPIC, FUNCTION.arn, {"RedrivePolicy": "{}"}),
        (TOPIC, FUNCTION.arn, {"FilterPolicy": "no"}),
        (TOPIC, FUNCTION.arn, {"FilterPolicyScope": "Neither"}),
        (TOPIC, FUNCTION.arn, {"FilterPolicy": '{"a": {"b": ["c"]}}'}),
    ],
)
def test_subscriptions_that_cannot_be(topic: str, function: str, attributes: dict[str, str]) -> None:
    @scenario
    async def refused(world: World) -> None:
        with pytest.raises(SubscriptionRefused):
            await world.service.topics.subscribe(OWNER, topic, function, attributes)
        assert world.service.topics.of_owner(OWNER) == []

    refused()


# On the wire


def test_forms() -> None:
    form = form_of(
        "Action=PublishBatch",
        b"PublishBatchRequestEntries.member.2.Id=b&PublishBatchRequestEntries.member.2.Message=%C3%A4+%26"
        b"&PublishBatchRequestEntries.member.2.MessageAttributes.entry.1.Name=n"
        b"&PublishBatchRequestEntries.member.2.MessageAttributes.entry.1.Value.DataType=Number"
        b"&PublishBatchRequestEntries.member.2.MessageAttributes.entry.1.Value.StringValue=5"
        b"&Attributes.entry.1.key=k&Attributes.entry.1.value=v&Attributes.entry.x.key=z",
    )
    assert form["Action"] == "PublishBatch" and attributes_of(form) == {"k": "v"}
    [(own, prefix)] = batch_of(form).items()
    assert own == "b"
    assert message_of(form, "id", "Root=1", prefix) == Message(
        "id", "ä &", None, {"n": MessageAttribute("Number", "5")}, trace="Root=1"
    )


@pytest.mark.parametrize(
    "inner", ["<Subscriptions/>", "<Subscriptions><member><Owner>o</Owner></member></Subscriptions>"]
)
def test_lists_are_put_together(inner: str) -> None:
    def page(more: str = "") -> bytes:
        return f'<R xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><L>{inner}{more}</L></R>'.encode()

    shown: list[dict[str, Any]] = [{"SubscriptionArn": "a&b"}]
    assert b"a&amp;b" in with_subscriptions(page(), shown)
    assert with_subscriptions(page("<NextToken>t</NextToken>"), shown) == page("<NextToken>t</NextToken>")
    with pytest.raises(MalformedXml):
        with_subscriptions(b"no", shown)
