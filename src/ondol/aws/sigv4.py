"""AWS Signature Version 4: who says that they signed a request, and whether they did.

```
 claim_of ─▶ what a request says of its signature      whose key that is: somebody else's to say
 verify   ─▶ whether that key signed this request, and in time
```
Obeys "AWS Signature Version 4 for API requests" (IAM user guide), as `ondol.aws.signing` does. Knows no account and no
clock: who signs and the time are given. Texts, and the order in which things are found wrong, are AWS's.
"""

import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar

import msgspec

from ondol.aws.signing import (
    ALGORITHM,
    CONTENT_SHA256,
    STAMP,
    Scope,
    Signable,
    Signer,
    Terms,
    canonical_query,
    of_s3,
    pairs_of,
    presigned_body,
    stamp_of,
)
from ondol.model.errors import AccessDenied, IncompleteSignature, InvalidSignature, MissingAuthenticationToken
from ondol.model.time import WallTime

_OLD_SCHEME = "AWS "
"""Signature Version 2, which of all services only S3 was left with."""

TOKEN_HEADER = "x-amz-security-token"
TOKEN_PARAMETER = "X-Amz-Security-Token"

_MINUTE_MS = 60_000
SKEW_MS = 5 * _MINUTE_MS
"""By so much the clocks of a client and ours may differ."""

_LONGEST_LINK_S = 604_800
_LONGEST_CREDENTIAL = 512
_REGION = re.compile(r"[a-z0-9-]{1,64}|\*", re.ASCII)
_STAMP_LENGTH = 16
_BEGINNING = f"{ALGORITHM} Credential="
_MOST_NAMES = 100
_LONGEST_WORDS = 8192

WRONG = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


T = TypeVar("T", bound=Terms)


class Claim(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """What a request says of its signature. Nothing of it is known to be true."""

    terms: T
    stamp: str
    signed_at: WallTime
    """What the stamp says."""

    signature: str
    token: str = ""
    """Of the session whose credentials they are; empty for lasting ones."""

    presigned: bool = False
    """In the query, for whoever has the link."""

    good_ms: int = SKEW_MS
    """For how long after the stamp."""


def claim_of(headers: Mapping[str, str], query: str, terms_of: Callable[[str], T | None]) -> Claim[T]:
    """Who claims to have signed a request and how, in its query if that is presigned, else in its header.

    `terms_of` is `read_terms` or knows what that would say. Raises what it does, `MissingAuthenticationToken`,
    `IncompleteSignature`; `InvalidSignature` where the date is not covered.
    """
    if query and is_presigned(query):
        claim = _presigned_claim(query, terms_of)
    else:
        authorization = headers.get("authorization")
        if not authorization:
            raise MissingAuthenticationToken("Missing Authentication Token")
        words, _, signature = authorization.rpartition(", Signature=")
        terms = terms_of(words) if "," not in signature else None
        if terms is None:
            words, signature = _in_order(authorization)
            terms = _found(terms_of(words))
        stamp = headers.get("x-amz-date", "")
        signed_at = moment_of(stamp)
        if signed_at is None:
            raise _undated(stamp, authorization)
        claim = Claim(terms, stamp, signed_at, signature, headers.get(TOKEN_HEADER, ""))
    day, date = claim.stamp[:8], claim.terms.scope.date
    if day != date:
        raise InvalidSignature(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{date}' != '{day}', from '{claim.stamp}'."
        )
    return claim


def read_terms(words: str) -> Terms | None:
    """What stands before the signature in an Authorization header, in the order in which every client writes it.

    None in any other order. Raises `IncompleteSignature`; `InvalidSignature` where the host is not covered.
    """
    credential, found, signed = words.removeprefix(_BEGINNING).partition(", SignedHeaders=")
    if not found or not words.startswith(_BEGINNING) or "," in credential or "," in signed:
        return None
    names = tuple(signed.lower().split(";"))
    if len(words) > _LONGEST_WORDS or len(names) > _MOST_NAMES:
        raise IncompleteSignature(f"ondol reads {_MOST_NAMES} signed headers at most, of {_LONGEST_WORDS} characters.")
    scope = _scope(credential)
    if "host" not in names:
        raise InvalidSignature("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    return Terms(scope, names)


known_terms = lru_cache(maxsize=512)(read_terms)
"""As `read_terms`, of what a client repeats all day. Its bounds are those of what strangers can make us keep."""


def verify(claim: Claim[Any], signer: Signer, request: Signable, body_sha256: str, now: WallTime) -> None:
    """Raises `InvalidSignature` unless `signer` signed `request` as it claims, and it is still good at `now`.

    `signer` is of the claim's terms; `body_sha256` is, in hexadecimal, of the body that really came.

    Good is a signature for five minutes from its stamp, or as long as a presigned query says; an expired one for S3 is
    `AccessDenied`. Fields by the name of `x-amz-...` must all be covered, or another could be added on the way.
    """
    if not -SKEW_MS <= now - claim.signed_at <= claim.good_ms:
        raise _untimely(claim, now)
    headers, query = request.headers, request.query
    uncovered = uncovered_field(headers, claim.terms)
    if uncovered is not None:
        raise InvalidSignature(f"There were headers present in the request which were not signed: {uncovered}")
    if claim.presigned:
        query = canonical_query([(name, value) for name, value in pairs_of(query) if name != "X-Amz-Signature"])
        body_sha256 = presigned_body(claim.terms.scope.service, body_sha256)
    else:
        if query:
            query = canonical_query(pairs_of(query))
        if headers.get(CONTENT_SHA256, body_sha256) != body_sha256:
            raise InvalidSignature(WRONG)
    try:
        expected = signer.sign(claim.stamp, request, query, body_sha256)
    except KeyError as missing:
        raise InvalidSignature(WRONG) from missing
    if not (claim.signature.isascii() and hmac.compare_digest(expected, claim.signature)):
        raise InvalidSignature(WRONG)


def uncovered_field(headers: Mapping[str, str], terms: Terms) -> str | None:
    """The name of a field `x-amz-...` that a signature on these terms does not cover, if there is one."""
    known = terms.known_fields
    if headers.keys() <= known:
        return None
    return next((name for name in headers if name.startswith("x-amz-") and name not in known), None)


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


def is_presigned(query: str) -> bool:
    """A request whose signature is in its query; it is to be verified wherever it comes from."""
    return "Signature=" in query and ("X-Amz-Signature=" in query or "AWSAccessKeyId=" in query)


def presigned_scope(query: str) -> Scope:
    """Who claims to have signed a presigned query. Raises `IncompleteSignature`.

    Links of S3 are still made in the older way as well, without a scope.
    """
    given = dict(pairs_of(query))
    if "X-Amz-Signature" not in given and "Expires" in given:
        return Scope(given.get("AWSAccessKeyId", ""), "", "", "s3")
    return _scope(given.get("X-Amz-Credential", ""))


def _in_order(authorization: str) -> tuple[str, str]:
    """An Authorization header in whatever order as `read_terms` reads it, and its signature; nothing is there twice."""
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
    return _words(parts["Credential"], parts["SignedHeaders"]), parts["Signature"]


def _words(credential: str, signed: str) -> str:
    return f"{_BEGINNING}{credential}, SignedHeaders={signed}"


def _found(terms: T | None) -> T:
    if terms is None:
        raise IncompleteSignature("Credential and SignedHeaders are separated by commas, and hold none.")
    return terms


def _presigned_claim(query: str, terms_of: Callable[[str], T | None]) -> Claim[T]:
    """Raises `IncompleteSignature` for a parameter that is missing, or there twice."""
    pairs = pairs_of(query)
    given = dict(pairs)
    for name in ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"):
        if sum(each == name for each, _ in pairs) != 1:
            raise IncompleteSignature(f"AWS query-string parameters must include '{name}', once.")
    _check_algorithm(given["X-Amz-Algorithm"])
    valid = given.get("X-Amz-Expires", "")
    stamp = given["X-Amz-Date"]
    signed_at = moment_of(stamp)
    if signed_at is None or not (valid.isascii() and valid.isdecimal()) or len(valid) > 6:
        raise IncompleteSignature("AWS query-string parameters must include a valid 'X-Amz-Date' and 'X-Amz-Expires'.")
    return Claim(
        _found(terms_of(_words(given["X-Amz-Credential"], given["X-Amz-SignedHeaders"]))),
        stamp,
        signed_at,
        given["X-Amz-Signature"],
        given.get(TOKEN_PARAMETER, ""),
        True,
        min(int(valid), _LONGEST_LINK_S) * 1000,
    )


def _check_algorithm(algorithm: str) -> None:
    if algorithm != ALGORITHM:
        raise IncompleteSignature(f"Unsupported AWS 'algorithm': '{algorithm}' (only {ALGORITHM} for now). ")


def _undated(stamp: str, authorization: str) -> IncompleteSignature:
    if stamp:
        what = f"Date must be in ISO-8601 'basic format'. Got '{stamp}'. See http://en.wikipedia.org/wiki/ISO_8601"
    else:
        what = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
    return _incomplete(what, authorization)


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


def _untimely(claim: Claim[Any], now: WallTime) -> InvalidSignature | AccessDenied:
    """Why a claim is not good now: not any more, or not yet."""
    good_ms = claim.good_ms
    expired = now - claim.signed_at > good_ms
    if expired and claim.presigned and of_s3(claim.terms.scope.service):
        return AccessDenied("Request has expired")
    stamp, here = claim.stamp, stamp_of(now)
    if expired:
        edge, minutes = stamp_of(WallTime(now - good_ms)), f"{good_ms / _MINUTE_MS:g}"
        return InvalidSignature(f"Signature expired: {stamp} is now earlier than {edge} ({here} - {minutes} min.)")
    edge = stamp_of(WallTime(now + SKEW_MS))
    return InvalidSignature(f"Signature not yet current: {stamp} is still later than {edge} ({here} + 5 min.)")


@lru_cache(maxsize=64)
def moment_of(stamp: str) -> WallTime | None:
    """What a stamp says; None if it is none.

    Remembered: requests of one second have one stamp, and to read it takes as long as half of all the rest.
    """
    if len(stamp) != _STAMP_LENGTH:
        return None
    try:
        return WallTime(int(datetime.strptime(stamp, STAMP).replace(tzinfo=UTC).timestamp()) * 1000)
    except ValueError:
        return None


def _concealed(authorization: str) -> str:
    """An Authorization header without the signature in it, fit to be shown; of another scheme nothing is."""
    return authorization.partition("Signature=")[0] if authorization.startswith("AWS4-") else "..."
