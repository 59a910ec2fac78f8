"""AWS Signature Version 4: who says that they signed a request, whether they did, and links that we sign ourselves.

```
 claim_of ─▶ what a request says of its signature      whose key that is: somebody else's to say
 verify   ─▶ whether that key signed this request, and in time
```
Obeys "AWS Signature Version 4 for API requests" (IAM user guide). For S3 paths are encoded once and the body of a
presigned request is not signed; for all others paths are encoded twice. Knows no account and no
clock: secrets and the time are given. Texts, and the order in which things are found wrong, are AWS's.
"""

import hashlib
import hmac
import re
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

CONTENT_SHA256 = "x-amz-content-sha256"
"""The header in which a client says what its body is, or that it is not signed."""

TOKEN_HEADER = "x-amz-security-token"
TOKEN_PARAMETER = "X-Amz-Security-Token"

_MINUTE_MS = 60_000
_SKEW_MS = 5 * _MINUTE_MS
_LONGEST_LINK_S = 604_800
_LONGEST_CREDENTIAL = 512
_REGION = re.compile(r"[a-z0-9-]{1,64}|\*", re.ASCII)
_LONGEST_KEPT = 1024
"""Characters of what strangers send that is remembered."""

_STAMP = "%Y%m%dT%H%M%SZ"
_STAMP_LENGTH = 16
_COVERED = frozenset({"x-amz-date", CONTENT_SHA256})
"""Fields that a signature covers whether or not it names them."""

WRONG = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


class Scope(msgspec.Struct, frozen=True, gc=False):
    """What a signature is good for. Says who claims to have signed, not that they did."""

    access_key: str
    date: str
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


class Credentials(msgspec.Struct, frozen=True, gc=False):
    access_key: str
    secret: str
    token: str | None = None
    """Of a session, for credentials that expire."""


class SignedRequest(msgspec.Struct, frozen=True, gc=False):
    """What of a request goes into its signature."""

    method: str
    path: str
    """As it came, percent-encoded, without the query."""

    query: str
    headers: Mapping[str, str]
    """Names in lower case; what came twice is joined with a comma."""

    body_sha256: str = EMPTY_BODY
    """Of the body that really came, in hexadecimal."""


class Claim(msgspec.Struct, frozen=True, gc=False):
    """What a request says of its signature. Nothing of it is known to be true."""

    scope: Scope
    signed: tuple[str, ...]
    """The names of the fields that the signature covers."""

    stamp: str
    signed_at: WallTime
    """What the stamp says."""

    signature: str
    token: str = ""
    """Of the session whose credentials they are; empty for lasting ones."""

    valid_s: int | None = None
    """Of a presigned query: for how long it is good; None for a header."""


def claim_of(headers: Mapping[str, str], query: str) -> Claim:
    """Who claims to have signed a request and how, in its query if that is presigned, else in its header.

    Raises `MissingAuthenticationToken`, `IncompleteSignature`; `InvalidSignature` where host or date are not covered.
    """
    claim = _presigned_claim(query) if is_presigned(query) else _header_claim(headers)
    if "host" not in claim.signed:
        raise InvalidSignature("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    day = claim.stamp[:8]
    if claim.scope.date != day:
        raise InvalidSignature(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{claim.scope.date}' != '{day}', from '{claim.stamp}'."
        )
    return claim


def verify(claim: Claim, request: SignedRequest, secret: str, now: WallTime) -> None:
    """Raises `InvalidSignature` unless `secret` signed `request` as it claims, and it is still good at `now`.

    That is five minutes from its stamp, or as long as a presigned query says; an expired one for S3 is
    `AccessDenied`. Fields by the name of `x-amz-...` must all be covered, or another could be added on the way.
    """
    _check_time(claim, now)
    headers = request.headers
    for name in headers:
        if name.startswith("x-amz-") and name not in claim.signed and name not in _COVERED:
            raise InvalidSignature(f"There were headers present in the request which were not signed: {name}")
    body = request.body_sha256
    if claim.valid_s is None:
        query = _canonical_query(_pairs(request.query)) if request.query else ""
        if headers.get(CONTENT_SHA256, body) != body:
            raise InvalidSignature(WRONG)
    else:
        pairs = [(name, value) for name, value in _pairs(request.query) if name != "X-Amz-Signature"]
        query = _canonical_query(pairs)
        body = _presigned_body(claim.scope.service, body)
    canonical = _canonical(request, query, claim.signed, body, claim.scope)
    expected = _signer(secret, claim.scope).sign(claim.stamp, canonical)
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        raise InvalidSignature(WRONG)


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
    stamp = _stamp(now)
    scope = Scope(credentials.access_key, stamp[:8], region, service)
    body_sha256 = hashlib.sha256(body).hexdigest()
    added = {"x-amz-date": stamp, "x-amz-content-sha256": body_sha256}
    if credentials.token is not None:
        added["x-amz-security-token"] = credentials.token
    fields = {**headers, **added}
    signed = tuple(sorted(fields))
    request = SignedRequest(method, path, query, fields, body_sha256)
    canonical = _canonical(request, _canonical_query(_pairs(query)), signed, body_sha256, scope)
    signature = _signer(credentials.secret, scope).sign(stamp, canonical)
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
    stamp = _stamp(now)
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
    return f"{endpoint}{path}?{query}&X-Amz-Signature={_signer(credentials.secret, scope).sign(stamp, canonical)}"


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


class _Said(msgspec.Struct, frozen=True, gc=False):
    """The part of an Authorization header that a client repeats all day."""

    scope: Scope
    signed: tuple[str, ...]


def _header_claim(headers: Mapping[str, str]) -> Claim:
    authorization = headers.get("authorization")
    if not authorization:
        raise MissingAuthenticationToken("Missing Authentication Token")
    rest, found, signature = authorization.rpartition(", Signature=")
    said = _said(rest) if found and len(rest) <= _LONGEST_KEPT and "," not in signature else None
    if said is None:
        said, signature = _read_authorization(authorization)
    stamp = headers.get("x-amz-date", "")
    signed_at = _moment(stamp)
    if signed_at is None:
        raise _incomplete(
            f"Date must be in ISO-8601 'basic format'. Got '{stamp}'. See http://en.wikipedia.org/wiki/ISO_8601"
            if stamp
            else "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
            authorization,
        )
    return Claim(said.scope, said.signed, stamp, signed_at, signature, headers.get(TOKEN_HEADER, ""))


@lru_cache(maxsize=4096)
def _said(rest: str) -> _Said | None:
    """What stands before the signature, in the order in which every client writes it; None in any other."""
    credential, found, signed = rest.removeprefix(f"{ALGORITHM} Credential=").partition(", SignedHeaders=")
    if not found or not rest.startswith(f"{ALGORITHM} Credential=") or "," in credential or "," in signed:
        return None
    return _Said(_scope(credential), _names(signed))


def _read_authorization(authorization: str) -> tuple[_Said, str]:
    """What an Authorization header says, in whatever order, and its signature; nothing may be there twice."""
    algorithm, _, rest = authorization.partition(" ")
    parts: dict[str, str] = {}
    for piece in rest.split(","):
        name, equals, value = piece.strip().partition("=")
        if not equals or name in parts:
            raise _incomplete("not valid key=value pairs (missing equal-sign) in Authorization header.", authorization)
        parts[name] = value
    for name in ("Credential", "Signature", "SignedHeaders"):
        if not parts.get(name):
            raise _incomplete(f"Authorization header requires '{name}' parameter.", authorization)
    _check_algorithm(algorithm)
    return _Said(_scope(parts["Credential"]), _names(parts["SignedHeaders"])), parts["Signature"]


def _presigned_claim(query: str) -> Claim:
    """Raises `IncompleteSignature` for a parameter that is missing, or there twice."""
    pairs = _pairs(query)
    given = dict(pairs)
    for name in ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"):
        if sum(each == name for each, _ in pairs) != 1:
            raise IncompleteSignature(f"AWS query-string parameters must include '{name}', once.")
    _check_algorithm(given["X-Amz-Algorithm"])
    valid = given.get("X-Amz-Expires", "")
    signed_at = _moment(given["X-Amz-Date"])
    if signed_at is None or not (valid.isascii() and valid.isdecimal()) or len(valid) > 6:
        raise IncompleteSignature("AWS query-string parameters must include a valid 'X-Amz-Date' and 'X-Amz-Expires'.")
    return Claim(
        _scope(given["X-Amz-Credential"]),
        _names(given["X-Amz-SignedHeaders"]),
        given["X-Amz-Date"],
        signed_at,
        given["X-Amz-Signature"],
        given.get(TOKEN_PARAMETER, ""),
        min(int(valid), _LONGEST_LINK_S),
    )


def _check_algorithm(algorithm: str) -> None:
    if algorithm != ALGORITHM:
        raise IncompleteSignature(f"Unsupported AWS 'algorithm': '{algorithm}' (only {ALGORITHM} for now). ")


def _names(signed: str) -> tuple[str, ...]:
    return tuple(signed.lower().split(";"))


def _incomplete(what: str, authorization: str) -> IncompleteSignature:
    return IncompleteSignature(f"{what} Authorization={_concealed(authorization)}")


@lru_cache(maxsize=4096)
def _scope(credential: str) -> Scope:
    """Remembered, since a client repeats its credential all day; its length bounds what strangers make us keep."""
    parts = credential.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request" or len(credential) > _LONGEST_CREDENTIAL:
        raise IncompleteSignature(
            "Credential must have exactly 5 slash-delimited elements, "
            f"e.g. keyid/date/region/service/term, got '{credential}'"
        )
    if _REGION.fullmatch(parts[2]) is None:
        raise IncompleteSignature(f"Credential should be scoped to a valid region, got '{credential}'")
    return Scope(*parts[:4])


class _Signer:
    """Signs with the key of one secret and scope: HMAC-SHA256 (RFC 2104) that is begun once and gone on with from
    copies, for a third of what `hmac.digest` takes."""

    __slots__ = ("_inner", "_outer", "_scope")

    def __init__(self, key: bytes, scope: Scope) -> None:
        self._scope = str(scope)
        block = key.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def sign(self, stamp: str, canonical: str) -> str:
        # Header fields are bytes, which stand here one character each; all else is ASCII.
        hashed = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
        inner = self._inner.copy()
        inner.update(f"{ALGORITHM}\n{stamp}\n{self._scope}\n{hashed}".encode())
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()


@lru_cache(maxsize=1024)
def _signer(secret: str, scope: Scope) -> _Signer:
    key = f"AWS4{secret}".encode()
    for part in (scope.date, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return _Signer(key, scope)


def _canonical(request: SignedRequest, query: str, signed: tuple[str, ...], body_sha256: str, scope: Scope) -> str:
    path = request.path if _of_s3(scope.service) else _encoded_path(request.path)
    headers = request.headers
    fields = ""
    for name in signed:
        value = headers.get(name, "")
        fields += f"{name}:{' '.join(value.split()) if '  ' in value else value.strip()}\n"
    return f"{request.method}\n{path}\n{query}\n{fields}\n{';'.join(signed)}\n{body_sha256}"


def _encoded_path(path: str) -> str:
    return _quoted(path) if len(path) <= _LONGEST_KEPT else quote(path, safe="/~")


@lru_cache(maxsize=4096)
def _quoted(path: str) -> str:
    return quote(path, safe="/~")


def _pairs(query: str) -> list[tuple[str, str]]:
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


def _canonical_query(pairs: list[tuple[str, str]]) -> str:
    encoded = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _presigned_body(service: str, body_sha256: str = EMPTY_BODY) -> str:
    return UNSIGNED if _of_s3(service) else body_sha256


def _of_s3(service: str) -> bool:
    """S3 signs under several names: `s3express`, `s3-outposts`."""
    return service.startswith("s3")


def _check_time(claim: Claim, now: WallTime) -> None:
    age_ms = now - claim.signed_at
    limit_ms = _SKEW_MS if claim.valid_s is None else claim.valid_s * 1000
    if -_SKEW_MS <= age_ms <= limit_ms:
        return
    if claim.valid_s is not None and _of_s3(claim.scope.service) and age_ms > limit_ms:
        raise AccessDenied("Request has expired")
    stamp, here = claim.stamp, _stamp(now)
    if age_ms > limit_ms:
        edge, minutes = _stamp(WallTime(now - limit_ms)), f"{limit_ms / _MINUTE_MS:g}"
        raise InvalidSignature(f"Signature expired: {stamp} is now earlier than {edge} ({here} - {minutes} min.)")
    edge = _stamp(WallTime(now + _SKEW_MS))
    raise InvalidSignature(f"Signature not yet current: {stamp} is still later than {edge} ({here} + 5 min.)")


def _stamp(moment: WallTime) -> str:
    return datetime.fromtimestamp(moment / 1000, UTC).strftime(_STAMP)


def _moment(stamp: str) -> WallTime | None:
    return _read(stamp) if len(stamp) == _STAMP_LENGTH else None


@lru_cache(maxsize=64)
def _read(stamp: str) -> WallTime | None:
    """Remembered: requests of one second have one stamp, and to read it takes as long as half of all the rest."""
    try:
        return WallTime(int(datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC).timestamp()) * 1000)
    except ValueError:
        return None


def _concealed(authorization: str) -> str:
    """An Authorization header without the signature in it, fit to be shown; of another scheme nothing is."""
    return authorization.partition("Signature=")[0] if authorization.startswith("AWS4-") else "..."
