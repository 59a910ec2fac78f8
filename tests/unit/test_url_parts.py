"""Function URLs: where they are, what pages are told, how a stream's beginning is found, who is remembered."""

from collections.abc import Iterable
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace
from test_directory import KEY, view

from ondol.aws.wire import LambdaWire
from ondol.control.urls import url_id
from ondol.frontend.access import is_our_name
from ondol.frontend.cors import answer_fields, is_preflight, preflight_fields
from ondol.frontend.directory import Directory
from ondol.frontend.http_answer import Manners
from ondol.frontend.url_address import Front, UrlAddress, address_of, link_to
from ondol.frontend.url_answers import UrlSpeech, UrlStreamAnswer
from ondol.model.function import FunctionKey
from ondol.model.function_url import Cors, FunctionUrl
from ondol.model.ids import AccountId, Region, RequestId
from ondol.model.invocation import FailureKind, failure

HERE = Region("us-east-1")


@pytest.mark.parametrize(
    ("host", "path", "id", "below"),
    [
        ("abc.lambda-url.us-east-1.localhost:4566", "/2015-03-31/functions", "abc", "/2015-03-31/functions"),
        ("ABC.lambda-url.us-east-1.localhost", "/", "abc", "/"),
        ("a.b.lambda-url.us-east-1.localhost", "/_ondol/url/x/", "a.b", "/_ondol/url/x/"),
        (".lambda-url..localhost", "/", "", "/"),
        ("abc.execute-api.us-east-1.localhost:4566", "/_ondol/status", "abc", "/_ondol/status"),
    ],
)
def test_a_urls_host_is_never_the_api(host: str, path: str, id: str, below: str) -> None:
    address = address_of(host, path)
    assert address is not None and address.region is not None
    assert (address.id, address.path) == (id, below)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/_ondol/url/abc", UrlAddress("abc", None, "/")),
        ("/_ondol/url/abc/", UrlAddress("abc", None, "/")),
        ("/_ondol/url/abc/a/b%20c", UrlAddress("abc", None, "/a/b%20c")),
        ("/_ondol/url/", UrlAddress("", None, "/")),
        ("/_ondol/http/abc/dev/x", UrlAddress("abc", None, "/dev/x", Front.API)),
        ("/_ondol/http-apis/abc", None),
        ("/_ondol/status", None),
        ("/2015-03-31/functions/_ondol/url/abc", None),
    ],
)
def test_by_path(path: str, address: UrlAddress | None) -> None:
    assert address_of("127.0.0.1:4566", path) == address


def test_names_of_others_are_no_address() -> None:
    assert address_of("abc.lambda-url.us-east-1.on.aws", "/") is None
    assert not is_our_name("abc.lambda-url.us-east-1.localhost.evil.example")
    assert not is_our_name(f"{'a' * 300}.localhost")


@pytest.mark.parametrize(
    ("host", "end"), [("127.0.0.1:4566", ":4566/"), ("localhost", "/"), ("[::1]:80", ":80/"), ("[::1]", "/")]
)
def test_a_link_has_the_port_by_which_ondol_was_reached(host: str, end: str) -> None:
    domain = f"abc.lambda-url.us-east-1.localhost{end}"
    assert link_to(Front.URL, "abc", HERE, host, encrypted=False) == f"http://{domain}"
    assert link_to(Front.URL, "abc", HERE, host, encrypted=True) == f"https://{domain}"


@pytest.mark.parametrize("host", ["ondol.example.com", "192.0.2.7:4566", "[2001:db8::1]:80"])
def test_from_another_machine_a_link_is_by_path(host: str) -> None:
    link = link_to(Front.API, "abc", HERE, host, encrypted=True)
    assert link == f"https://{host}/_ondol/http/abc/"
    assert address_of(host, urlsplit(link).path) == UrlAddress("abc", None, "/", Front.API)


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("ondol.example.com", True),
        ("ONDOL.example.com:4566", True),
        ("a.apps.example.com", True),
        ("apps.example.com", False),
        ("a.b.apps.example.com", False),
        ("192.0.2.7:1", True),
        ("[2001:db8::1]:4566", True),
        ("[2001:db8::2]", False),
        ("example.com", False),
        ("", False),
        (f"{'a' * 300}.apps.example.com", False),
    ],
)
def test_names_of_a_certificate_are_ours(host: str, ours: bool) -> None:
    names = frozenset({"ondol.example.com", "*.apps.example.com", "192.0.2.7", "[2001:db8::1]"})
    assert is_our_name(host, names) is ours
    assert not is_our_name(host)


def test_ids_are_stable_and_tell_nothing() -> None:
    other = FunctionKey(AccountId("111122223333"), HERE, "f")
    ids = [url_id("s", KEY, "$LATEST"), url_id("s", KEY, "live"), url_id("s", other, "live"), url_id("t", KEY, "live")]
    assert len(set(ids)) == 4
    assert ids[0] == url_id("s", KEY, "$LATEST")
    assert all(len(id) == 32 and id.isalnum() and id == id.lower() for id in ids)


# Web pages

PAGE = {"origin": "https://page.example"}


def test_what_a_preflight_is() -> None:
    asked = {**PAGE, "access-control-request-method": "PUT"}
    assert is_preflight("OPTIONS", asked)
    assert not is_preflight("GET", asked)
    assert not is_preflight("OPTIONS", PAGE)


def test_anybody_is_an_asterisk_unless_credentials_go_with_it() -> None:
    anybody = Cors(allow_origins=("*",))
    assert answer_fields(anybody, PAGE) == [("Access-Control-Allow-Origin", "*")]
    known = replace(anybody, allow_credentials=True)
    assert answer_fields(known, PAGE) == [
        ("Access-Control-Allow-Origin", "https://page.example"),
        ("Access-Control-Allow-Credentials", "true"),
        ("Vary", "Origin"),
    ]


@pytest.mark.parametrize("cors", [Cors(), Cors(allow_origins=("https://other.example", "page.example"))])
def test_who_is_not_named_is_not_allowed(cors: Cors) -> None:
    cors = replace(cors, allow_methods=("GET",), allow_headers=("*",), expose_headers=("*",), max_age=1)
    for fields in (answer_fields(cors, PAGE), preflight_fields(cors, PAGE), answer_fields(cors, {})):
        assert fields == [("Vary", "Origin")]
    assert answer_fields(None, PAGE) == []


def test_manners_take_away_what_the_url_decides() -> None:
    function = [("Access-Control-Allow-Origin", "*"), ("SET-COOKIE", "a=b"), ("x", "y")]
    assert Manners([("z", "1")]).fields(function) == [*function, ("z", "1")]
    assert Manners([], speaks_for_cors=True, cookies=False).fields(function) == [("x", "y")]


# Streams


class Written:
    """A response that keeps what it was told."""

    def __init__(self) -> None:
        self.started = False
        self.status = 0
        self.body = b""
        self.end_was = ""

    def start(self, status: int, fields: Iterable[tuple[str, str]]) -> None:
        self.started, self.status = True, status

    def write(self, piece: bytes) -> None:
        self.body += piece

    def send(self, status: int, fields: Iterable[tuple[str, str]], body: bytes = b"") -> None:
        self.status, self.body, self.end_was = status, body, "sent"

    def end(self) -> None:
        self.end_was = "ended"

    def abort(self) -> None:
        self.end_was = "aborted"


WITH_PRELUDE = "application/vnd.awslambda.http-integration-response"
STREAM = b'{"statusCode": 404}' + bytes(8) + b"body" + bytes(9)


def streamed(pieces: list[bytes], kind: str = WITH_PRELUDE, failed: bool = False) -> Written:
    response = Written()
    answer = UrlStreamAnswer(cast(Any, response), Manners([]), UrlSpeech(LambdaWire(), RequestId("r")))
    answer.begin_stream(kind)
    for piece in pieces:
        answer.write(piece)
    answer.finish(failure(FailureKind.TIMED_OUT, "x", "y") if failed else None, b"")
    return response


@pytest.mark.parametrize("size", [1, 3, 19, 20, 26, 27, 28, 100])
def test_a_prelude_is_found_however_it_is_cut(size: int) -> None:
    response = streamed([STREAM[at : at + size] for at in range(0, len(STREAM), size)])
    assert (response.status, response.body, response.end_was) == (404, b"body" + bytes(9), "ended")


def test_how_streams_end() -> None:
    assert streamed([b"a", b"b"], "text/plain").body == b"ab"
    empty = streamed([], "text/plain")
    assert (empty.status, empty.end_was) == (200, "sent")
    assert streamed([b"a"], "text/plain", failed=True).end_was == "aborted"
    for pieces in ([], [b'{"statusCode"'], [b"x" + bytes(8)], [b"x" * 70_000, STREAM]):
        assert streamed(pieces).status == 502


# Who is remembered


def test_a_url_is_known_as_long_as_its_function_has_it() -> None:
    first, second = (FunctionUrl(id, None, False, False) for id in ("first", "second"))
    directory = Directory()
    directory.adopt(replace(view(1), urls=(first,)))
    found = directory.url("first")
    assert found is not None and (found[0].key, found[1]) == (KEY, first)
    directory.adopt(replace(view(2), urls=(second,)))
    assert directory.url("first") is None
    directory.adopt(replace(view(1), urls=(first,)))
    assert directory.url("first") is None and directory.url("second") is not None
    directory.forget(KEY)
    assert directory.url("second") is None
