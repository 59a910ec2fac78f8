"""ondol as a client of other AWS services: requests to the servers in `[endpoints]`, signed, and their answers.

It knows the three ways in which those services are asked (JSON, query and REST) and how each words an error. It must
not know what the operations do.
"""

import base64
import hashlib
import ssl
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from ondol.aws.signing import Credentials, sign
from ondol.http import AnswerHead, Calls, HttpError, ServerGone, ServerSlow
from ondol.model.credentials import SessionCredentials
from ondol.model.endpoint import Broker, Endpoint, Endpoints
from ondol.model.ids import AccountId, Region
from ondol.model.time import Clock

TIMEOUT_S = 30.0

_SECRET = "ondol"
"""Servers for development know nobody's secret, and take any."""

_FORM = "application/x-www-form-urlencoded; charset=utf-8"


class JsonProtocol(msgspec.Struct, frozen=True):
    """How a service of the JSON protocols is asked."""

    service: str
    target: str
    """What precedes the operation in X-Amz-Target."""

    version: str


SQS = JsonProtocol("sqs", "AmazonSQS", "1.0")
KINESIS = JsonProtocol("kinesis", "Kinesis_20131202", "1.1")
EVENTS = JsonProtocol("events", "AWSEvents", "1.1")
SECRETS_MANAGER = JsonProtocol("secretsmanager", "secretsmanager", "1.1")
DYNAMODB_STREAMS = JsonProtocol("dynamodb", "DynamoDBStreams_20120810", "1.0")


class RemoteError(Exception):
    """The service refused: its error code, without namespace, and its words."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message
        self.status = status


class RemoteUnavailable(Exception):
    """The service could not be asked: no server is configured for it, or that one does not answer."""


T = TypeVar("T")


def understood(answer: Mapping[str, Any], kind: type[T]) -> T:
    """What an answer says. Raises `RemoteUnavailable` where it is not what the service promises: who says such things
    is another server than the one that is meant, or one in front of it."""
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise RemoteUnavailable(f"the server answered what cannot be understood: {error}") from error


class Remote:
    """All services that are not ondol's own. `close` ends its connections.

    Signs with `credentials`; without any as the account itself, which servers for development take.
    """

    def __init__(self, endpoints: Endpoints, credentials: SessionCredentials | None, clock: Clock) -> None:
        self._endpoints = endpoints
        self._credentials = credentials
        self._clock = clock
        self._calls: dict[Endpoint, Calls] = {}

    def broker(self, arn: str) -> Broker | None:
        """Where this message broker is, if that is configured."""
        return self._endpoints.brokers.get(arn)

    async def call(
        self,
        protocol: JsonProtocol,
        account: AccountId,
        region: Region,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> dict[str, Any]:
        """The result of one operation. Raises `RemoteError` and `RemoteUnavailable`."""
        headers = {
            "content-type": f"application/x-amz-json-{protocol.version}",
            "x-amz-target": f"{protocol.target}.{operation}",
        }
        body = msgspec.json.encode(parameters)
        answer = await self._send(protocol.service, account, region, headers=headers, body=body, timeout_s=timeout_s)
        try:
            return msgspec.json.decode(answer, type=dict[str, Any]) if answer else {}
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RemoteUnavailable(f"the server of {protocol.service} answered {operation} with {error}") from error

    async def query(self, service: str, account: AccountId, region: Region, form: Mapping[str, str]) -> None:
        """One operation of a query service, whose result nobody needs. Raises as `call`."""
        body = urlencode(form).encode()
        await self._send(service, account, region, headers={"content-type": _FORM}, body=body)

    async def put_object(self, account: AccountId, region: Region, bucket: str, key: str, body: bytes) -> None:
        """Raises as `call`."""
        headers = {"content-type": "application/json"}
        path = quote(f"/{bucket}/{key}", safe="/-_.~")
        await self._send("s3", account, region, headers=headers, body=body, method="PUT", path=path)

    async def put_notifications(self, account: AccountId, region: Region, bucket: str, document: bytes) -> None:
        """PutBucketNotificationConfiguration. Raises as `call`."""
        digest = base64.b64encode(hashlib.md5(document, usedforsecurity=False).digest()).decode()
        headers = {"content-type": "application/xml", "content-md5": digest}
        path = quote(f"/{bucket}", safe="/-_.~")
        await self._send(
            "s3", account, region, headers=headers, body=document, method="PUT", path=path, query="notification="
        )

    async def object_size(self, account: AccountId, region: Region, bucket: str, key: str) -> int:
        """Of an object of S3, in bytes. Raises as `call`."""
        path = quote(f"/{bucket}/{key}", safe="/-_.~")
        head, _ = await self._exchange("s3", account, region, headers={}, body=b"", method="HEAD", path=path)
        return head.length or 0

    def close(self) -> None:
        for calls in self._calls.values():
            calls.close()

    async def _send(self, service: str, account: AccountId, region: Region, **request: Any) -> bytes:
        """The body of an answer."""
        _, answer = await self._exchange(service, account, region, **request)
        return answer

    async def _exchange(
        self,
        service: str,
        account: AccountId,
        region: Region,
        *,
        headers: Mapping[str, str],
        body: bytes,
        method: str = "POST",
        path: str = "/",
        query: str = "",
        timeout_s: float = TIMEOUT_S,
    ) -> tuple[AnswerHead, bytes]:
        endpoint = self._endpoints.of(service)
        if endpoint is None:
            raise RemoteUnavailable(
                f"no server is configured for {service}: name one in ondol.toml under [endpoints], as "
                f'{service} = "http://127.0.0.1:PORT", or start ondol with: ondol up --with moto'
            )
        own = self._credentials or SessionCredentials(account, _SECRET)
        fields = {"host": str(endpoint).partition("://")[2], **headers}
        fields |= sign(
            method,
            path,
            query,
            fields,
            body,
            credentials=Credentials(own.access_key, own.secret, own.token or None),
            region=region,
            service=service,
            now=self._clock.wall(),
        )
        fields["content-length"] = str(len(body))
        try:
            head, answer = await self._calls_to(endpoint).call(
                method, f"{path}?{query}" if query else path, fields.items(), body, timeout_s
            )
        except (ServerGone, ServerSlow) as error:
            raise RemoteUnavailable(f"the server at {endpoint} failed: {error}") from error
        except HttpError as error:
            raise RemoteUnavailable(f"the server at {endpoint} answered what is no HTTP: {error}") from error
        if not 200 <= head.status < 300:
            raise _error(head, answer)
        return head, answer

    def _calls_to(self, endpoint: Endpoint) -> Calls:
        calls = self._calls.get(endpoint)
        if calls is None:
            tls = ssl.create_default_context() if endpoint.tls else None
            calls = self._calls[endpoint] = Calls(endpoint.host, endpoint.port, tls)
        return calls


class _JsonError(msgspec.Struct):
    type: str = msgspec.field(default="", name="__type")
    message: str = ""
    capital_message: str = msgspec.field(default="", name="Message")


def _error(head: AnswerHead, body: bytes) -> RemoteError:
    try:
        said = msgspec.json.decode(body, type=_JsonError)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = _JsonError(_between(body, b"<Code>", b"</Code>"), _between(body, b"<Message>", b"</Message>"))
    code = said.type.rpartition("#")[2] or f"status {head.status}"
    # Services that once had the query protocol still name an error as that did.
    queried = next((value for name, value in head.fields if name.lower() == "x-amzn-query-error"), "")
    return RemoteError(queried.partition(";")[0] or code, said.message or said.capital_message, head.status)


def _between(text: bytes, start: bytes, end: bytes) -> str:
    return text.partition(start)[2].partition(end)[0].decode(errors="replace")
