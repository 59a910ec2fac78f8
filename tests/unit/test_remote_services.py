"""Requests to other services: signed so that a server which verifies takes them, over connections that are kept."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from signatures import verify_signed

from ondol.aws.remote import SQS, Remote, RemoteError, RemoteUnavailable
from ondol.http import HttpCommons, HttpLimits, Peer, Request, Response, Server
from ondol.linux.clock import SystemClock
from ondol.model.endpoint import Endpoint, Endpoints
from ondol.model.ids import AccountId, Region

ACCOUNT, REGION = AccountId("111122223333"), Region("eu-west-1")

Serve = Callable[[Request, Response], None]


def run(serve: Serve, test: Callable[[Remote, int], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = SystemClock()

        async def answer(request: Request, response: Response) -> None:
            await request.body.read()
            serve(request, response)

        server = Server(answer, HttpLimits(), HttpCommons(clock))
        [(_, port)] = await server.listen("127.0.0.1", 0)
        remote = Remote(Endpoints({}, Endpoint("127.0.0.1", port)), None, clock)
        try:
            await test(remote, port)
        finally:
            remote.close()
            await server.drain(1)

    asyncio.run(main())


def test_a_request_is_signed_by_the_account() -> None:
    seen: list[Request] = []

    def serve(request: Request, response: Response) -> None:
        seen.append(request)
        response.send(200, (), b'{"QueueUrl": "u"}')

    async def test(remote: Remote, port: int) -> None:
        assert await remote.call(SQS, ACCOUNT, REGION, "GetQueueUrl", {"QueueName": "q"}) == {"QueueUrl": "u"}
        await remote.put_object(ACCOUNT, REGION, "bucket", "a key/ä:1", b"content")
        for request, body in zip(seen, (b'{"QueueName":"q"}', b"content"), strict=True):
            assert request.body.whole == body
            verify_signed(request, hashlib.sha256(body).hexdigest(), "ondol", SystemClock().wall())
            assert f"Credential={ACCOUNT}/" in request.headers["authorization"]
        assert seen[0].headers["x-amz-target"] == "AmazonSQS.GetQueueUrl"
        assert seen[1].path == "/bucket/a%20key/%C3%A4%3A1"

    run(serve, test)


@asynccontextmanager
async def hanging_up(answer: bytes) -> AsyncIterator[tuple[Remote, list[bytes]]]:
    """A server that says it keeps a connection, and hangs up when the second request comes over it."""
    requests: list[bytes] = []
    serving: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"}"))
        writer.write(answer)
        await reader.read(1)
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    remote = Remote(Endpoints({}, Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])), None, SystemClock())
    yield remote, requests
    remote.close()
    server.close()
    await asyncio.gather(*serving)


def test_a_stale_connection_is_replaced() -> None:
    async def main() -> None:
        async with hanging_up(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as (remote, requests):
            for _ in range(3):
                assert await remote.call(SQS, ACCOUNT, REGION, "ListQueues", {}) == {}
        assert len(requests) == 3

    asyncio.run(main())


def test_an_answer_that_breaks_off_is_not_asked_for_again() -> None:
    async def main() -> None:
        async with hanging_up(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}") as (remote, requests):
            with pytest.raises(RemoteUnavailable):
                await remote.call(SQS, ACCOUNT, REGION, "ListQueues", {}, timeout_s=0.05)
        assert len(requests) == 1

    asyncio.run(main())


def test_a_connection_is_used_again() -> None:
    peers: set[Peer] = set()

    def serve(request: Request, response: Response) -> None:
        peers.add(request.peer)
        response.send(200, (), b"{}")

    async def test(remote: Remote, port: int) -> None:
        for _ in range(3):
            await remote.call(SQS, ACCOUNT, REGION, "ListQueues", {})

    run(serve, test)
    assert len(peers) == 1


@pytest.mark.parametrize(
    ("headers", "body", "code", "message"),
    [
        ((), b'{"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "No."}', "QueueDoesNotExist", "No."),
        ((("x-amzn-query-error", "AWS.Old;Sender"),), b'{"__type": "New", "Message": "No."}', "AWS.Old", "No."),
        ((), b"<Error><Code>NotFound</Code><Message>No.</Message></Error>", "NotFound", "No."),
        ((), b"what", "status 400", ""),
    ],
)
def test_errors_are_read_in_every_form(
    headers: tuple[tuple[str, str], ...], body: bytes, code: str, message: str
) -> None:
    async def test(remote: Remote, port: int) -> None:
        with pytest.raises(RemoteError) as refused:
            await remote.call(SQS, ACCOUNT, REGION, "ListQueues", {})
        assert (refused.value.code, refused.value.message, refused.value.status) == (code, message, 400)

    run(lambda _, response: response.send(400, headers, body), test)


def test_a_server_that_is_not_there_is_named() -> None:
    async def main() -> None:
        remote = Remote(Endpoints({"sqs": Endpoint("127.0.0.1", 1)}), None, SystemClock())
        with pytest.raises(RemoteUnavailable, match=r"127\.0\.0\.1:1"):
            await remote.call(SQS, ACCOUNT, REGION, "ListQueues", {})
        with pytest.raises(RemoteUnavailable, match=r'sns = "http'):
            await remote.query("sns", ACCOUNT, REGION, {})

    asyncio.run(main())


def test_a_server_that_answers_no_json_is_not_to_be_had() -> None:
    async def test(remote: Remote, port: int) -> None:
        with pytest.raises(RemoteUnavailable, match="the server of sqs answered GetQueueUrl with"):
            await remote.call(SQS, ACCOUNT, REGION, "GetQueueUrl", {"QueueName": "q"})

    run(lambda _, response: response.send(200, (), b"<html>"), test)
