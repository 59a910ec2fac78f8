"""Slow peers, gone peers, time-outs and drain."""

import asyncio
import gc
import socket
import weakref

from http_probe import echo, get, on_both_loops, post, serving

from ondol.http import ClientGone, Request, Response

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"


async def send_until_full(client) -> int:
    """Send until the transport holds bytes back and the system has taken none of them for a while."""
    sent = 0
    piece = b"x" * 65_536
    transport = client.writer.transport
    while True:
        client.send(piece)
        sent += len(piece)
        if transport.get_write_buffer_size() > 1 << 20:
            before = transport.get_write_buffer_size()
            for _ in range(200):
                await asyncio.sleep(0)
            if transport.get_write_buffer_size() == before:
                return sent
        await asyncio.sleep(0)


@on_both_loops
def test_a_client_that_sends_faster_than_the_handler_takes_is_held_back(run):
    async def scenario():
        taken = []
        go_on = asyncio.Event()

        async def slow(request: Request, response: Response) -> None:
            async for piece in request.body:
                taken.append(len(piece))
                await go_on.wait()
            response.send(200, (), b"%d" % sum(taken))

        async with serving(slow, buffer_bytes=100_000) as running:
            client = await running.connect()
            size = 30_000_000
            client.send(HEAD + b"Content-Length: %d\r\n\r\n" % size)
            sent = await send_until_full(client)
            assert sent < size
            assert sum(taken) <= 200_000
            go_on.set()
            client.send(b"x" * (size - sent))
            assert (await client.reply()).body == b"%d" % size
            assert max(taken) <= 200_000

    run(scenario())


@on_both_loops
def test_a_handler_that_writes_faster_than_the_client_reads_is_held_back(run):
    async def scenario():
        written = 0
        held = asyncio.Event()

        async def much(request: Request, response: Response) -> None:
            nonlocal written
            response.start(200, (), length=50_000_000)
            for _ in range(500):
                response.write(b"x" * 100_000)
                written += 100_000
                drained = asyncio.ensure_future(response.drain())
                await asyncio.sleep(0)
                if not drained.done():
                    held.set()
                await drained
            response.end()

        async with serving(much) as running:
            client = await running.connect()
            client.writer.transport.pause_reading()
            client.send(get())
            await held.wait()
            assert written < 50_000_000
            client.writer.transport.resume_reading()
            assert len((await client.reply()).body) == 50_000_000

    run(scenario())


@on_both_loops
def test_a_client_that_does_not_read_its_answers_gets_no_further_request_served(run):
    async def scenario():
        served = 0

        def big(request: Request, response: Response) -> None:
            nonlocal served
            served += 1
            response.send(200, (), b"x" * 1_000_000)

        async with serving(big) as running:
            client = await running.connect()
            client.writer.transport.pause_reading()
            client.send(get() * 100)
            before = -1
            while served != before:
                before = served
                for _ in range(500):
                    await asyncio.sleep(0)
            assert 0 < served < 50
            client.writer.transport.resume_reading()
            for _ in range(100):
                assert len((await client.reply()).body) == 1_000_000

    run(scenario())


@on_both_loops
def test_a_client_that_closes_is_told_to_whoever_serves(run):
    async def scenario():
        gone = asyncio.Event()
        outcome = asyncio.get_running_loop().create_future()

        async def wait(request: Request, response: Response) -> None:
            assert not request.client_gone
            request.when_client_gone(gone.set)
            await gone.wait()
            assert request.client_gone
            response.start(200)
            try:
                while True:
                    response.write(b"x" * 10_000)
                    await response.drain()
                    await asyncio.sleep(0)
            except ClientGone as error:
                outcome.set_result(error)
                raise

        async with serving(wait) as running:
            client = await running.connect()
            client.send(get())
            await client.writer.drain()
            await client.close()
            await outcome

    run(scenario())


class Exchange:
    """Holds what would tell it that the client is gone: a circle, unless the server opens it."""

    def __init__(self, request: Request, response: Response) -> None:
        self.response = response
        request.when_client_gone(self.leave)

    def leave(self) -> None:
        raise AssertionError("the client is there")


@on_both_loops
def test_nothing_of_an_exchange_that_has_ended_waits_for_the_collector(run):
    async def scenario():
        exchanges: list[weakref.ref[Exchange]] = []

        def answer(request: Request, response: Response) -> None:
            exchanges.append(weakref.ref(Exchange(request, response)))
            asyncio.get_running_loop().call_soon(response.send, 200)

        async with serving(answer) as running:
            client = await running.connect()
            for _ in range(3):
                client.send(get())
                assert (await client.reply()).status == 200
            assert [each() for each in exchanges] == [None] * 3

    gc.disable()
    try:
        run(scenario())
    finally:
        gc.enable()


@on_both_loops
def test_a_client_that_closes_within_the_body_fails_the_reader(run):
    async def scenario():
        outcome = asyncio.get_running_loop().create_future()

        async def read(request: Request, response: Response) -> None:
            try:
                await request.body.read()
            except ClientGone as error:
                outcome.set_result(error)
                raise

        async with serving(read) as running:
            client = await running.connect()
            client.send(HEAD + b"Content-Length: 10\r\n\r\nabc")
            await client.writer.drain()
            await client.close()
            await outcome

    run(scenario())


@on_both_loops
def test_a_client_that_closes_only_its_sending_side_is_still_answered(run):
    async def slowly(request: Request, response: Response) -> None:
        left = asyncio.Event()
        request.when_client_gone(left.set)
        await left.wait()
        response.send(200, (), b"still here")

    async def scenario():
        async with serving(slowly) as running:
            client = await running.connect()
            client.send(get())
            client.writer.write_eof()
            reply = await client.reply()
            assert (reply.body, reply.headers["connection"]) == (b"still here", "close")
            assert await client.at_end()

    run(scenario())


@on_both_loops
def test_a_header_that_takes_too_long_is_timed_out_however_it_trickles(run):
    async def scenario():
        async with serving(echo, header_s=0.1) as running:
            silent = await running.connect()
            assert await silent.at_end()
            slow = await running.connect()
            slow.send(post(b"first"))
            assert (await slow.reply()).body == b"first"
            slow.send(b"GET / HTTP/1.1\r\n")

            async def trickle():
                while True:
                    slow.send(b"X: y\r\n")
                    await asyncio.sleep(0.02)

            trickling = asyncio.create_task(trickle())
            reply = await slow.reply()
            trickling.cancel()
            assert (reply.status, reply.headers["connection"]) == (408, "close")

    run(scenario())


@on_both_loops
def test_an_idle_connection_is_closed_and_a_serving_one_is_not(run):
    async def scenario():
        release = asyncio.Event()

        async def wait(request: Request, response: Response) -> None:
            if request.path == "/slow":
                await release.wait()
            response.send(200)

        async with serving(wait, keep_alive_s=0.3, header_s=0.3, stall_s=0.3) as running:
            idle, busy = await running.connect(), await running.connect()
            busy.send(get("/slow"))
            idle.send(get())
            await idle.reply()
            assert await idle.at_end()
            release.set()
            assert (await busy.reply()).status == 200

    run(scenario())


@on_both_loops
def test_a_body_that_stalls_or_trickles_is_timed_out(run):
    async def scenario():
        async with serving(echo, stall_s=0.1, stall_bytes=100) as running:
            client = await running.connect()
            client.send(HEAD + b"Content-Length: 10000\r\n\r\nabc")

            async def trickle():
                while True:
                    client.send(b"x")
                    await asyncio.sleep(0.02)

            trickling = asyncio.create_task(trickle())
            reply = await client.reply()
            trickling.cancel()
            assert (reply.status, reply.headers["connection"]) == (408, "close")
            # One that moves on is waited for, however long it takes.
            client = await running.connect()
            client.send(HEAD + b"Content-Length: 3000\r\n\r\n")
            for _ in range(30):
                client.send(b"x" * 100)
                await asyncio.sleep(0.01)
            assert (await client.reply()).status == 200

    run(scenario())


@on_both_loops
def test_a_body_that_the_handler_does_not_take_is_not_the_clients_stall(run):
    async def scenario():
        release = asyncio.Event()

        async def later(request: Request, response: Response) -> None:
            if request.path != "/clock":
                await release.wait()
            response.send(200, (), b"%d" % len(await request.body.read()))

        async with serving(later, stall_s=0.04, buffer_bytes=10_000) as running:
            waiting, sending = await running.connect(), await running.connect()
            waiting.send(HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            sending.send(post(b"x" * 3_000_000))
            # A third connection, timed out by the same sweep, is the clock.
            other = await running.connect()
            other.send(b"POST /clock HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
            assert (await other.reply()).status == 408
            release.set()
            assert (await waiting.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
            waiting.send(b"hello")
            assert (await waiting.reply()).body == b"5"
            assert (await sending.reply()).body == b"3000000"

    run(scenario())


@on_both_loops
def test_a_client_that_stops_reading_is_cut(run):
    async def scenario():
        outcome = asyncio.get_running_loop().create_future()

        async def endless(request: Request, response: Response) -> None:
            response.start(200)
            try:
                while True:
                    response.write(b"x" * 100_000)
                    await response.drain()
            except ClientGone as error:
                outcome.set_result(error)
                raise

        async with serving(endless, stall_s=0.1) as running:
            client = await running.connect()
            client.writer.transport.pause_reading()
            client.send(get())
            await outcome

    run(scenario())


@on_both_loops
def test_a_client_that_reads_slowly_but_steadily_is_not_cut(run):
    async def scenario():
        def big(request: Request, response: Response) -> None:
            response.send(200, (), b"x" * 6_000_000)

        async with serving(big, stall_s=0.1) as running:
            client = await running.connect()
            client.send(get())
            _, headers = await client.head()
            left = int(headers["content-length"])
            while left:
                data = await client.reader.read(100_000)
                assert data
                left -= len(data)
                await asyncio.sleep(0.01)

    run(scenario())


@on_both_loops
def test_drain_finishes_what_is_in_flight_and_closes_what_is_idle(run):
    async def scenario():
        started, release = asyncio.Event(), asyncio.Event()

        async def wait(request: Request, response: Response) -> None:
            if request.path == "/slow":
                started.set()
                await release.wait()
            response.send(200, (), b"done")

        async with serving(wait) as running:
            idle, busy, halfway = [await running.connect() for _ in range(3)]
            idle.send(get())
            await idle.reply()
            halfway.send(b"GET / HTTP/1.1\r\n")
            busy.send(get("/slow"))
            await started.wait()
            draining = asyncio.create_task(running.server.drain(10))
            assert await idle.at_end()
            assert not draining.done()
            with socket.socket() as late:
                late.setblocking(False)
                try:
                    await asyncio.get_running_loop().sock_connect(late, ("127.0.0.1", running.port))
                except ConnectionRefusedError:
                    pass
                else:
                    raise AssertionError("still accepting")
            release.set()
            reply = await busy.reply()
            assert (reply.body, reply.headers["connection"]) == (b"done", "close")
            halfway.send(b"Host: a\r\n\r\n")
            assert (await halfway.reply()).headers["connection"] == "close"
            await draining

    run(scenario())


@on_both_loops
def test_drain_cuts_what_outlasts_its_time(run):
    async def scenario():
        started = asyncio.Event()
        cancelled = []

        async def forever(request: Request, response: Response) -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(request.path)
                raise

        async with serving(forever) as running:
            client = await running.connect()
            client.send(get("/stuck"))
            await started.wait()
            await running.server.drain(0.05)
            assert await client.was_cut()
            assert cancelled == ["/stuck"]

    run(scenario())
