"""What a stranger can make ondol hold before it knows him, and what goes on to another server."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from http_probe import MonotonicClock, Reply, Serving, on_both_loops, serving

from ondol.aws.signing import Credentials as SigningCredentials
from ondol.aws.signing import Scope, Signer, Terms, sign
from ondol.callers.api import Credential, Key, Right
from ondol.frontend import verifier
from ondol.frontend.verified_door import VerifiedDoor
from ondol.http import Body, Request, Response
from ondol.model.errors import CallerError, InvalidSignature, PlatformError, UnrecognizedClient
from ondol.model.ids import AccountId
from ondol.model.time import WallTime

CREDENTIAL = Credential("AKIA", AccountId("000000000000"), "me", frozenset(Right), WallTime(0))


class OneCaller:
    def __init__(self) -> None:
        self.keys = {CREDENTIAL.access_key: Key(CREDENTIAL, "secret")}

    def listed(self) -> list[Credential]:
        raise AssertionError("nobody asks")

    async def create(self, account: AccountId, name: str | None, rights: frozenset[Right]) -> Key:
        raise AssertionError("nobody asks")

    async def revoke(self, access_key: str) -> None:
        raise AssertionError("nobody asks")


def signed(body: bytes, service: str = "lambda", *, told: bool = False) -> bytes:
    """The head of a request with this body, whose hash is told beforehand or, as by most clients, not."""
    request = AWSRequest("POST", "http://test/", {}, body)
    SigV4Auth(Credentials("AKIA", "secret"), service, "r").add_auth(request)
    fields = {"host": "test", **request.headers}
    if told:
        own = SigningCredentials("AKIA", "secret")
        now = MonotonicClock().wall()
        fields = {"host": "test"}
        fields |= sign("POST", "/", "", fields, body, credentials=own, region="r", service=service, now=now)
    lines = [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join(["POST / HTTP/1.1", f"Content-Length: {len(body)}", *lines, "", ""]).encode()


def plain(body: bytes, query: str = "", **changed: str | None) -> Request:
    """A request to Lambda as botocore signs it, then changed: fields by their names with `_`, None to leave one out."""
    request = AWSRequest("POST", f"http://test/a%20b?{query}", {"X-Amz-Log-Type": "Tail"}, body)
    SigV4Auth(Credentials("AKIA", "secret"), "lambda", "r").add_auth(request)
    fields = {"host": "test", **{name.lower(): value for name, value in request.headers.items()}}
    for name, value in changed.items():
        fields.pop(name.replace("_", "-"), None)
        if value is not None:
            fields[name.replace("_", "-")] = value.replace("{}", request.headers["Authorization"])
    nobody = Body(Nowhere(), 1 << 20, 1 << 20, len(body), False, complete=True, whole=body)
    return Request("POST", f"/a%20b?{query}", "/a%20b", query, "1.1", fields, nobody, True, None)


class Nowhere:
    def wanted(self) -> None:
        raise AssertionError("it is all there")


def is_let_in(door: VerifiedDoor, request: Request) -> bool:
    """By the way that knows every request."""
    try:
        asyncio.run(door.verify_whole(door.claimed(request), request, 1 << 20, "this"))
    except CallerError:
        return False
    return True


@pytest.mark.parametrize("query", ["", "Qualifier=live&x=%2Fy"])
def test_who_signs_as_nearly_all_do_is_recognised(query: str) -> None:
    door = VerifiedDoor(OneCaller(), MonotonicClock())
    for body in (b"", b"{}", bytes(range(256)) * 200):
        # HTTP libraries add fields that no client signs.
        request = plain(body, query, accept_encoding="identity", connection="keep-alive")
        signatory = door.recognise(request, body)
        assert signatory is not None
        assert signatory.credential is CREDENTIAL
        assert is_let_in(door, request)
        assert door.recognise(request, body + b" ") is None


@pytest.mark.parametrize(
    "changed",
    [
        {"x_amz_date": "20200101T000000Z"},
        {"x_amz_date": None},
        {"x_amz_date": "now"},
        {"x_amz_log_type": "None"},
        {"x_amz_log_type": None},
        {"x_amz_invocation_type": "Event"},
        {"x_amz_content_sha256": "0" * 64},
        {"x_amz_security_token": "token"},
        {"host": "other"},
        {"authorization": None},
        {"authorization": "{}0"},
        {"authorization": "{},"},
        {
            "authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20200101/r/lambda/aws4_request, SignedHeaders=host, "
            f"Signature={'0' * 64}"
        },
        {
            "authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20200101/r/s3/aws4_request, SignedHeaders=host, "
            f"Signature={'é' * 64}"
        },
    ],
)
def test_nobody_is_recognised_who_is_not_let_in(changed: dict[str, str | None]) -> None:
    door = VerifiedDoor(OneCaller(), MonotonicClock())
    for query in ("", "Qualifier=live"):
        request = plain(b"{}", query, **changed)
        assert door.recognise(request, b"{}") is None
        assert not is_let_in(door, request)


def test_nobody_is_recognised_by_a_scope_without_the_whole_day() -> None:
    door = VerifiedDoor(OneCaller(), MonotonicClock())
    request = plain(b"{}")
    stamp = request.headers["x-amz-date"]
    for date in ("", stamp[:4], stamp[:9]):
        signer = Signer("secret", Terms(Scope("AKIA", date, "r", "lambda"), ("host", "x-amz-date", "x-amz-log-type")))
        request.headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential=AKIA/{date}/r/lambda/aws4_request, "
            "SignedHeaders=host;x-amz-date;x-amz-log-type, "
            f"Signature={signer.sign(stamp, request, '', hashlib.sha256(b'{}').hexdigest())}"
        )
        assert door.recognise(request, b"{}") is None
        assert not is_let_in(door, request)


def test_a_key_that_is_revoked_is_recognised_no_more() -> None:
    callers = OneCaller()
    door = VerifiedDoor(callers, MonotonicClock())
    request = plain(b"{}")
    assert door.recognise(request, b"{}") is not None
    del callers.keys["AKIA"]
    assert door.recognise(request, b"{}") is None
    with pytest.raises(UnrecognizedClient):
        door.claimed(request)


def test_an_old_signature_is_recognised_no_more() -> None:
    clock = MonotonicClock()
    door = VerifiedDoor(OneCaller(), clock)
    request = plain(b"{}")
    for minutes, good in ((4, True), (-4, True), (6, False), (-6, False)):
        now = WallTime(clock.wall() + minutes * 60_000)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(clock, "wall", lambda now=now: now)
            assert (door.recognise(request, b"{}") is not None) is good
            assert is_let_in(door, request) is good


def answering(door: VerifiedDoor, *, passing: bool) -> Callable[[Request, Response], Awaitable[None]]:
    """Says what it was that was wrong, or what came through."""

    async def answer(request: Request, response: Response) -> None:
        came = b""
        try:
            claimed = door.claimed(request)
            if passing:
                async for piece in await door.verify_passing(claimed, request, 1 << 20):
                    came += piece
            else:
                await door.verify_whole(claimed, request, 1 << 20, "this")
                came = await request.body.read()
        except PlatformError:
            response.send(503)
        except UnrecognizedClient:
            response.send(401)
        except InvalidSignature:
            response.send(403, (), came)
        else:
            response.send(200, (), came)

    return answer


async def ask(running: Serving, head: bytes, body: bytes) -> Reply:
    client = await running.connect()
    client.send(head)
    for at in range(0, len(body), 10_000):
        client.send(body[at : at + 10_000])
        await asyncio.sleep(0)
    return await client.reply()


BODY = b"x" * 100_000


@on_both_loops
def test_so_much_is_held_for_strangers_and_no_more(run, monkeypatch):
    monkeypatch.setattr(verifier, "HELD_BYTES", 250_000)

    async def scenario():
        async with serving(answering(VerifiedDoor(OneCaller(), MonotonicClock()), passing=False)) as running:
            held = [await running.connect() for _ in range(2)]
            for client in held:
                client.send(signed(BODY) + BODY[:-1])
            for _ in range(100):
                await asyncio.sleep(0)
            further = await running.connect()
            further.send(signed(BODY) + b"x")
            assert (await further.reply()).status == 503
            small = signed(b"small")
            assert (await ask(running, small, b"small")).status == 200
            assert (await ask(running, signed(BODY, told=True), BODY)).status == 200
            for client in held:
                client.send(BODY[-1:])
                assert (await client.reply()).body == BODY
            assert (await ask(running, signed(BODY), BODY)).status == 200

    run(scenario())


@on_both_loops
@pytest.mark.parametrize("service", ["s3", "dynamodb"])
@pytest.mark.parametrize("told", [True, False])
def test_what_passes_is_what_was_signed(run, service, told):
    async def scenario():
        async with serving(answering(VerifiedDoor(OneCaller(), MonotonicClock()), passing=True)) as running:
            assert (await ask(running, signed(BODY, service, told=told), BODY)).body == BODY
            assert (await ask(running, signed(b"", service, told=told), b"")).status == 200
            other = await ask(running, signed(BODY, service, told=told), BODY[:-1] + b"y")
            assert other.status == 403 and len(other.body) < len(BODY)

    run(scenario())


@on_both_loops
def test_what_is_remembered_of_a_key_ends_with_it(run):
    async def scenario():
        callers = OneCaller()
        async with serving(answering(VerifiedDoor(callers, MonotonicClock()), passing=False)) as running:
            head = signed(b"{}")
            assert (await ask(running, head, b"{}")).status == 200
            old = callers.keys.pop("AKIA")
            assert (await ask(running, head, b"{}")).status == 401
            callers.keys["AKIA"] = Key(CREDENTIAL, "another secret")
            assert (await ask(running, head, b"{}")).status == 403
            callers.keys["AKIA"] = old
            assert (await ask(running, head, b"{}")).status == 200

    run(scenario())


def test_the_last_piece_is_held_back_until_the_hash_is_known():
    async def pieces(*texts: bytes) -> AsyncIterator[bytes]:
        for text in texts:
            yield text

    async def passed(texts: list[bytes], declared: bytes) -> list[bytes]:
        came = []
        try:
            async for piece in verifier._compared(pieces(*texts), hashlib.sha256(declared).hexdigest()):
                came.append(piece)
        except InvalidSignature:
            came.append(b"refused")
        return came

    async def scenario():
        assert await passed([b"a", b"b", b"c"], b"abc") == [b"a", b"b", b"c"]
        assert await passed([b"a", b"b", b"c"], b"abd") == [b"a", b"b", b"refused"]
        assert await passed([b"a"], b"b") == [b"refused"]
        assert await passed([], b"") == []
        assert await passed([], b"b") == [b"refused"]

    asyncio.run(scenario())
