"""AWS Signature Version 4: who says that they signed a request, whether they did, and links that we sign ourselves.

Obeys "AWS Signature Version 4 for API requests" (IAM user guide). For the service `s3` paths are encoded once and
the body of a presigned request is not signed; for all others paths are encoded twice. Knows no account and no
clock: secrets and the time are given.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, unquote_plus

import msgspec

from ondol.model.errors import AccessDenied, IncompleteSignature, InvalidSignature, MissingAuthenticationToken
from ondol.model.time import WallTime

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_BODY = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"

_OLD_SCHEME = "AWS "
"""Signature Version 2, which of all services only S3 was left with."""

_SKEW_S = 300
_LONGEST_LINK_S = 604_800
_LONGEST_CREDENTIAL = 512
_STAMP = "%Y%m%dT%H%M%SZ"
_STAMP_LENGTH = 16

_WRONG = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


class Scope(msgspec.Struct, frozen=True):
    """What a signature is good for. Says who claims to have signed, not that they did."""

    access_key: str
    date: str
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


class Credentials(msgspec.Struct, frozen=True):
    access_key: str
    secret: str
    token: str | None = None
    """Of a session, for credentials that expire."""


class SignedRequest(msgspec.Struct, frozen=True):
    """What of a request goes into its signature."""

    method: str
    path: str
    """As it came, percent-encoded, without the query."""

    query: str
    headers: Mapping[str, str]
    """Names in lower case; what came twice is joined with a comma."""

    body_sha256: str = EMPTY_BODY
    """Of the body that really came, in hexadecimal."""


def scope_of(authorization: str | None) -> Scope:
    """Who claims to have signed, from an Authorization header. Verifies nothing.

    The older `AWS key:signature` is S3's. Raises `MissingAuthenticationToken` and `IncompleteSignature`.
    """
    if not authorization:
        raise MissingAuthenticationToken("Missing Authentication Token")
    _, found, rest = authorization.partition("Credential=")
    if not found:
        if authorization.startswith(_OLD_SCHEME):
            return Scope(authorization[len(_OLD_SCHEME) :].partition(":")[0], "", "", "s3")
        raise IncompleteSignature(
            f"Authorization header requires 'Credential' parameter. Authorization={_concealed(authorization)}"
        )
    return _scope(rest.partition(",")[0].rstrip())


def verify_header(request: SignedRequest, secret: str, now: WallTime) -> None:
    """Raises `InvalidSignature` unless `secret` signed `request` within five minutes of `now`.

    `IncompleteSignature` and `MissingAuthenticationToken` for what is no signature at all.
    """
    authorization = request.headers.get("authorization", "")
    scope = scope_of(authorization)
    pieces = (piece.partition("=") for piece in authorization.removeprefix(ALGORITHM).split(","))
    parts = {name.strip(): value.strip() for name, _, value in pieces}
    for name in ("Signature", "SignedHeaders"):
        if name not in parts:
            raise IncompleteSignature(
                f"Authorization header requires '{name}' parameter. Authorization={_concealed(authorization)}"
            )
    stamp = request.headers.get("x-amz-date", "")
    signed_at = _moment(stamp)
    if signed_at is None:
        raise IncompleteSignature(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
            f"Authorization={_concealed(authorization)}"
        )
    _check_skew(signed_at, _utc(now))
    claimed = request.headers.get("x-amz-content-sha256")
    if claimed not in (None, request.body_sha256):
        raise InvalidSignature(_WRONG)
    signed = tuple(parts["SignedHeaders"].split(";"))
    canonical = _canonical(request, _canonical_query(_pairs(request.query)), signed, request.body_sha256, scope)
    if not hmac.compare_digest(_signature(secret, scope, stamp, canonical), parts["Signature"]):
        raise InvalidSignature(_WRONG)


def sign(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    credentials: Credentials,
    region: str,
    service: str,
    now: WallTime,
) -> dict[str, str]:
    """The fields that make a request ours, to be added to `headers`, of which every one is signed.

    Names in lower case, the host among them; `path` percent-encoded, as it is sent.
    """
    stamp = _utc(now).strftime(_STAMP)
    scope = Scope(credentials.access_key, stamp[:8], region, service)
    body_sha256 = hashlib.sha256(body).hexdigest()
    added = {"x-amz-date": stamp, "x-amz-content-sha256": body_sha256}
    if credentials.token is not None:
        added["x-amz-security-token"] = credentials.token
    fields = {**headers, **added}
    signed = tuple(sorted(fields))
    request = SignedRequest(method, path, query, fields, body_sha256)
    canonical = _canonical(request, _canonical_query(_pairs(query)), signed, body_sha256, scope)
    signature = _signature(credentials.secret, scope, stamp, canonical)
    added["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={';'.join(signed)}, "
        f"Signature={signature}"
    )
    return added


def presign(
    method: str,
    endpoint: str,
    path: str,
    *,
    credentials: Credentials,
    region: str,
    service: str,
    now: WallTime,
    valid_s: int,
) -> str:
    """A link to `path` (percent-encoded) at `endpoint` (`http://host:port`), for anybody to use for `valid_s` s."""
    stamp = _utc(now).strftime(_STAMP)
    scope = Scope(credentials.access_key, stamp[:8], region, service)
    pairs = [
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", f"{credentials.access_key}/{scope}"),
        ("X-Amz-Date", stamp),
        ("X-Amz-Expires", str(valid_s)),
        ("X-Amz-SignedHeaders", "host"),
    ]
    query = _canonical_query(pairs)
    request = SignedRequest(method, path, query, {"host": endpoint.partition("://")[2]})
    canonical = _canonical(request, query, ("host",), _presigned_body(service), scope)
    return f"{endpoint}{path}?{query}&X-Amz-Signature={_signature(credentials.secret, scope, stamp, canonical)}"


def is_presigned(query: str) -> bool:
    """A request whose signature is in its query; it is to be verified wherever it comes from."""
    return "Signature=" in query and ("X-Amz-Signature=" in query or "AWSAccessKeyId=" in query)


def presigned_scope(query: str) -> Scope:
    """Who claims to have signed a presigned query. Raises `IncompleteSignature`.

    Links of S3 are still made in the older way as well, without a scope.
    """
    given = dict(_pairs(query))
    if "X-Amz-Signature" not in given and "Expires" in given:
        return Scope(given.get("AWSAccessKeyId", ""), "", "", "s3")
    return _scope(given.get("X-Amz-Credential", ""))


def verify_presigned(request: SignedRequest, secret: str, now: WallTime) -> None:
    """Raises unless `secret` signed this very link and it is still good.

    `InvalidSignature` for a wrong one, `AccessDenied` for an expired one, `IncompleteSignature` for half of one.
    """
    pairs = _pairs(request.query)
    given = dict(pairs)
    scope = _scope(given.get("X-Amz-Credential", ""))
    stamp, signed_at = given.get("X-Amz-Date", ""), _moment(given.get("X-Amz-Date", ""))
    valid = given.get("X-Amz-Expires", "")
    if given.get("X-Amz-Algorithm") != ALGORITHM or signed_at is None or not valid.isdecimal():
        raise IncompleteSignature("A presigned query requires X-Amz-Algorithm, X-Amz-Date and X-Amz-Expires.")
    signed = tuple(given.get("X-Amz-SignedHeaders", "").split(";"))
    rest = [(name, value) for name, value in pairs if name != "X-Amz-Signature"]
    canonical = _canonical(request, _canonical_query(rest), signed, _presigned_body(scope.service), scope)
    expected = _signature(secret, scope, stamp, canonical)
    if "host" not in signed or not hmac.compare_digest(expected, given.get("X-Amz-Signature", "")):
        raise InvalidSignature(_WRONG)
    age_s = (_utc(now) - signed_at).total_seconds()
    if age_s < -_SKEW_S or age_s > min(int(valid), _LONGEST_LINK_S):
        raise AccessDenied("Request has expired")


@lru_cache(maxsize=4096)
def _scope(credential: str) -> Scope:
    """Remembered, since a client repeats its credential all day; its length bounds what strangers make us keep."""
    parts = credential.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request" or len(credential) > _LONGEST_CREDENTIAL:
        raise IncompleteSignature(
            "Credential must have exactly 5 slash-delimited elements, "
            f"e.g. keyid/date/region/service/term, got '{credential}'"
        )
    return Scope(*parts[:4])


@lru_cache(maxsize=1024)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _signature(secret: str, scope: Scope, stamp: str, canonical: str) -> str:
    text = f"{ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return hmac.digest(_signing_key(secret, scope.date, scope.region, scope.service), text.encode(), "sha256").hex()


def _canonical(request: SignedRequest, query: str, signed: tuple[str, ...], body_sha256: str, scope: Scope) -> str:
    path = request.path if scope.service == "s3" else quote(request.path, safe="/~")
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signed)
    return f"{request.method}\n{path}\n{query}\n{headers}\n{';'.join(signed)}\n{body_sha256}"


def _pairs(query: str) -> list[tuple[str, str]]:
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


def _canonical_query(pairs: list[tuple[str, str]]) -> str:
    encoded = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _presigned_body(service: str) -> str:
    return UNSIGNED if service == "s3" else EMPTY_BODY


def _check_skew(signed_at: datetime, now: datetime) -> None:
    ahead_s = (signed_at - now).total_seconds()
    if abs(ahead_s) <= _SKEW_S:
        return
    stamp, here = signed_at.strftime(_STAMP), now.strftime(_STAMP)
    edge = datetime.fromtimestamp(now.timestamp() + (_SKEW_S if ahead_s > 0 else -_SKEW_S), UTC).strftime(_STAMP)
    if ahead_s < 0:
        raise InvalidSignature(f"Signature expired: {stamp} is now earlier than {edge} ({here} - 5 min.)")
    raise InvalidSignature(f"Signature not yet current: {stamp} is still later than {edge} ({here} + 5 min.)")


def _utc(moment: WallTime) -> datetime:
    return datetime.fromtimestamp(moment / 1000, UTC)


def _moment(stamp: str) -> datetime | None:
    return _read(stamp) if len(stamp) == _STAMP_LENGTH else None


@lru_cache(maxsize=64)
def _read(stamp: str) -> datetime | None:
    """Remembered: requests of one second have one stamp, and to read it takes as long as half of all the rest."""
    try:
        return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def _concealed(authorization: str) -> str:
    """An Authorization header without the signature in it, fit to be shown."""
    return authorization.partition("Signature=")[0]
