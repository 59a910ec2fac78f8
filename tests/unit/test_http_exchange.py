"""Well-formed requests, one after another on a connection: what the handler sees and what the client gets."""

import asyncio
import email.utils
import time

from http_probe import echo, get, on_both_loops, post, serving

from ondol.http import InvalidResponse, Request, Response

MEGABYTES_6 = bytes(range(256)) * (6 * 4096)


@on_both_loops
def test_a_small_post_is_echoed_and_the_connection_serves_the_next(run):
    async def scenario():
        async with serving(echo) as running:
            client = await running.connect()
            for body in (b"one", b"", b"three"):
                client.send(post(body))
                reply = await client.reply()
                assert (reply.status, reply.body) == (200, body)
                assert "connection" not in reply.headers
                sent = email.utils.parsedate_to_datetime(reply.headers["date"]).timestamp()
                assert abs(sent - time.time()) < 10

    run(scenario())


@on_both_loops
def test_the_handler_sees_the_head_as_it_was_sent(run):
    seen: list[Request] = []

    def note(request: Request, response: Response) -> None:
        seen.append(request)
        response.send(204)

    async def scenario():
        async with serving(note) as running:
            client = await running.connect()
            client.send(
                get("/a%2Fb/%E2%9C%93?x=%20&y=1?2", "X-One: a\r\nx-one: b\r\nAccept:\ttext/* \r\nX-L: \xe9\r\n")
            )
            reply = await client.reply()
            assert reply.status == 204
            assert "content-length" not in reply.headers
            client.send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nGET HTTP://Other:80/p?q HTTP/1.1\r\nHost: test\r\n\r\n")
            await client.reply()
            await client.reply()
            client.send(b"GET http://other?q HTTP/1.1\r\nHost: test\r\n\r\n")
            await client.reply()
            own = client.writer.get_extra_info("sockname")
        first, star, absolute, bare = seen
        assert (first.method, first.version) == ("GET", "1.1")
        assert first.target == "/a%2Fb/%E2%9C%93?x=%20&y=1?2"
        assert (first.path, first.query) == ("/a%2Fb/%E2%9C%93", "x=%20&y=1?2")
        # A value is bytes on the wire, UTF-8 here: a character for each of them.
        assert first.headers == {"host": "test", "x-one": "a, b", "accept": "text/*", "x-l": "\xc3\xa9"}
        assert first.peer == own
        assert star.target == star.path == "*"
        assert (absolute.path, absolute.query, absolute.headers["host"]) == ("/p", "q", "Other:80")
        assert (bare.path, bare.query, bare.headers["host"]) == ("/", "q", "other")

    run(scenario())


@on_both_loops
def test_six_megabytes_both_ways_with_a_length(run):
    async def scenario():
        async with serving(echo) as running:
            client = await running.connect()
            for _ in range(2):
                client.send(post(MEGABYTES_6))
                assert (await client.reply()).body == MEGABYTES_6

    run(scenario())


@on_both_loops
def test_six_megabytes_both_ways_in_chunks_with_trailers(run):
    trailers = []

    async def relay(request: Request, response: Response) -> None:
        response.start(200, [("Content-Type", "application/octet-stream")])
        async for piece in request.body:
            response.write(piece)
            await response.drain()
        response.end()
        trailers.append(dict(request.body.trailers))

    async def scenario():
        async with serving(relay) as running:
            client = await running.connect()
            reply = asyncio.create_task(client.reply())
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for at in range(0, len(MEGABYTES_6), 100_000):
                piece = MEGABYTES_6[at : at + 100_000]
                client.send(b"%x;note=1\r\n%b\r\n" % (len(piece), piece))
                await client.writer.drain()
            client.send(b"0\r\nLambda-Runtime-Function-Error-Type: Oops\r\nX-A: 1\r\nX-A: 2\r\n\r\n")
            got = await reply
            assert got.headers["transfer-encoding"] == "chunked"
            assert got.body == MEGABYTES_6
            assert trailers == [{"lambda-runtime-function-error-type": "Oops", "x-a": "1, 2"}]

    run(scenario())


@on_both_loops
def test_a_request_that_arrives_byte_by_byte(run):
    async def scenario():
        async with serving(echo) as running:
            client = await running.connect()
            wire = post(b"hello", "X-Long: some value\r\n", "/a/path?with=query")
            client.writer.transport.get_extra_info("socket")
            for at in range(len(wire)):
                client.send(wire[at : at + 1])
                await client.writer.drain()
                await asyncio.sleep(0)
            assert (await client.reply()).body == b"hello"

    run(scenario())


@on_both_loops
def test_pipelined_requests_are_answered_in_order_though_the_first_is_slow(run):
    started: list[str] = []

    async def scenario():
        begun, release = asyncio.Event(), asyncio.Event()

        async def slow_first(request: Request, response: Response) -> None:
            begun.set()
            started.append(request.path)
            if request.path == "/0":
                await release.wait()
            response.send(200, (), request.path.encode() + (request.body.whole or b""))

        async with serving(slow_first, pipelined=3) as running:
            client = await running.connect()
            for number in range(40):
                client.send(post(b"x" * number, path=f"/{number}"))
            await begun.wait()
            assert started == ["/0"]
            release.set()
            for number in range(40):
                assert (await client.reply()).body == f"/{number}".encode() + b"x" * number

    run(scenario())


@on_both_loops
def test_a_thousand_pipelined_requests_in_one_write(run):
    async def scenario():
        async with serving(echo, pipelined=4) as running:
            client = await running.connect()
            client.send(b"".join(post(b"%d" % number) for number in range(1000)))
            for number in range(1000):
                assert (await client.reply()).body == b"%d" % number

    run(scenario())


@on_both_loops
def test_others_are_served_between_the_requests_of_a_flood(run):
    async def scenario():
        order: list[str] = []

        def note(request: Request, response: Response) -> None:
            order.append(request.path)
            response.send(200)

        async with serving(note, pipelined=4) as running:
            flood, other = await running.connect(), await running.connect()
            other.send(get("/hello"))
            await other.reply()
            flood.send(get("/flood") * 2000)
            await flood.reply()
            other.send(get("/other"))
            await other.reply()
            for _ in range(1999):
                await flood.reply()
            assert order.index("/other") < len(order) - 1

    run(scenario())


@on_both_loops
def test_expect_continue_is_answered_when_the_body_is_read(run):
    async def scenario():
        async with serving(echo) as running:
            client = await running.connect()
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.send(b"hello")
            assert (await client.reply()).body == b"hello"
            # One that does not wait gets its answer all the same.
            client.send(post(b"again", "Expect: 100-continue\r\n"))
            assert (await client.reply()).body == b"again"

    run(scenario())


@on_both_loops
def test_an_answer_before_the_body_is_read_ends_the_connection_but_reaches_the_client(run):
    def refuse(request: Request, response: Response) -> None:
        response.send(403, (), b"no")

    async def scenario():
        async with serving(refuse) as running:
            expecting = await running.connect()
            expecting.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            reply = await expecting.reply()
            assert (reply.status, reply.headers["connection"]) == (403, "close")
            assert await expecting.at_end()
            # One that sends six megabytes regardless still gets to read the answer.
            client = await running.connect()
            client.send(post(MEGABYTES_6))
            await client.writer.drain()
            assert (await client.reply()).status == 403
            assert await client.at_end()

    run(scenario())


@on_both_loops
def test_head_gets_the_fields_without_the_body(run):
    async def answer(request: Request, response: Response) -> None:
        if request.path == "/streamed":
            response.start(200)
            response.write(b"body")
            response.end()
        else:
            response.send(200, (), b"body")

    async def scenario():
        async with serving(answer) as running:
            client = await running.connect()
            client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.reply(to_head=True)).headers["content-length"] == "4"
            client.send(b"HEAD /streamed HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.reply(to_head=True)).headers["transfer-encoding"] == "chunked"
            client.send(get())
            assert (await client.reply()).body == b"body"

    run(scenario())


@on_both_loops
def test_connection_close_and_http_1_0(run):
    async def stream(request: Request, response: Response) -> None:
        response.start(200)
        response.write(b"ab")
        response.write(b"")
        response.write(memoryview(b"cd"))
        response.end()

    async def scenario():
        async with serving(echo) as running:
            client = await running.connect()
            client.send(post(b"x", "Connection: close\r\n") + b"junk that nobody looks at")
            reply = await client.reply()
            assert (reply.body, reply.headers["connection"]) == (b"x", "close")
            assert await client.was_cut()

            old = await running.connect()
            old.send(b"POST / HTTP/1.0\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\ny")
            reply = await old.reply()
            assert (reply.body, reply.headers["connection"]) == (b"y", "keep-alive")
            old.send(b"POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nz")
            assert (await old.reply()).headers["connection"] == "close"
            assert await old.at_end()
        async with serving(stream) as running:
            old = await running.connect()
            old.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            reply = await old.reply()
            assert "transfer-encoding" not in reply.headers
            assert (reply.body, reply.headers["connection"]) == (b"abcd", "close")

    run(scenario())


@on_both_loops
def test_an_offer_to_upgrade_is_ignored_and_the_body_is_kept(run):
    offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP\r\n"

    async def scenario():
        async with serving(echo) as running:
            client = await running.connect()
            chunked = f"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{offer}\r\n3\r\nxyz\r\n0\r\n\r\n"
            client.send(post(b"abc", offer) + get("/", offer) + chunked.encode() + post(b"last"))
            assert [(await client.reply()).body for _ in range(4)] == [b"abc", b"", b"xyz", b"last"]
            head, body = post(b"in two parts", offer).split(b"\r\n\r\n")
            client.send(head + b"\r\n\r\n" + body[:3])
            await client.writer.drain()
            await asyncio.sleep(0)
            client.send(body[3:])
            assert (await client.reply()).body == b"in two parts"

    run(scenario())


@on_both_loops
def test_a_handler_may_answer_later_from_a_callback(run):
    def later(request: Request, response: Response) -> None:
        asyncio.get_running_loop().call_soon(lambda: response.send(200, (), request.path.encode()))

    async def scenario():
        async with serving(later) as running:
            client = await running.connect()
            client.send(get("/1") + get("/2"))
            assert (await client.reply()).body == b"/1"
            assert (await client.reply()).body == b"/2"

    run(scenario())


@on_both_loops
def test_a_response_sent_with_the_next_leaves_with_it_if_that_was_asked_for_and_at_once_if_not(run):
    parked: list[Response] = []

    def serve(request: Request, response: Response) -> None:
        if request.path == "/park":
            parked.append(response)
        else:
            response.send(200, (), b"kept", with_next=True)

    async def scenario():
        async with serving(serve) as running:
            client = await running.connect()
            client.send(get("/alone"))
            assert (await client.reply()).body == b"kept"
            client.send(get("/followed") + get("/park"))
            other = await running.connect()
            while not parked:
                other.send(get("/alone"))
                await other.reply()
            received = asyncio.ensure_future(client.reply())
            await asyncio.sleep(0)
            assert not received.done()
            parked[0].send(200, (), b"parked")
            assert (await received).body == b"kept"
            assert (await client.reply()).body == b"parked"

    run(scenario())


@on_both_loops
def test_a_response_that_would_break_the_framing_is_not_sent(run):
    refused = []
    attempts = [
        (200, [("X-A", "a\r\nX-B: b")]),
        (200, [("X-A", "a\nb")]),
        (200, [("X-A", "a\0b")]),
        (200, [("X-A", "\u2713")]),
        (200, [("X A", "a")]),
        (200, [("", "a")]),
        (200, [("X" * 257, "a")]),
        (200, [("Content-Length", "7")]),
        (200, [("transfer-encoding", "chunked")]),
        (100, []),
        (1000, []),
    ]

    def attempt(request: Request, response: Response) -> None:
        for status, fields in attempts:
            try:
                response.send(status, fields)
            except InvalidResponse as error:
                refused.append(error)
        many = [(f"X-{number}", str(number)) for number in range(40)]
        response.send(299, [("Set-Cookie", "a=1"), ("X-Ok", "caf\xe9"), ("X-%s", "%d%%"), *many], b"fine")

    async def scenario():
        async with serving(attempt) as running:
            reply = await running.ask(get())
            assert (reply.status, reply.body, reply.headers["x-ok"]) == (299, b"fine", "caf\xe9")
            assert (reply.headers["x-%s"], reply.headers["x-39"]) == ("%d%%", "39")
            assert len(refused) == len(attempts)

    run(scenario())


@on_both_loops
def test_a_body_of_another_length_than_declared_is_never_taken_for_whole(run):
    def short(request: Request, response: Response) -> None:
        response.start(200, (), length=5)
        response.write(b"abc")
        response.end()

    def long(request: Request, response: Response) -> None:
        response.start(200, (), length=2)
        response.write(b"abc")

    async def scenario():
        for handler in (short, long):
            async with serving(handler, errors=1) as running:
                client = await running.connect()
                client.send(get())
                try:
                    data = await client.reader.read()
                except ConnectionResetError:
                    data = b""
                assert not data.endswith((b"\r\n\r\nab", b"abcde"))
                assert isinstance(running.errors[0], InvalidResponse)

    run(scenario())
