"""Requests that must not be served: malformed, smuggled, too large. Raw bytes in, a status and a close out."""

import asyncio

import pytest
from http_probe import echo, get, on_both_loops, post, serving

from ondol.http import BodyTooLarge, Request, Response, parser

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"

REFUSED = {
    "length and coding": (HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "coding and length": (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    "two equal lengths": (HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400),
    "two lengths": (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\naa", 400),
    "list of lengths": (HEAD + b"Content-Length: 1, 1\r\n\r\na", 400),
    "signed length": (HEAD + b"Content-Length: +1\r\n\r\na", 400),
    "negative length": (HEAD + b"Content-Length: -1\r\n\r\na", 400),
    "hexadecimal length": (HEAD + b"Content-Length: 0x1\r\n\r\na", 400),
    "empty length": (HEAD + b"Content-Length:\r\n\r\n", 400),
    "enormous length": (HEAD + b"Content-Length: 99999999999999999999999999\r\n\r\n", 400),
    "other coding": (HEAD + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 501),
    "coding before chunked": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "coding after chunked": (HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
    "chunked twice": (HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "coding misspelt": (HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "coding folded": (HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    "coding with vertical tab": (HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "coding in 1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "space before colon": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\na", 400),
    "bad chunk size": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
    "chunk size and space": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n", 400),
    "chunk longer than said": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", 400),
    "chunk with bare line feeds": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n", 400),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "folded field": (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400),
    "zero byte": (b"GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", 400),
    "no name": (b"GET / HTTP/1.1\r\n: a\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    "target without slash": (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "target of raw bytes": (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "version 0.9": (b"GET /\r\n\r\n", 505),
    "version 2": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "version 2 by prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "another protocol's method": (b"PLAY / RTSP/1.0\r\nHost: a\r\n\r\n", 501),
    "method of no use here": (b"PURGE / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "tunnel": (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "unknown method": (b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "long target": (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    "long value": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 5000 + b"\r\n\r\n", 431),
    "many fields": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X%d: a\r\n" % n for n in range(20)) + b"\r\n", 431),
    "one field many times": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 40 + b"\r\n", 431),
    "many trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: a\r\n" * 40 + b"\r\n", 431),
}
LIMITS = {"header_bytes": 4096, "headers": 16, "body_bytes": 100_000}


@pytest.mark.parametrize("case", REFUSED)
@on_both_loops
def test_refused_before_any_handler_and_closed(run, case):
    wire, status = REFUSED[case]
    served = []

    def note(request: Request, response: Response) -> None:
        served.append(request)
        response.send(200)

    async def scenario():
        async with serving(note, **LIMITS) as running:
            client = await running.connect()
            client.send(wire + get("/smuggled"))
            reply = await client.reply()
            assert (reply.status, reply.headers["connection"]) == (status, "close")
            assert reply.body.endswith(b"\n")
            assert await client.at_end()
        assert served == []

    run(scenario())


@on_both_loops
def test_long_names_of_fields_are_not_kept(run):
    async def scenario():
        async with serving(echo) as running:
            client = await running.connect()
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x" * 60_000 + b": 1\r\n\r\n")
            assert (await client.reply()).status == 200
        assert max(map(len, parser._NAMES)) <= 64

    run(scenario())


@on_both_loops
def test_a_header_without_end_is_refused_early(run):
    async def scenario():
        async with serving(echo, **LIMITS) as running:
            for start in (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"GET /", b"GET / HTTP/1.1\r\nHost: a\r\n", b""):
                client = await running.connect()
                client.send(start)
                sent = 0
                head = asyncio.create_task(client.reply())
                while not head.done():
                    client.send(b"\r\n" if start == b"" else b"a" * 500)
                    sent += 500
                    await client.writer.drain()
                    await asyncio.sleep(0)
                    if start == b"" and sent > 100_000:
                        # Empty lines before a request cost nothing but the header's time.
                        head.cancel()
                        break
                else:
                    assert (await head).status in {400, 431}

    run(scenario())


@on_both_loops
def test_chunk_framing_without_body_is_refused_early(run):
    async def scenario():
        async with serving(echo, **LIMITS) as running:
            for endless in (b"1;" + b"x" * 3000, b"0\r\nX: " + b"y" * 3000):
                client = await running.connect()
                client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + endless)
                reply = asyncio.create_task(client.reply())
                while not reply.done():
                    client.send(b"z" * 500)
                    await client.writer.drain()
                    await asyncio.sleep(0)
                assert (await reply).status == 400

    run(scenario())


@on_both_loops
def test_earlier_requests_are_answered_before_a_malformed_one_is_refused(run):
    async def slowly(request: Request, response: Response) -> None:
        await asyncio.sleep(0)
        response.send(200, (), request.path.encode())

    async def scenario():
        async with serving(slowly) as running:
            client = await running.connect()
            client.send(get("/1") + get("/2") + b"BAD\r\n\r\n")
            assert [(await client.reply()).body for _ in range(2)] == [b"/1", b"/2"]
            assert (await client.reply()).status == 400
            assert await client.at_end()

    run(scenario())


@on_both_loops
def test_a_body_that_turns_out_malformed_fails_its_reader(run):
    async def scenario():
        async with serving(echo) as running:
            client = await running.connect()
            client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            await client.writer.drain()
            await asyncio.sleep(0)
            client.send(b"oops\r\n")
            assert (await client.reply()).status == 400
            assert await client.at_end()

    run(scenario())


@on_both_loops
def test_a_body_over_the_listeners_limit(run):
    async def scenario():
        async with serving(echo, **LIMITS) as running:
            assert (await running.ask(post(b"x" * 100_000))).status == 200
            assert (await running.ask(post(b"x" * 100_001))).status == 413
            chunk = b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n"
            chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 20
            reply = await running.ask(chunked)
            assert (reply.status, reply.headers["connection"]) == (413, "close")

    run(scenario())


@on_both_loops
def test_a_reader_sets_a_lower_limit_and_words_its_own_answer(run):
    async def at_most_ten(request: Request, response: Response) -> None:
        try:
            body = await request.body.read(limit=10)
        except BodyTooLarge as error:
            response.send(413, (("Content-Type", "application/json"),), b'{"limit":%d}' % error.limit)
        else:
            response.send(200, (), body)

    async def scenario():
        async with serving(at_most_ten) as running:
            assert (await running.ask(post(b"x" * 10))).status == 200
            for wire in (post(b"x" * 11), HEAD + b"Transfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n"):
                reply = await running.ask(wire)
                assert (reply.status, reply.body) == (413, b'{"limit":10}')

    run(scenario())


@on_both_loops
def test_a_failing_handler_gives_500_and_is_reported(run):
    def at_once(request: Request, response: Response) -> None:
        raise KeyError(request.path)

    async def in_a_task(request: Request, response: Response) -> None:
        raise KeyError(request.path)

    async def half_way(request: Request, response: Response) -> None:
        response.start(200)
        response.write(b"half")
        raise KeyError(request.path)

    async def scenario():
        for handler in (at_once, in_a_task):
            async with serving(handler, errors=2) as running:
                client = await running.connect()
                for _ in range(2):
                    client.send(get())
                    reply = await client.reply()
                    assert (reply.status, reply.body) == (500, b"Internal Server Error\n")
        async with serving(half_way, errors=1) as running:
            client = await running.connect()
            client.send(get())
            data = b""
            try:
                while piece := await client.reader.read(100):
                    data += piece
            except ConnectionResetError:
                pass
            assert not data.endswith(b"0\r\n\r\n")

    run(scenario())


@on_both_loops
def test_connections_over_the_limit_are_told_503(run):
    async def scenario():
        async with serving(echo, connections=2) as running:
            first, second = await running.connect(), await running.connect()
            for client in (first, second):
                client.send(post(b"x"))
                assert (await client.reply()).status == 200
            third = await running.connect()
            assert (await third.reply()).status == 503
            assert await third.at_end()
            await third.close()
            await first.close()
            second.send(post(b"still"))
            assert (await second.reply()).body == b"still"
            while True:
                again = await running.connect()
                again.send(post(b"x"))
                if (await again.reply()).status == 200:
                    break

    run(scenario())
