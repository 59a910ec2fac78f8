"""TLS on the server's own listener: which certificates are taken, and who is kept waiting by whom."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from http_probe import Client, MonotonicClock, echo, get, on_both_loops, post

from certificates import Files, make_certificate
from ondol.http import (
    CertificateError,
    HttpCommons,
    HttpLimits,
    Request,
    Response,
    Server,
    load_certificate,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_certificate(tmp_path_factory.mktemp("tls"), "localhost", "127.0.0.1")


class Listening:
    def __init__(self, server: Server, port: int, files: Files) -> None:
        self.server = server
        self.port = port
        self.trust = ssl.create_default_context(cafile=files.certificate)

    async def connect(self, context: ssl.SSLContext | None = None) -> Client:
        tls = context or self.trust
        return Client(*await asyncio.open_connection("127.0.0.1", self.port, ssl=tls, limit=1 << 22))

    async def connect_in_the_clear(self) -> Client:
        return Client(*await asyncio.open_connection("127.0.0.1", self.port))


@contextlib.asynccontextmanager
async def listening(files: Files, **limits: Any) -> AsyncIterator[Listening]:
    def plain(request: Request, response: Response) -> None:
        response.closes = True
        response.send(400, (), b"speaks TLS")

    commons = HttpCommons(MonotonicClock(), 0.02)
    server, asks = Server(echo, HttpLimits(**limits), commons), Server(plain, HttpLimits(**limits), commons)
    certificate = load_certificate(*files)
    [(_, port)] = await server.listen_tls("127.0.0.1", 0, certificate, asks)
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    try:
        yield Listening(server, port, files)
    finally:
        await server.drain(5)
        await asks.drain(5)
    assert not reported, reported


# Which certificates are taken


def test_a_certificate_says_for_whom_it_is(tmp_path: Path) -> None:
    files = make_certificate(tmp_path, "Ondol.Example.com", "*.example.com", "127.0.0.1", "2001:db8::1")
    names = load_certificate(*files).names
    assert names == {"ondol.example.com", "*.example.com", "127.0.0.1", "[2001:db8::1]"}


def test_what_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    good = make_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    other = make_certificate(tmp_path / "other")
    (tmp_path / "garbage").write_text("garbage")

    def refused(certificate: Path, key: Path) -> str:
        with pytest.raises(CertificateError) as raised:
            load_certificate(certificate, key)
        return str(raised.value)

    assert "No such file" in refused(tmp_path / "missing", good.key)
    assert refused(good.certificate, tmp_path / "garbage")
    assert refused(tmp_path / "garbage", good.key)
    assert "MISMATCH" in refused(good.certificate, other.key)
    assert "expired" in refused(*make_certificate(tmp_path / "other", valid_h=-0.5))
    assert "purpose" in refused(*make_certificate(tmp_path / "other", usage=ExtendedKeyUsageOID.CLIENT_AUTH))
    assert "unencrypted" in refused(*make_certificate(tmp_path / "other", password=b"secret"))


# What is spoken


@on_both_loops
def test_requests_are_served_and_known_to_be_encrypted(run, files):
    async def scenario():
        async with listening(files) as here:
            client = await here.connect()
            body = b"x" * 3_000_000
            for _ in range(2):
                client.send(post(body))
                assert (await client.reply()).body == body
            transport = client.writer.transport
            assert transport.get_extra_info("ssl_object").version() == "TLSv1.3"
            await client.close()

    run(scenario())


@on_both_loops
def test_yesterdays_protocols_and_ciphers_are_refused(run, files):
    async def scenario():
        async with listening(files) as here:
            for ciphers in ("AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"):
                old = ssl.create_default_context(cafile=files.certificate)
                old.maximum_version = ssl.TLSVersion.TLSv1_2
                old.set_ciphers(ciphers)
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    await here.connect(old)
            good = ssl.create_default_context(cafile=files.certificate)
            good.maximum_version = ssl.TLSVersion.TLSv1_2
            client = await here.connect(good)
            client.send(get())
            assert (await client.reply()).status == 200
            await client.close()

    run(scenario())


@on_both_loops
def test_who_speaks_http_is_answered_and_who_speaks_neither_is_not_kept(run, files):
    async def scenario():
        async with listening(files) as here:
            client = await here.connect_in_the_clear()
            client.send(get())
            reply = await client.reply()
            assert (reply.status, reply.body, reply.headers["connection"]) == (400, b"speaks TLS", "close")
            assert await client.at_end()
            await client.close()
            client = await here.connect_in_the_clear()
            client.send(b"\x00\x01\x02")
            assert (await client.reply()).status == 400
            await client.close()

    run(scenario())


# Who is kept waiting


@on_both_loops
def test_who_says_nothing_or_stops_in_a_handshake_is_closed(run, files):
    async def scenario():
        async with listening(files, handshake_s=0.4) as here:
            for beginning in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"):
                client = await here.connect_in_the_clear()
                client.send(beginning)
                assert await client.was_cut()
                await client.close()
            client = await here.connect_in_the_clear()
            client.send(b"\x16\x03\x01\x00\x05garbage after that")
            await client.reader.read()
            await client.close()
            client = await here.connect()
            client.send(get())
            assert (await client.reply()).status == 200
            await client.close()

    run(scenario())


@on_both_loops
def test_handshakes_that_do_not_end_are_counted(run, files):
    async def scenario():
        async with listening(files, handshakes=3, handshake_s=0.3) as here:
            silent = [await here.connect_in_the_clear() for _ in range(3)]
            further = await here.connect_in_the_clear()
            assert await further.was_cut()
            assert all(await asyncio.gather(*(each.was_cut() for each in silent)))
            client = await here.connect()
            client.send(get())
            assert (await client.reply()).status == 200
            for each in (client, further, *silent):
                await each.close()

    run(scenario())


@on_both_loops
def test_connections_are_counted_as_without_tls(run, files):
    async def scenario():
        async with listening(files, connections=1) as here:
            first = await here.connect()
            first.send(get())
            await first.reply()
            second = await here.connect()
            second.send(get())
            assert (await second.reply()).status == 503
            await first.close()
            await second.close()

    run(scenario())


@on_both_loops
def test_at_the_end_who_has_asked_is_answered_and_who_has_not_is_let_go(run, files):
    async def scenario():
        async with listening(files) as here:
            asking, silent = await here.connect(), await here.connect_in_the_clear()
            asking.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx")
            half = await here.connect_in_the_clear()
            half.send(b"\x16\x03\x01")
            for _ in range(50):
                await asyncio.sleep(0)
            draining = asyncio.ensure_future(here.server.drain(5))
            assert await silent.was_cut()
            assert await half.was_cut()
            asking.send(b"y")
            assert (await asking.reply()).body == b"xy"
            await draining
            with pytest.raises(ConnectionError):
                await here.connect()
            for each in (asking, silent, half):
                await each.close()

    run(scenario())


@on_both_loops
def test_another_certificate_is_shown_to_who_connects_from_then_on(run, files, tmp_path):
    async def scenario():
        async with listening(files) as here:
            before = await here.connect()
            newer = make_certificate(tmp_path, "127.0.0.1")
            here.server.present(load_certificate(*newer))
            before.send(get())
            assert (await before.reply()).status == 200
            with pytest.raises(ssl.SSLCertVerificationError):
                await here.connect()
            after = await here.connect(ssl.create_default_context(cafile=newer.certificate))
            after.send(get())
            assert (await after.reply()).status == 200
            await before.close()
            await after.close()

    run(scenario())


@on_both_loops
def test_a_port_that_is_taken_is_told(run, files):
    async def scenario():
        async with listening(files) as here:
            server = Server(echo, HttpLimits(), HttpCommons(MonotonicClock()))
            with pytest.raises(OSError, match="in use"):
                await server.listen_tls("127.0.0.1", here.port, load_certificate(*files), server)

    run(scenario())
