"""The API as callers reach it whose signatures are verified (`--auth sigv4`): whose credential a request names."""

from collections.abc import AsyncIterable
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest

from ondol.aws.identity import Caller
from ondol.aws.service_ids import LAMBDA
from ondol.aws.signing import CONTENT_SHA256, Signer, Terms, canonical_query, pairs_of
from ondol.aws.sigv4 import SKEW_MS, TOKEN_HEADER, Claim, claim_of, is_presigned, moment_of, read_terms, uncovered_field
from ondol.callers.api import Callers, Key
from ondol.frontend.rights import operations_of
from ondol.frontend.verifier import Verifier
from ondol.http import Request
from ondol.model.errors import UnrecognizedClient
from ondol.model.ids import Region
from ondol.model.time import Clock

_HEXADECIMAL = 64
"""Characters of a signature."""

_UNKNOWN = "The security token included in the request is invalid."


class Signatory(Terms):
    """Terms of signing, and the credential that there is for them: the same from call to call."""

    __slots__ = ("access_key", "caller", "credential", "date", "key", "operations", "service", "signer")

    def __init__(self, terms: Terms, key: Key) -> None:
        super().__init__(terms.scope, terms.signed)
        credential = key.credential
        self.key = key
        self.credential = credential
        self.access_key = credential.access_key
        self.caller = Caller(credential.account, Region(terms.scope.region), credential.access_key, credential.arn)
        self.date = terms.scope.date
        self.service = terms.scope.service
        self.operations = operations_of(credential.rights)
        """Those of Lambda that the credential has the right to."""

        self.signer = Signer(key.secret, terms)


class VerifiedDoor:
    """Verifies requests by the credentials that count at that moment."""

    def __init__(self, callers: Callers, clock: Clock) -> None:
        self._keys = callers.keys
        self._clock = clock
        self._verifier = Verifier(clock)
        self._signatories = lru_cache(maxsize=512)(self._signatory)

    def recognise(self, request: Request, body: bytes) -> Signatory | None:
        """Who has signed a request to Lambda with this body, and in time, if it is signed as nearly all are.

        None tells nothing: `claimed` and `verify_whole` say the same of more requests, and what is wrong with one. They
        take half as long again. Raises what `read_terms` does, and `UnrecognizedClient`.
        """
        headers, query = request.headers, request.query
        words, _, signature = headers.get("authorization", "").rpartition(", Signature=")
        if len(signature) != _HEXADECIMAL or "," in signature:
            return None
        if query:
            if is_presigned(query):
                return None
            query = canonical_query(pairs_of(query))
        signatory = self._signatories(words)
        if (
            signatory is None
            or signatory.service != LAMBDA
            or signatory.key is not self._keys.get(signatory.access_key)
        ):
            return None
        stamp = headers.get("x-amz-date", "")
        signed_at = moment_of(stamp)
        if signed_at is None or stamp[:8] != signatory.date or TOKEN_HEADER in headers:
            return None
        if not -SKEW_MS <= self._clock.wall() - signed_at <= SKEW_MS or uncovered_field(headers, signatory) is not None:
            return None
        digest = sha256(body).hexdigest()
        if headers.get(CONTENT_SHA256, digest) != digest:
            return None
        try:
            expected = signatory.signer.sign(stamp, request, query, digest)
        except KeyError:
            return None
        return signatory if signature.isascii() and compare_digest(expected, signature) else None

    def claimed(self, request: Request) -> Claim[Signatory]:
        """Whose credential a request names. Raises what `claim_of` does, and `UnrecognizedClient`."""
        claim = claim_of(request.headers, request.query, self._signatories)
        signatory = claim.terms
        if signatory.key is not self._keys.get(signatory.access_key):
            # Revoked since. Nobody's secret is kept for longer.
            self._signatories.cache_clear()
            return self.claimed(request)
        if claim.token:
            # Lasting credentials have none, and a function's count on the connections of its environment alone.
            raise UnrecognizedClient(_UNKNOWN)
        return claim

    def _signatory(self, words: str) -> Signatory | None:
        terms = read_terms(words)
        if terms is None:
            return None
        key = self._keys.get(terms.scope.access_key)
        if key is None:
            raise UnrecognizedClient(_UNKNOWN)
        return Signatory(terms, key)

    async def verify_whole(self, claim: Claim[Signatory], request: Request, limit: int, what: str) -> None:
        """As `Verifier.verify_whole`."""
        await self._verifier.verify_whole(claim, claim.terms.signer, request, limit=limit, what=what)

    async def verify_passing(self, claim: Claim[Signatory], request: Request, limit: int) -> AsyncIterable[bytes]:
        """As `Verifier.verify_passing`."""
        return await self._verifier.verify_passing(claim, claim.terms.signer, request, limit=limit)
