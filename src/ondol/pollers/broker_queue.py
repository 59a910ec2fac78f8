"""One queue of a RabbitMQ broker, as a client of it (AMQP 0-9-1): where it is, who we are there, what comes of it.

A broker's address is configured by its ARN. Name and password are in the address, or in the secret that the mapping
names, which the server of `[endpoints]` for `secretsmanager` has.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import quote

import aiormq
import msgspec
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    ConnectionNotAllowed,
    ProbableAuthenticationError,
)

from ondol.aws.remote import SECRETS_MANAGER, Remote, RemoteError, RemoteUnavailable, understood
from ondol.model.endpoint import Broker
from ondol.pollers.api import BrokerSettings, SourceRefused
from ondol.pollers.broker_events import BrokerMessage, message_of
from ondol.pollers.sources import Source

CONNECT_S = 10.0
HEARTBEAT_S = 30

# What fails is told by whoever asked, once; the client would say it each time.
logging.getLogger("aiormq").setLevel(logging.CRITICAL)

_REFUSALS = (AuthenticationError, ProbableAuthenticationError, ChannelAccessRefused, ConnectionNotAllowed)
_FAILURES = (AMQPError, ChannelInvalidStateError, OSError, TimeoutError, asyncio.CancelledError)


class _Secret(msgspec.Struct):
    username: str
    password: str


class _SecretValue(msgspec.Struct):
    text: str = msgspec.field(default="", name="SecretString")


class Deliveries:
    """What a consumer of the queue has been sent, and what it says to that."""

    def __init__(self, channel: AbstractChannel, changed: Callable[[], None]) -> None:
        self._channel = channel
        self._changed = changed
        self._come: list[BrokerMessage] = []
        self.lost = False
        """No more come: the connection is gone, or the broker has cancelled us."""

    def take(self) -> list[BrokerMessage]:
        """What has come since it was asked last, in order."""
        come, self._come = self._come, []
        return come

    async def acknowledge(self, message: BrokerMessage, *, and_before: bool = False) -> None:
        """It is done with, and if so said all that came before it. Raises `RemoteUnavailable`."""
        with _failing():
            await self._channel.basic_ack(message.tag, multiple=and_before)

    async def drop(self, message: BrokerMessage) -> None:
        """It goes to the queue's dead-letter exchange, if there is one. Raises `RemoteUnavailable`."""
        with _failing():
            await self._channel.basic_reject(message.tag, requeue=False)

    async def came(self, delivered: DeliveredMessage) -> None:
        properties = dict(delivered.header.properties)
        tag, redelivered = delivered.delivery_tag or 0, bool(delivered.redelivered)
        self._come.append(message_of(tag, redelivered, properties, delivered.body))
        self._changed()

    def ended(self, _: object) -> None:
        self.lost = True
        self._changed()


class BrokerQueue:
    """Methods raise `SourceRefused` where the broker will not have us, and `RemoteUnavailable`."""

    def __init__(self, remote: Remote, source: Source, arn: str, settings: BrokerSettings) -> None:
        self._remote = remote
        self._source = source
        self._arn = arn
        self._settings = settings

    async def check(self) -> None:
        """Whether it is there, and we may read it."""
        async with self._channel() as channel:
            await self._declare(channel)

    @asynccontextmanager
    async def consume(self, most: int, changed: Callable[[], None]) -> AsyncIterator[Deliveries]:
        """Have messages sent, with at most so many of them unsettled. The broker takes back what is, at the end.

        `changed` is called when some have come, and when no more do.
        """
        async with self._channel() as channel:
            deliveries = Deliveries(channel, changed)
            await self._declare(channel)
            channel.closing.add_done_callback(deliveries.ended)
            channel.connection.closing.add_done_callback(deliveries.ended)
            channel.on_consumer_cancel_callbacks.add(deliveries.ended)
            with _failing():
                await channel.basic_qos(prefetch_count=most)
                await channel.basic_consume(self._settings.queue, deliveries.came)
            yield deliveries

    @asynccontextmanager
    async def _channel(self) -> AsyncIterator[AbstractChannel]:
        connection = await self._connect()
        try:
            with _failing():
                channel = await connection.channel(publisher_confirms=False)
            yield channel
        finally:
            with suppress(AMQPError, OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_S):
                    await connection.close()

    async def _connect(self) -> AbstractConnection:
        broker = self._remote.broker(self._arn)
        if broker is None:
            raise RemoteUnavailable(
                f"no address is configured for this broker: write one into ondol.toml under [endpoints], as "
                f'"{self._arn}" = "amqp://127.0.0.1:5672"'
            )
        user, password = await self._who(broker)
        scheme, address = str(broker).split("://")
        place = quote(self._settings.virtual_host or "/", safe="")
        url = f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{address}/{place}?heartbeat={HEARTBEAT_S}"
        try:
            with _failing():
                async with asyncio.timeout(CONNECT_S):
                    return await aiormq.connect(url)
        except RemoteUnavailable as error:
            if isinstance(error.__cause__, _REFUSALS):
                raise SourceRefused(f"The broker at {broker} does not let {user} in: {error}") from error
            raise RemoteUnavailable(f"the broker at {broker} does not answer: {error}") from error

    async def _who(self, broker: Broker) -> tuple[str, str]:
        if broker.user is not None:
            return broker.user, broker.password
        secret, source = self._settings.secret, self._source
        try:
            answer = await self._remote.call(
                SECRETS_MANAGER, source.account, source.region, "GetSecretValue", {"SecretId": secret}
            )
            found = msgspec.json.decode(understood(answer, _SecretValue).text, type=_Secret)
        except RemoteError as error:
            raise SourceRefused(f"The secret {secret} cannot be read: {error}") from error
        except msgspec.MsgspecError as error:
            raise SourceRefused(f"The secret {secret} is no JSON with a username and a password.") from error
        return found.username, found.password

    async def _declare(self, channel: AbstractChannel) -> None:
        try:
            with _failing():
                await channel.queue_declare(self._settings.queue, passive=True)
        except RemoteUnavailable as error:
            if isinstance(error.__cause__, ChannelNotFoundEntity | ChannelAccessRefused):
                raise SourceRefused(f"The queue {self._settings.queue} cannot be read: {error}") from error
            raise


@contextmanager
def _failing() -> Iterator[None]:
    """What goes wrong is that the broker cannot be asked. The client cancels who waits when a connection ends."""
    try:
        yield
    except _FAILURES as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        raise RemoteUnavailable(str(error) or type(error).__name__) from error
