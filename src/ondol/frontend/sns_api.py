"""SNS passing the door: functions that subscribe to topics, and what is published to them.

Topics, and subscriptions of other protocols, are the server's behind; those of functions ondol keeps. An answer to what
is published is sent once the invocations that follow are on disk.
"""

import asyncio
from typing import NamedTuple

from ondol.aws.protocols import Protocol, failure
from ondol.aws.remote import Remote, RemoteError, RemoteUnavailable
from ondol.aws.sns_requests import (
    answered,
    attributes_of,
    batch_of,
    element,
    entries,
    form_of,
    message_of,
    with_subscriptions,
)
from ondol.aws.xml_documents import MalformedXml, at, parse_xml, text
from ondol.background import SLOW_BYTES
from ondol.frontend.answers import send_reply
from ondol.frontend.forwarding import Forwarding, WholeAnswer
from ondol.frontend.passing import Passing, TooLong, once
from ondol.model.errors import PlatformError
from ondol.triggers.api import Subscription, SubscriptionRefused, Topics

_REQUEST_BYTES = 4_194_304
"""A batch of 256 KB, percent-encoded."""

_FUNCTIONS = "lambda"
_LISTED = ("SubscriptionArn", "Owner", "Protocol", "Endpoint", "TopicArn")


class _Asked(NamedTuple):
    """A request that has been read."""

    passing: Passing
    form: dict[str, str]
    body: bytes

    @property
    def topic(self) -> str:
        return self.form.get("TopicArn") or self.form.get("TargetArn", "")

    def answer(self, operation: str, result: str = "") -> None:
        send_reply(self.passing.response, answered(operation, self.passing.request_id, result))

    def refuse(self, status: int, code: str, message: str) -> None:
        send_reply(self.passing.response, failure(Protocol.XML, status, code, message, self.passing.request_id))


class SnsApi:
    def __init__(self, topics: Topics, forwarding: Forwarding, remote: Remote) -> None:
        self._topics = topics
        self._forwarding = forwarding
        self._remote = remote

    async def serve(self, passing: Passing) -> None:
        """Answer as the server does, with what ondol has. Raises `EndpointFailed`, and what the body raises."""
        asked = _Asked(passing, {}, b"")
        try:
            body = await passing.read(_REQUEST_BYTES)
            query = passing.request.query
            slow = len(body) > SLOW_BYTES
            form = await asyncio.to_thread(form_of, query, body) if slow else form_of(query, body)
            asked = _Asked(passing, form, body)
            await self._serve(asked)
        except TooLong:
            asked.refuse(413, "RequestEntityTooLarge", f"A request has {_REQUEST_BYTES} bytes at most.")
        except SubscriptionRefused as error:
            asked.refuse(error.status, error.code, str(error))
        except RemoteError as error:
            asked.refuse(error.status, error.code, error.message)
        except (PlatformError, RemoteUnavailable, MalformedXml) as error:
            asked.refuse(500, "InternalError", str(error))

    async def _serve(self, asked: _Asked) -> None:
        form = asked.form
        kept = self._topics.get(form.get("SubscriptionArn", ""))
        match form.get("Action"):
            case "Subscribe" if form.get("Protocol", "").lower() == _FUNCTIONS:
                await self._subscribe(asked)
            case "Unsubscribe" if kept is not None:
                _refuse_sandbox(asked)
                await self._topics.unsubscribe(kept.arn)
                asked.answer("Unsubscribe")
            case "GetSubscriptionAttributes" if kept is not None:
                asked.answer("GetSubscriptionAttributes", f"<Attributes>{entries(kept.attributes)}</Attributes>")
            case "SetSubscriptionAttributes" if kept is not None:
                _refuse_sandbox(asked)
                await self._topics.set_attribute(
                    kept.arn, form.get("AttributeName", ""), form.get("AttributeValue", "")
                )
                asked.answer("SetSubscriptionAttributes")
            case "ListSubscriptions":
                await self._list(asked, self._topics.of_owner(asked.passing.owner))
            case "ListSubscriptionsByTopic":
                await self._list(asked, self._topics.of_topic(asked.topic))
            case "DeleteTopic":
                answer = await self._gather(asked)
                if answer.succeeded:
                    await self._topics.forget_topic(asked.topic)
                answer.send(asked.passing.response)
            case "Publish" | "PublishBatch" as action:
                answer = await self._gather(asked)
                if answer.succeeded:
                    await self._published(asked, action, answer)
                answer.send(asked.passing.response)
            case _:
                passing = asked.passing
                await self._forwarding.forward(passing.endpoint, passing.request, once(asked.body), passing.response)

    async def _gather(self, asked: _Asked) -> WholeAnswer:
        return await asked.passing.gathered(self._forwarding, asked.body)

    async def _subscribe(self, asked: _Asked) -> None:
        _refuse_sandbox(asked)
        owner, form = asked.passing.owner, asked.form
        # Whether there is such a topic is the server's to say.
        question = {"Action": "GetTopicAttributes", "Version": "2010-03-31", "TopicArn": asked.topic}
        await self._remote.query("sns", owner.account, owner.region, question)
        function = form.get("Endpoint", "")
        arn = await self._topics.subscribe(owner, asked.topic, function, attributes_of(form))
        asked.answer("Subscribe", element("SubscriptionArn", arn))

    async def _list(self, asked: _Asked, own: list[Subscription]) -> None:
        answer = await self._gather(asked)
        if not answer.succeeded or not own:
            answer.send(asked.passing.response)
            return
        shown = [{name: each.attributes[name] for name in _LISTED} for each in own]
        body = with_subscriptions(answer.body, shown)
        asked.passing.response.send(answer.status, answer.fields, body)

    async def _published(self, asked: _Asked, action: str, answer: WholeAnswer) -> None:
        root, trace = parse_xml(answer.body), asked.passing.trace
        if action == "Publish":
            id = text(root, "PublishResult", "MessageId") or ""
            await self._topics.published(asked.topic, message_of(asked.form, id, trace))
            return
        prefixes = batch_of(asked.form)
        taken = at(root, "PublishBatchResult", "Successful", "member")
        ids = [(text(each, "Id") or "", text(each, "MessageId") or "") for each in taken]
        messages = [message_of(asked.form, id, trace, prefixes[own]) for own, id in ids if own in prefixes]
        await asyncio.gather(*(self._topics.published(asked.topic, each) for each in messages))


def _refuse_sandbox(asked: _Asked) -> None:
    if asked.passing.sandboxed:
        raise SubscriptionRefused(
            "Code in a function may not change which functions a topic invokes.", "AuthorizationError", 403
        )
