"""Signatures, with botocore's signers as the oracle."""

import hashlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from botocore.utils import percent_encode_sequence
from hypothesis import example, given
from hypothesis import strategies as st

from ondol.aws import sigv4
from ondol.aws.identity import caller_of
from ondol.model.errors import AccessDenied, IncompleteSignature, InvalidSignature, MissingAuthenticationToken
from ondol.model.time import WallTime

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
BOTO = BotoCredentials("123456789012", SECRET)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=20)


def now() -> WallTime:
    return WallTime(int(datetime.now(UTC).timestamp() * 1000))


def as_signed(request: AWSRequest) -> sigv4.SignedRequest:
    prepared = request.prepare()
    url = urlsplit(prepared.url)
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in prepared.headers.items()
    }
    headers.setdefault("host", url.netloc)
    body = hashlib.sha256(prepared.body.encode() if isinstance(prepared.body, str) else prepared.body or b"")
    return sigv4.SignedRequest(prepared.method, url.path, url.query, headers, body.hexdigest())


def signed_by_boto(path: str, params: dict[str, str], body: bytes, service: str = "lambda") -> sigv4.SignedRequest:
    url = f"http://localhost:8000{path}?{percent_encode_sequence(params)}".rstrip("?")
    request = AWSRequest("POST", url, headers={"X-Amz-Invocation-Type": "  Event   x "}, data=body)
    SigV4Auth(BOTO, service, "eu-west-1").add_auth(request)
    return as_signed(request)


@given(
    name=NAMES.filter(lambda name: name not in (".", "..")),
    params=st.dictionaries(NAMES, st.text(st.characters(codec="utf-8"), max_size=10), max_size=4),
    body=st.binary(max_size=50),
)
@example(name="f", params={"0": "", "00": ""}, body=b"")
def test_what_botocore_signs_is_verified(name: str, params: dict[str, str], body: bytes) -> None:
    request = signed_by_boto(f"/2015-03-31/functions/{sigv4.quote(name, safe='')}/invocations", params, body)
    sigv4.verify_header(request, SECRET, now())


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"path": "/2015-03-31/functions/g/invocations"},
        {"query": "Qualifier=2"},
        {"body_sha256": sigv4.EMPTY_BODY},
    ],
)
def test_a_changed_request_is_refused(change: dict[str, Any]) -> None:
    request = signed_by_boto("/2015-03-31/functions/f/invocations", {"Qualifier": "1"}, b"{}")
    changed = sigv4.SignedRequest(
        **{name: change.get(name, getattr(request, name)) for name in request.__struct_fields__}
    )
    with pytest.raises(InvalidSignature, match="The request signature we calculated does not match"):
        sigv4.verify_header(changed, SECRET, now())
    with pytest.raises(InvalidSignature):
        sigv4.verify_header(request, "another secret", now())


def test_an_old_and_a_coming_signature_are_refused() -> None:
    request = signed_by_boto("/", {}, b"")
    with pytest.raises(
        InvalidSignature, match=r"^Signature expired: \S+Z is now earlier than \S+Z \(\S+Z - 5 min\.\)$"
    ):
        sigv4.verify_header(request, SECRET, WallTime(now() + 310_000))
    with pytest.raises(InvalidSignature, match=r"^Signature not yet current: \S+Z is still later than"):
        sigv4.verify_header(request, SECRET, WallTime(now() - 310_000))
    sigv4.verify_header(request, SECRET, WallTime(now() + 290_000))


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
    request = sigv4.SignedRequest("GET", "/", "", {"authorization": header})
    with pytest.raises(IncompleteSignature, match="requires 'SignedHeaders' parameter") as raised:
        sigv4.verify_header(request, SECRET, now())
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
    sigv4.verify_presigned(signed, SECRET, now())


def test_our_links_are_good_until_they_expire_and_for_nothing_else() -> None:
    at = WallTime(1_750_000_000_000)
    link = sigv4.presign(
        "GET",
        "http://localhost:8000",
        "/code/0a1b",
        credentials=sigv4.Credentials("ondol", SECRET),
        region="us-east-1",
        service="s3",
        now=at,
        valid_s=600,
    )
    url = urlsplit(link)
    request = sigv4.SignedRequest("GET", url.path, url.query, {"host": url.netloc})
    sigv4.verify_presigned(request, SECRET, WallTime(at + 600_000))
    with pytest.raises(AccessDenied, match="Request has expired"):
        sigv4.verify_presigned(request, SECRET, WallTime(at + 601_000))
    for wrong in (
        sigv4.SignedRequest("GET", "/code/ffff", url.query, {"host": url.netloc}),
        sigv4.SignedRequest("PUT", url.path, url.query, {"host": url.netloc}),
        sigv4.SignedRequest("GET", url.path, url.query, {"host": "evil:8000"}),
        sigv4.SignedRequest("GET", url.path, url.query.replace("Expires=600", "Expires=6000"), {"host": url.netloc}),
    ):
        with pytest.raises(InvalidSignature):
            sigv4.verify_presigned(wrong, SECRET, at)
    with pytest.raises(IncompleteSignature):
        sigv4.verify_presigned(sigv4.SignedRequest("GET", "/", "X-Amz-Signature=x", {}), SECRET, at)
