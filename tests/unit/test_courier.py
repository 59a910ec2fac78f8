"""Records on their way to other servers: the calls that are made, as whom, and what is said when one fails."""

import asyncio
import hashlib
from collections.abc import Callable
from urllib.parse import parse_qs

import msgspec
import pytest
from msgspec.structs import replace
from signatures import verify_signed

from ondol.aws.remote import Remote
from ondol.events.courier import AwsCourier
from ondol.events.deliveries import NotDelivered
from ondol.events.records import Delivery
from ondol.http import HttpCommons, HttpLimits, Request, Response, Server
from ondol.linux.clock import SystemClock
from ondol.model.credentials import SessionCredentials
from ondol.model.endpoint import Endpoint, Endpoints
from ondol.model.function import FunctionKey
from ondol.model.ids import AccountId, Region, RequestId
from ondol.model.sns import Message, MessageAttribute
from ondol.model.time import WallTime
from ondol.triggers.api import BusEntry

FUNCTION = FunctionKey(AccountId("111122223333"), Region("eu-west-1"), "f")
OWN = SessionCredentials("AKIAEXAMPLE", "only the server knows")
SOURCE = "arn:aws:lambda:eu-west-1:111122223333:function:f:$LATEST"
QUEUE = "arn:aws:sqs:us-east-2:444455556666:q"
TOPIC = "arn:aws:sns:eu-west-1:111122223333:t"
BUS = "arn:aws:events:eu-west-1:111122223333:event-bus/b"
BUCKET = "arn:aws:s3:::b"

Answer = Callable[[Request], bytes]


def delivery(destination: str, **attributes: tuple[str, str]) -> Delivery:
    body = '{"version":"1.0"}'
    at = WallTime(1_700_000_000_000)
    return Delivery(RequestId("r"), FUNCTION, SOURCE, destination, body, at, attributes=attributes)


class Own:
    """ondol's own buses, of which none is meant, and its functions that subscribe to topics."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Message]] = []

    async def put(self, bus: str, entry: BusEntry) -> None:
        raise AssertionError(f"{entry} was put on {bus}, and a server is named for that")

    async def published(self, topic: str, message: Message) -> None:
        self.told.append((topic, message))


def send(delivered: Delivery, answer: Answer = lambda _: b"{}", own: Own | None = None) -> list[Request]:
    """What a server is asked that is named for each service, and takes nobody's requests but the configured key's."""
    seen: list[Request] = []

    async def main() -> None:
        clock = SystemClock()

        async def serve(request: Request, response: Response) -> None:
            digest = hashlib.sha256(await request.body.read()).hexdigest()
            claim = verify_signed(request, digest, OWN.secret, clock.wall())
            assert claim.terms.scope.access_key == OWN.access_key
            seen.append(request)
            response.send(200, (), answer(request))

        server = Server(serve, HttpLimits(), HttpCommons(clock))
        [(_, port)] = await server.listen("127.0.0.1", 0)
        endpoints = Endpoints({"events": Endpoint("127.0.0.1", port)}, Endpoint("127.0.0.1", port))
        remote = Remote(endpoints, OWN, clock)
        buses = topics = own or Own()
        try:
            await AwsCourier(remote, endpoints, buses, topics, lambda: "id").send(delivered)
        finally:
            remote.close()
            await server.drain(1)

    asyncio.run(main())
    return seen


def body_of(request: Request) -> bytes:
    assert request.body.whole is not None
    return request.body.whole


def test_a_queue_is_found_in_its_own_account_and_region() -> None:
    looked_up, sent = send(delivery(QUEUE, Kind=("String", "x")), lambda _: b'{"QueueUrl": "http://there/q"}')
    assert msgspec.json.decode(body_of(looked_up)) == {"QueueName": "q", "QueueOwnerAWSAccountId": "444455556666"}
    assert "/us-east-2/sqs/" in looked_up.headers["authorization"]
    assert msgspec.json.decode(body_of(sent)) == {
        "QueueUrl": "http://there/q",
        "MessageBody": '{"version":"1.0"}',
        "MessageAttributes": {"Kind": {"DataType": "String", "StringValue": "x"}},
    }


def test_a_topic_is_told_the_attributes_too_and_so_are_functions() -> None:
    own = Own()
    [request] = send(delivery(TOPIC, Kind=("String", "x"), Code=("Number", "200")), own=own)
    [(topic, message)] = own.told
    assert (topic, message.attributes["Code"]) == (TOPIC, MessageAttribute("Number", "200"))
    assert {name: value for name, [value] in parse_qs(body_of(request).decode()).items()} == {
        "Action": "Publish",
        "Version": "2010-03-31",
        "TopicArn": TOPIC,
        "Message": '{"version":"1.0"}',
        "MessageAttributes.entry.1.Name": "Kind",
        "MessageAttributes.entry.1.Value.DataType": "String",
        "MessageAttributes.entry.1.Value.StringValue": "x",
        "MessageAttributes.entry.2.Name": "Code",
        "MessageAttributes.entry.2.Value.DataType": "Number",
        "MessageAttributes.entry.2.Value.StringValue": "200",
    }


def test_a_bus_of_a_server_that_is_named_gets_an_event() -> None:
    [request] = send(delivery(BUS), lambda _: b'{"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}')
    assert request.headers["x-amz-target"] == "AWSEvents.PutEvents"
    [entry] = msgspec.json.decode(body_of(request))["Entries"]
    assert (entry["EventBusName"], entry["Source"], entry["Time"]) == (BUS, "lambda", 1_700_000_000)
    assert entry["Resources"] == [BUS, SOURCE]


def test_an_entry_that_a_bus_refuses_is_not_delivered() -> None:
    refusal = b'{"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "Not now."}]}'
    with pytest.raises(NotDelivered, match=r"Not now\. \(InternalFailure\)"):
        send(delivery(BUS), lambda _: refusal)


def test_what_is_nested_too_deeply_for_an_event_is_not_delivered() -> None:
    async def main() -> None:
        clock = SystemClock()
        own = Own()
        courier = AwsCourier(Remote(Endpoints(), OWN, clock), Endpoints(), own, own, lambda: "id")
        await courier.send(replace(delivery(BUS), body='{"responsePayload":' + "[" * 1200 + "]" * 1200 + "}"))

    with pytest.raises(NotDelivered, match="nested too deeply"):
        asyncio.run(main())


def test_an_object_is_named_after_function_and_time() -> None:
    [request] = send(delivery(BUCKET))
    assert request.path == "/b/aws/lambda/async/f/2023/11/14/2023-11-14T22.13.20-id"
    assert "/eu-west-1/s3/" in request.headers["authorization"], "a bucket's ARN names no region: it is the function's"


def test_nothing_else_is_sent_anything() -> None:
    with pytest.raises(NotDelivered, match="nothing is ever sent to the service kinesis"):
        send(delivery("arn:aws:kinesis:eu-west-1:111122223333:stream/s"))
