"""Requests passed on to another server: what reaches it, what comes back, and who may fail meanwhile."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from http_probe import MonotonicClock, Serving, get, on_both_loops, post, serving
from signatures import verify_signed

from ondol.frontend.forwarding import EndpointFailed, Forwarding
from ondol.http import Patience, Request, Response
from ondol.model.endpoint import Endpoint

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(script: Script) -> AsyncIterator[Endpoint]:
    """A server that does what it is told with each connection."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await script(reader, writer)
        writer.close()

    listener = await asyncio.start_server(served, "127.0.0.1", 0)
    try:
        yield Endpoint("127.0.0.1", listener.sockets[0].getsockname()[1])
    finally:
        listener.close()
        await listener.wait_closed()


@asynccontextmanager
async def door(endpoint: Endpoint, stall_s: float = 10, **limits: int) -> AsyncIterator[Serving]:
    """A listener that passes everything on to `endpoint`."""
    forwarding = Forwarding(Patience(stall_s=stall_s))

    async def forward(request: Request, response: Response) -> None:
        try:
            await forwarding.forward(endpoint, request, request.body, response)
        except EndpointFailed as error:
            response.send(error.status, (("X-Code", error.code),), str(error).encode())

    async with serving(forward, **limits) as running:
        yield running


def answering(answer: bytes, received: list[bytes] | None = None, body: int = 0) -> Script:
    """Reads a head and so many bytes after it, then says `answer`."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if received is not None:
            received.append(head + await reader.readexactly(body))
        writer.write(answer)
        await writer.drain()

    return script


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@on_both_loops
def test_what_a_signature_covers_arrives_as_it_was_sent(run):
    async def scenario():
        received: list[bytes] = []
        async with server(answering(OK, received, body=5)) as endpoint, door(endpoint) as running:
            fields = (
                "X-Amz-Date: 1\r\nX-A: one\r\nX-A: two\r\nConnection: X-Private, content-length\r\nX-Private: 1\r\n"
            )
            reply = await running.ask(post(b"hello", fields, "/b/%C3%A4%2F+//x?a=%20&b&X=y%3D"))
            assert (reply.status, reply.body) == (200, b"ok")
        [request] = received
        lines = request.decode().split("\r\n")
        assert lines[0] == "POST /b/%C3%A4%2F+//x?a=%20&b&X=y%3D HTTP/1.1"
        assert set(lines[1:-2]) == {
            "host: test",
            "x-amz-date: 1",
            "x-a: one, two",
            "content-length: 5",
            "Connection: close",
        }
        assert lines[-1] == "hello"

    run(scenario())


@on_both_loops
def test_the_answer_is_passed_on_as_it_is(run):
    async def scenario():
        answer = (
            b"HTTP/1.1 100 Continue\r\n\r\n"
            b"HTTP/1.1 404 Not Found\r\nx-amz-request-id: 1\r\nSet-Cookie: a\r\nContent-Encoding: gzip\r\n"
            b"Date: yesterday\r\nKeep-Alive: 3\r\nX-Hop: 1\r\nConnection: keep-alive, x-hop\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )
        async with server(answering(answer)) as endpoint, door(endpoint) as running:
            reply = await running.ask(get())
        assert (reply.status, reply.body) == (404, b"abcde")
        assert reply.headers["x-amz-request-id"] == "1"
        assert reply.headers["content-encoding"] == "gzip"
        assert reply.headers["date"] != "yesterday"
        assert not {"connection", "keep-alive", "x-hop"} & reply.headers.keys()

    run(scenario())


@on_both_loops
def test_answers_without_a_body_and_without_a_length(run):
    async def scenario():
        until_end = b"HTTP/1.1 200 OK\r\nX: 1\r\n\r\nall of it"
        length = b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"
        async with server(answering(until_end)) as endpoint, door(endpoint) as running:
            assert (await running.ask(get())).body == b"all of it"
        async with server(answering(length)) as endpoint, door(endpoint) as running:
            client = await running.connect()
            for _ in range(2):
                client.send(b"HEAD /b/k HTTP/1.1\r\nHost: a\r\n\r\n")
                reply = await client.reply(to_head=True)
                assert (reply.status, reply.headers["content-length"]) == (200, "1234")
        async with server(answering(b"HTTP/1.1 204 No Content\r\n\r\n")) as endpoint, door(endpoint) as running:
            assert (await running.ask(get())).status == 204

    run(scenario())


@on_both_loops
def test_a_chunked_upload_stays_chunked_and_is_asked_to_go_on(run):
    async def scenario():
        received: list[bytes] = []
        framed = b"3\r\nabc\r\n0\r\n\r\n"
        async with server(answering(OK, received, body=len(framed))) as endpoint, door(endpoint) as running:
            client = await running.connect()
            client.send(b"PUT /b/k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
            assert (await client.head())[0] == 100
            client.send(framed)
            assert (await client.reply()).status == 200
        assert received[0].endswith(framed)
        assert b"Transfer-Encoding: chunked" in received[0] and b"expect" not in received[0].lower()

    run(scenario())


@on_both_loops
def test_an_upload_is_held_back_by_a_server_that_does_not_read(run):
    async def scenario():
        go_on = asyncio.Event()
        size = 60_000_000

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await go_on.wait()
            left = size
            while left:
                left -= len(await reader.read(1 << 20))
            writer.write(OK)
            await writer.drain()

        async with server(slow) as endpoint, door(endpoint) as running:
            client = await running.connect()
            client.send(b"PUT /b/k HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
            still, before = 0, -1
            while still < 500:
                await asyncio.sleep(0)
                left = client.writer.transport.get_write_buffer_size()
                still = still + 1 if left == before else 0
                before = left
            # What is not with the client any more lies in four sockets' buffers, not in our memory.
            assert left > size // 2
            go_on.set()
            assert (await client.reply()).body == b"ok"

    run(scenario())


@on_both_loops
def test_a_download_is_held_back_by_a_client_that_does_not_read(run):
    async def scenario():
        size = 60_000_000
        writers: list[asyncio.StreamWriter] = []

        async def fast(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writers.append(writer)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
            await writer.drain()

        async with server(fast) as endpoint, door(endpoint) as running:
            client = await running.connect()
            client.send(get())
            await client.head()
            still, before = 0, -1
            while still < 500:
                await asyncio.sleep(0)
                left = writers[0].transport.get_write_buffer_size() if writers else 0
                still = still + 1 if left == before else 0
                before = left
            assert left > size // 2
            assert len(await client.reader.readexactly(size)) == size

    run(scenario())


@on_both_loops
def test_a_server_that_is_gone_is_502_and_the_connection_stays(run):
    async def scenario():
        async with server(answering(OK)) as endpoint:
            pass
        async with door(endpoint) as running:
            client = await running.connect()
            for _ in range(2):
                client.send(post(b"hello"))
                reply = await client.reply()
                assert (reply.status, reply.headers["x-code"]) == (502, "EndpointUnavailable")
                assert f"{endpoint}".encode() in reply.body

    run(scenario())


@on_both_loops
def test_a_server_that_says_nonsense_or_hangs_up_is_502(run):
    async def scenario():
        for answer in (b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 999 Odd\r\n\r\n"):
            async with server(answering(answer)) as endpoint, door(endpoint) as running:
                assert (await running.ask(get())).status == 502, answer
        huge = b"HTTP/1.1 200 OK\r\n" + b"X: %b\r\n" % (b"y" * 60_000) * 4
        async with server(answering(huge)) as endpoint, door(endpoint) as running:
            assert (await running.ask(get())).status == 502

    run(scenario())


@on_both_loops
def test_an_answer_that_breaks_off_is_not_taken_for_whole(run):
    async def scenario():
        for framing in (b"Content-Length: 10\r\n\r\nhal", b"Transfer-Encoding: chunked\r\n\r\n3\r\nhal\r\n"):
            async with server(answering(b"HTTP/1.1 200 OK\r\n" + framing)) as endpoint, door(endpoint) as running:
                client = await running.connect()
                client.send(get())
                assert (await client.head())[0] == 200
                rest = b""
                with contextlib.suppress(ConnectionError):
                    rest = await client.reader.read()
                assert not rest.endswith(b"0\r\n\r\n") and len(rest) < 10

    run(scenario())


@on_both_loops
def test_a_server_that_does_not_answer_is_504_and_the_connection_stays(run):
    async def scenario():
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(-1)

        async with server(silent) as endpoint, door(endpoint, stall_s=0.05) as running:
            client = await running.connect()
            for _ in range(2):
                client.send(post(b"hello"))
                reply = await client.reply()
                assert (reply.status, reply.headers["x-code"]) == (504, "EndpointTimeout")

    run(scenario())


@on_both_loops
def test_a_client_that_goes_away_ends_the_exchange(run):
    async def scenario():
        asked, ended = asyncio.Event(), asyncio.Event()

        async def watching(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            with contextlib.suppress(ConnectionError):
                await reader.read(-1)
            ended.set()

        for request in (get(), b"PUT /b/k HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf"):
            asked.clear()
            ended.clear()
            async with server(watching) as endpoint, door(endpoint) as running:
                client = await running.connect()
                client.send(request)
                await asked.wait()
                await client.close()
                await ended.wait()

    run(scenario())


@on_both_loops
def test_an_answer_that_comes_before_the_upload_is_over_is_passed_on(run):
    async def scenario():
        refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
        async with server(answering(refusal)) as endpoint, door(endpoint) as running:
            client = await running.connect()
            client.send(b"PUT /b/k HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf")
            reply = await client.reply()
            assert (reply.status, reply.body) == (403, b"no")
            assert reply.headers["connection"] == "close"

    run(scenario())


@on_both_loops
def test_a_server_that_verifies_signatures_finds_them_good(run):
    async def scenario():
        verified: list[str] = []

        async def verifying(request: Request, response: Response) -> None:
            digest = hashlib.sha256(await request.body.read()).hexdigest()
            verify_signed(request, digest, "secret", MonotonicClock().wall())
            verified.append(request.headers["host"])
            response.send(200, (), b"verified")

        async with serving(verifying) as upstream, door(Endpoint("127.0.0.1", upstream.port)) as running:
            url = f"http://localhost:{running.port}/bucket/k%20%C3%A4%2Fx?list-type=2&prefix=a%2Fb%20c"
            request = AWSRequest("PUT", url, {"X-Amz-Meta-Name": "a   b", "Content-Type": "text/plain"}, b"content")
            S3SigV4Auth(Credentials("key", "secret"), "s3", "us-east-1").add_auth(request)
            request.headers["Host"] = f"localhost:{running.port}"
            fields = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
            head = f"PUT {url.partition(str(running.port))[2]} HTTP/1.1\r\n{fields}Content-Length: 7\r\n\r\n"
            assert (await running.ask(head.encode() + b"content")).body == b"verified"
            assert verified == [f"localhost:{running.port}"]

    run(scenario())


@on_both_loops
def test_an_answer_can_be_had_whole_before_the_client_has_it(run):
    async def scenario():
        forwarding = Forwarding(Patience(stall_s=10))
        got: list[tuple[int, str | None, bytes]] = []

        async def gather(request: Request, response: Response) -> None:
            try:
                answer = await forwarding.gather(endpoint, request, request.body)
            except EndpointFailed as error:
                response.send(error.status, (("X-Code", error.code),))
            else:
                got.append((answer.status, answer.field("etag"), answer.body))
                answer.send(response)

        received: list[bytes] = []
        chunks = (
            b"HTTP/1.1 201 Created\r\nETag: e\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )
        async with server(answering(chunks, received, body=5)) as endpoint, serving(gather) as running:
            reply = await running.ask(post(b"hello", "X-A: one\r\n", "/b/k?x=y"))
            assert (reply.status, reply.body, reply.headers["etag"]) == (201, b"abcde", "e")
            assert got == [(201, "e", b"abcde")]
            assert received[0].startswith(b"POST /b/k?x=y HTTP/1.1\r\n") and received[0].endswith(b"hello")
        too_much = b"HTTP/1.1 200 OK\r\nContent-Length: 8388609\r\n\r\n" + b"x" * 8_388_609
        for answer in (too_much, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b""):
            async with server(answering(answer)) as endpoint, serving(gather) as running:
                reply = await running.ask(get())
                assert (reply.status, reply.headers["x-code"]) == (502, "EndpointUnavailable")

    run(scenario())
