"""Signatures, with botocore's signers as the oracle."""

import hashlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import pytest
from botocore.auth import S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from botocore.utils import percent_encode_sequence
from hypothesis import assume, example, given
from hypothesis import strategies as st
from signatures import SignedRequest, verify_signed

from ondol.aws import sigv4
from ondol.aws.identity import caller_of
from ondol.aws.signing import EMPTY_BODY, Credentials, Terms, pairs_of, presign, sign
from ondol.model.errors import AccessDenied, IncompleteSignature, InvalidSignature, MissingAuthenticationToken
from ondol.model.time import WallTime

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
BOTO = BotoCredentials("123456789012", SECRET)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=20)


def now() -> WallTime:
    return WallTime(int(datetime.now(UTC).timestamp() * 1000))


def as_signed(request: AWSRequest) -> SignedRequest:
    prepared = request.prepare()
    url = urlsplit(prepared.url)
    headers = {
        name.lower(): (value.decode() if isinstance(value, bytes) else value).strip()
        for name, value in prepared.headers.items()
    }
    headers.setdefault("host", url.netloc)
    body = hashlib.sha256(prepared.body.encode() if isinstance(prepared.body, str) else prepared.body or b"")
    return SignedRequest(prepared.method, url.path, url.query, headers, body.hexdigest())


def signed_by_boto(path: str, params: dict[str, str], body: bytes, service: str = "lambda") -> SignedRequest:
    url = f"http://localhost:8000{path}?{percent_encode_sequence(params)}".rstrip("?")
    request = AWSRequest("POST", url, headers={"X-Amz-Invocation-Type": "  Event   x "}, data=body)
    SigV4Auth(BOTO, service, "eu-west-1").add_auth(request)
    return as_signed(request)


def check(request: SignedRequest, secret: str, at: WallTime) -> None:
    verify_signed(request, request.body_sha256, secret, at)


@given(
    name=NAMES.filter(lambda name: name not in (".", "..")),
    params=st.dictionaries(NAMES, st.text(st.characters(codec="utf-8"), max_size=10), max_size=4),
    body=st.binary(max_size=50),
)
@example(name="f", params={"0": "", "00": ""}, body=b"")
def test_what_botocore_signs_is_verified(name: str, params: dict[str, str], body: bytes) -> None:
    request = signed_by_boto(f"/2015-03-31/functions/{quote(name, safe='')}/invocations", params, body)
    assume(not sigv4.is_presigned(request.query))
    check(request, SECRET, now())


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"path": "/2015-03-31/functions/g/invocations"},
        {"query": "Qualifier=2"},
        {"body_sha256": EMPTY_BODY},
    ],
)
def test_a_changed_request_is_refused(change: dict[str, Any]) -> None:
    request = signed_by_boto("/2015-03-31/functions/f/invocations", {"Qualifier": "1"}, b"{}")
    changed = SignedRequest(**{name: change.get(name, getattr(request, name)) for name in request.__struct_fields__})
    with pytest.raises(InvalidSignature, match="The request signature we calculated does not match"):
        check(changed, SECRET, now())
    with pytest.raises(InvalidSignature):
        check(request, "another secret", now())


def test_an_old_and_a_coming_signature_are_refused() -> None:
    request = signed_by_boto("/", {}, b"")
    with pytest.raises(
        InvalidSignature, match=r"^Signature expired: \S+Z is now earlier than \S+Z \(\S+Z - 5 min\.\)$"
    ):
        check(request, SECRET, WallTime(now() + 310_000))
    with pytest.raises(InvalidSignature, match=r"^Signature not yet current: \S+Z is still later than"):
        check(request, SECRET, WallTime(now() - 310_000))
    check(request, SECRET, WallTime(now() + 290_000))


@pytest.mark.parametrize(
    ("authorization", "error"),
    [
        (None, MissingAuthenticationToken),
        ("", MissingAuthenticationToken),
        ("Bearer x", IncompleteSignature),
        ("AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=x", IncompleteSignature),
        ("AWS4-HMAC-SHA256 Credential=a/b/c/d/aws5_request, Signature=x", IncompleteSignature),
    ],
)
def test_a_header_that_is_no_signature_names_nobody(authorization: str | None, error: type[Exception]) -> None:
    with pytest.raises(error):
        sigv4.scope_of(authorization)


def test_half_a_signature_is_told_which_half_is_missing_and_not_shown() -> None:
    header = "AWS4-HMAC-SHA256 Credential=a/20250101/r/lambda/aws4_request, Signature=abcdef"
    with pytest.raises(IncompleteSignature, match="requires 'SignedHeaders' parameter") as raised:
        sigv4.claim_of({"authorization": header}, "", sigv4.read_terms)
    assert "abcdef" not in raised.value.message


@pytest.mark.parametrize(
    ("access_key", "account"),
    [("123456789012", "123456789012"), ("test", "000000000000"), ("AKIA123456789012ABCD", "000000000000")],
)
def test_twelve_digits_name_an_account(access_key: str, account: str) -> None:
    header = f"AWS4-HMAC-SHA256 Credential={access_key}/20250101/eu-west-1/lambda/aws4_request, SignedHeaders=host"
    caller = caller_of(sigv4.scope_of(header))
    assert (caller.account, caller.region, caller.access_key) == (account, "eu-west-1", access_key)


@pytest.mark.parametrize(("service", "signer"), [("s3", S3SigV4QueryAuth), ("lambda", SigV4QueryAuth)])
def test_links_of_botocore_are_verified(service: str, signer: Any) -> None:
    request = AWSRequest("GET", "http://localhost:8000/code/a%20b/c%3Ad?versionId=1%2B2")
    signer(BOTO, service, "eu-west-1", expires=60).add_auth(request)
    signed = as_signed(request)
    assert sigv4.is_presigned(signed.query)
    assert sigv4.presigned_scope(signed.query).access_key == "123456789012"
    check(signed, SECRET, now())


def test_our_links_are_good_until_they_expire_and_for_nothing_else() -> None:
    at = WallTime(1_750_000_000_000)
    link = presign(
        "GET",
        "http://localhost:8000",
        "/code/0a1b",
        credentials=Credentials("ondol", SECRET),
        region="us-east-1",
        service="s3",
        now=at,
        valid_s=600,
    )
    url = urlsplit(link)
    request = SignedRequest("GET", url.path, url.query, {"host": url.netloc})
    check(request, SECRET, WallTime(at + 600_000))
    with pytest.raises(AccessDenied, match="Request has expired"):
        check(request, SECRET, WallTime(at + 601_000))
    for wrong in (
        SignedRequest("GET", "/code/ffff", url.query, {"host": url.netloc}),
        SignedRequest("PUT", url.path, url.query, {"host": url.netloc}),
        SignedRequest("GET", url.path, url.query, {"host": "evil:8000"}),
        SignedRequest("GET", url.path, url.query.replace("Expires=600", "Expires=6000"), {"host": url.netloc}),
    ):
        with pytest.raises(InvalidSignature):
            check(wrong, SECRET, at)
    with pytest.raises(IncompleteSignature):
        check(SignedRequest("GET", "/", "X-Amz-Signature=x", {}), SECRET, at)


# What a request says of its signature

CREDENTIAL = "AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request"
HEX = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
PRESIGNED = (
    f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={CREDENTIAL}&X-Amz-Date=20150830T123600Z"
    f"&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature={HEX}"
)


def claim(authorization: str, stamp: str = "20150830T123600Z") -> sigv4.Claim[Terms]:
    return sigv4.claim_of({"authorization": authorization, "x-amz-date": stamp}, "", sigv4.read_terms)


@pytest.mark.parametrize(
    "order",
    [
        f"Credential={CREDENTIAL}, SignedHeaders=host;x-amz-date, Signature={HEX}",
        f"Signature={HEX},Credential={CREDENTIAL},SignedHeaders=Host;X-Amz-Date",
        f"SignedHeaders=host;x-amz-date,   Signature={HEX},   Credential={CREDENTIAL}",
    ],
)
def test_the_parts_of_a_signature_come_in_any_order(order: str) -> None:
    said = claim(f"AWS4-HMAC-SHA256 {order}")
    assert (said.terms.scope.access_key, said.terms.scope.service, said.signature) == ("AKIDEXAMPLE", "iam", HEX)
    assert said.terms.signed == ("host", "x-amz-date")


@pytest.mark.parametrize(
    ("authorization", "error", "text"),
    [
        ("Credential=a, SignedHeaders=host", IncompleteSignature, "requires 'Signature' parameter"),
        (f"Credential={CREDENTIAL}, Signature={HEX}", IncompleteSignature, "requires 'SignedHeaders' parameter"),
        (f"{CREDENTIAL}, SignedHeaders=host, Signature={HEX}", IncompleteSignature, "not valid key=value pairs"),
        (f"Credential=a/b/c, SignedHeaders=host, Signature={HEX}", IncompleteSignature, "exactly 5 slash-delimited"),
        (
            f"Credential={CREDENTIAL}, SignedHeaders=host, Signature={HEX}, Signature={HEX}",
            IncompleteSignature,
            "key=value",
        ),
        (
            f"Credential={CREDENTIAL}, Credential=x, SignedHeaders=host, Signature={HEX}",
            IncompleteSignature,
            "key=value",
        ),
        (f"Credential={CREDENTIAL}, SignedHeaders=x-amz-date, Signature={HEX}", InvalidSignature, "'Host' or"),
        (
            f"Credential={CREDENTIAL.replace('0830', '0831')}, SignedHeaders=host, Signature={HEX}",
            InvalidSignature,
            "'20150831' != '20150830', from '20150830T123600Z'",
        ),
    ],
)
def test_what_is_no_whole_signature_is_told_in_aws_words(authorization: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text) as raised:
        claim(f"AWS4-HMAC-SHA256 {authorization}")
    assert HEX not in str(raised.value)


def test_more_names_than_a_request_has_fields_are_not_read() -> None:
    names = ";".join(["host"] * 101)
    with pytest.raises(IncompleteSignature, match="100 signed headers at most"):
        claim(f"AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders={names}, Signature={HEX}")
    with pytest.raises(IncompleteSignature, match="hold none"):
        sigv4.claim_of({}, PRESIGNED.replace("us-east-1", "us-east-1%2C"), sigv4.read_terms)


def test_another_algorithm_and_another_scheme_are_refused_and_not_shown() -> None:
    with pytest.raises(IncompleteSignature, match=r"Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'"):
        claim(f"AWS4-ECDSA-P256-SHA256 Credential={CREDENTIAL}, SignedHeaders=host, Signature={HEX}")
    for scheme in ("Basic c2VjcmV0", "Bearer c2VjcmV0", "AWS key:c2VjcmV0"):
        with pytest.raises(IncompleteSignature) as raised:
            claim(scheme)
        assert "c2VjcmV0" not in str(raised.value)


def test_a_field_that_is_not_signed_may_not_be_one_of_aws() -> None:
    request = signed_by_boto("/", {}, b"")
    for name, good in (("x-amz-target", False), ("x-amz-meta-a", False), ("x-amzn-trace-id", True), ("accept", True)):
        more = SignedRequest(request.method, request.path, request.query, {**request.headers, name: "x"})
        if good:
            check(more, SECRET, now())
        else:
            with pytest.raises(InvalidSignature, match=f"were not signed: {name}"):
                check(more, SECRET, now())


def test_a_field_that_is_signed_must_be_there_and_a_signature_be_one() -> None:
    request = signed_by_boto("/", {}, b"")
    fields = {name: value for name, value in request.headers.items() if name != "x-amz-invocation-type"}
    for headers in (fields, {**request.headers, "authorization": f"{request.headers['authorization'][:-1]}é"}):
        with pytest.raises(InvalidSignature, match="The request signature we calculated does not match"):
            check(msgspec.structs.replace(request, headers=headers), SECRET, now())


def test_names_of_fields_are_no_pattern() -> None:
    fields = {"host": "localhost", "x%s": "a   b%d"}
    fields |= sign(
        "GET", "/", "", fields, b"", credentials=Credentials("AK", SECRET), region="r", service="s", now=now()
    )
    check(SignedRequest("GET", "/", "", fields), SECRET, now())


@example(name="à", value=" ")
@given(
    name=st.sampled_from(["a", "ä", "\u20ac"]), value=st.text(st.characters(codec="latin-1", exclude_categories=["C"]))
)
def test_the_bytes_of_a_field_are_signed_not_its_characters(name: str, value: str) -> None:
    """As they come off the wire: one character for each byte, without spaces around them."""
    raw = f"{name}{value}".encode().decode("latin-1").strip(" ")
    fields = {"host": "localhost", "x-amz-meta-name": raw}
    credentials = Credentials("AK", SECRET)
    fields |= sign("GET", "/", "", fields, b"", credentials=credentials, region="r", service="s3", now=now())
    check(SignedRequest("GET", "/", "", fields), SECRET, now())


@given(st.text(max_size=80), st.text(st.characters(codec="ascii"), max_size=80))
def test_no_text_breaks_the_reader(text: str, query: str) -> None:
    for authorization in (text, f"AWS4-HMAC-SHA256 {text}", f"AWS4-HMAC-SHA256 Credential={CREDENTIAL}, {text}"):
        for asked in ("", f"X-Amz-Signature={query}", f"{query}&X-Amz-Signature=a&X-Amz-Algorithm=AWS4-HMAC-SHA256"):
            try:
                headers = {"authorization": authorization, "x-amz-date": "20150830T123600Z"}
                check(SignedRequest("GET", "/", asked, headers), SECRET, now())
            except (AccessDenied, IncompleteSignature, InvalidSignature, MissingAuthenticationToken):
                continue
            raise AssertionError("nobody signed this")


@pytest.mark.parametrize("expires", ["", "-1", "1e3", "x", "9999999", "\u0663"])
def test_a_link_says_for_how_long_it_is_good(expires: str) -> None:
    with pytest.raises(IncompleteSignature):
        sigv4.claim_of({}, PRESIGNED.replace("Expires=60", f"Expires={expires}"), sigv4.read_terms)


def test_an_expired_link_is_told_in_the_words_of_its_service() -> None:
    credentials = Credentials("AK", SECRET)
    at = WallTime(1_750_000_000_000)
    for service, error, text in (
        ("s3", AccessDenied, "has expired"),
        ("lambda", InvalidSignature, "Signature expired"),
    ):
        link = presign(
            "GET", "http://h", "/a", credentials=credentials, region="r", service=service, now=at, valid_s=60
        )
        request = SignedRequest("GET", "/a", urlsplit(link).query, {"host": "h"})
        check(request, SECRET, at)
        with pytest.raises(error, match=text):
            check(request, SECRET, WallTime(at + 61_000))


def test_a_query_of_more_parameters_than_anybody_has_is_not_read() -> None:
    with pytest.raises(IncompleteSignature, match="1000 query-string parameters at most"):
        pairs_of("&".join(["a=b"] * 1002))
    assert len(pairs_of("&".join(["a=b"] * 1000))) == 1000
