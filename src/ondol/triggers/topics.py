"""Functions that subscribe to topics, and what they get of each message.

Source: SNS developer guide, "Fanout to Lambda functions"; developer guide, "Invoking Lambda functions with Amazon SNS
notifications". Unconfirmed: in which words a parameter is refused. Messages are not signed: there is no certificate
whose owner anybody would trust.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from ondol.aws.moments import to_the_millisecond
from ondol.model.ids import AccountId
from ondol.model.sns import Message
from ondol.model.time import Clock, WallTime
from ondol.triggers.api import Owner, SubscriptionRefused
from ondol.triggers.api import Subscription as ShownSubscription
from ondol.triggers.invoking import Invoking, Source, is_function
from ondol.triggers.records import Subscription
from ondol.triggers.registry import Registry
from ondol.triggers.subscription_filters import ATTRIBUTES, BODY, InvalidPolicy, check_policy, passes

SERVICE = "sns.amazonaws.com"

_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]{1,64}:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?", re.ASCII)

_SETTABLE = ("FilterPolicy", "FilterPolicyScope")
_MEANINGLESS = {"RawMessageDelivery": "false", "DeliveryPolicy": ""}
"""What says nothing new of a function."""


class TopicSubscriptions:
    """`Topics`."""

    def __init__(
        self, subscriptions: Registry[Subscription], invoking: Invoking, clock: Clock, new_id: Callable[[], str]
    ) -> None:
        self._subscriptions = subscriptions
        self._invoking = invoking
        self._clock = clock
        self._new_id = new_id

    def of_topic(self, topic: str) -> list[ShownSubscription]:
        return [_shown(each) for each in self._subscriptions.of((topic,))]

    def of_owner(self, owner: Owner) -> list[ShownSubscription]:
        found = [
            each for _, _, each in self._subscriptions if (each.account, each.region) == (owner.account, owner.region)
        ]
        return [_shown(each) for each in sorted(found, key=_arn)]

    def get(self, arn: str) -> ShownSubscription | None:
        topic, _, name = arn.rpartition(":")
        kept = self._subscriptions.get((topic,), name)
        return None if kept is None else _shown(kept)

    async def subscribe(self, owner: Owner, topic: str, function: str, attributes: Mapping[str, str]) -> str:
        if not is_function(function):
            raise SubscriptionRefused("Invalid parameter: Lambda endpoint ARN")
        if not _TOPIC.fullmatch(topic):
            raise SubscriptionRefused("Invalid parameter: TopicArn")
        if topic.endswith(".fifo"):
            raise SubscriptionRefused("Invalid parameter: Endpoint Reason: FIFO topics reach no functions")
        wanted = Subscription(f"{topic}:{self._new_id()}", topic, function, owner.account, owner.region)
        for name, value in attributes.items():
            wanted = _with_attribute(wanted, name, value)
        _check(wanted)
        for each in self._subscriptions.of((topic,)):
            if each.function == function:
                if replace(each, arn=wanted.arn) != wanted and attributes:
                    raise SubscriptionRefused(
                        "Invalid parameter: Attributes Reason: Subscription already exists with different attributes"
                    )
                return each.arn
        await self._subscriptions.change((topic,), _name(wanted), lambda _: wanted)
        return wanted.arn

    async def set_attribute(self, arn: str, name: str, value: str) -> None:
        def decide(subscription: Subscription | None) -> Subscription | None:
            if subscription is None:
                return None
            changed = _with_attribute(subscription, name, value)
            _check(changed)
            return changed

        topic, _, own = arn.rpartition(":")
        await self._subscriptions.change((topic,), own, decide)

    async def unsubscribe(self, arn: str) -> None:
        topic, _, name = arn.rpartition(":")
        await self._subscriptions.change((topic,), name, lambda _: None)

    async def forget_topic(self, topic: str) -> None:
        await asyncio.gather(
            *(
                self._subscriptions.change((topic,), _name(each), lambda _: None)
                for each in self._subscriptions.of((topic,))
            )
        )

    async def published(self, topic: str, message: Message) -> None:
        parts = topic.split(":")
        if len(parts) < 6:
            return  # A telephone number.
        now, body = self._clock.wall(), body_of(message)
        source = Source(topic, AccountId(parts[4]), SERVICE)
        await asyncio.gather(
            *(
                self._invoking.invoke(each.function, event_of(each, message, body, now), source, trace=message.trace)
                for each in self._subscriptions.of((topic,))
                if passes(each.filter_policy, each.filter_scope, body, message.attributes)
            )
        )


def body_of(message: Message) -> str:
    """What functions get of a message that has a text for each protocol, or one for all."""
    if not message.structured:
        return message.body
    try:
        bodies = msgspec.json.decode(message.body)
    except (msgspec.DecodeError, RecursionError):
        return message.body
    body = bodies.get("lambda", bodies.get("default")) if isinstance(bodies, dict) else None
    return body if isinstance(body, str) else message.body


def event_of(subscription: Subscription, message: Message, body: str, now: WallTime) -> bytes:
    """What the function gets: one record."""
    region = subscription.topic.split(":")[3]
    leave = f"https://sns.{region}.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={subscription.arn}"
    told: dict[str, Any] = {
        "Type": "Notification",
        "MessageId": message.id,
        "TopicArn": subscription.topic,
        "Subject": message.subject,
        "Message": body,
        "Timestamp": to_the_millisecond(now),
        "SignatureVersion": "1",
        "Signature": "",
        "SigningCertUrl": "",
        "UnsubscribeUrl": leave,
        "MessageAttributes": {
            name: {"Type": each.type, "Value": each.value} for name, each in message.attributes.items()
        },
    }
    record = {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription.arn,
        "Sns": told,
    }
    return msgspec.json.encode({"Records": [record]})


def _shown(subscription: Subscription) -> ShownSubscription:
    attributes = {
        "SubscriptionArn": subscription.arn,
        "TopicArn": subscription.topic,
        "Owner": subscription.account,
        "Protocol": "lambda",
        "Endpoint": subscription.function,
        "PendingConfirmation": "false",
        "ConfirmationWasAuthenticated": "true",
        "RawMessageDelivery": "false",
        "SubscriptionPrincipal": f"arn:aws:iam::{subscription.account}:root",
    }
    if subscription.filter_policy is not None:
        attributes["FilterPolicy"] = subscription.filter_policy
        attributes["FilterPolicyScope"] = subscription.filter_scope
    return ShownSubscription(subscription.arn, attributes)


def _with_attribute(subscription: Subscription, name: str, value: str) -> Subscription:
    """Raises `SubscriptionRefused`."""
    if name == "FilterPolicy":
        return replace(subscription, filter_policy=value if value not in {"", "{}"} else None)
    if name == "FilterPolicyScope":
        if value not in {ATTRIBUTES, BODY}:
            raise SubscriptionRefused(f"Invalid parameter: FilterPolicyScope: Invalid value [{value}]")
        return replace(subscription, filter_scope=value)
    if name in _MEANINGLESS and value.lower() == _MEANINGLESS[name]:
        return subscription
    if name == "RawMessageDelivery":
        raise SubscriptionRefused(
            "Invalid parameter: Attributes Reason: Delivery protocol [lambda] does not support raw message delivery."
        )
    raise SubscriptionRefused(
        f"Invalid parameter: {name} cannot be set for functions: ondol has {' and '.join(_SETTABLE)} for them."
    )


def _check(subscription: Subscription) -> None:
    if subscription.filter_policy is not None:
        try:
            check_policy(subscription.filter_policy, subscription.filter_scope)
        except InvalidPolicy as error:
            raise SubscriptionRefused(f"Invalid parameter: FilterPolicy: {error}") from error


def _name(subscription: Subscription) -> str:
    return subscription.arn.rpartition(":")[2]


def _arn(subscription: Subscription) -> str:
    return subscription.arn
