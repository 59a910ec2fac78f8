"""The API as callers reach it whose signatures are verified (`--auth sigv4`): whose credential a request names."""

from collections.abc import AsyncIterable
from functools import lru_cache
from hashlib import sha256

from ondol.aws.identity import Caller
from ondol.aws.signing import Signer, Terms
from ondol.aws.sigv4 import Claim, claim_of, read_terms, verify
from ondol.callers.api import Callers, Key
from ondol.frontend.rights import operations_of
from ondol.frontend.verifier import Verifier
from ondol.http import Request
from ondol.model.errors import UnrecognizedClient
from ondol.model.ids import Region
from ondol.model.time import Clock

_UNKNOWN = "The security token included in the request is invalid."


class Signatory(Terms):
    """Terms of signing, and the credential that there is for them: the same from call to call."""

    __slots__ = ("access_key", "caller", "credential", "key", "operations", "service", "signer")

    def __init__(self, terms: Terms, key: Key) -> None:
        super().__init__(terms.scope, terms.signed)
        credential = key.credential
        self.key = key
        self.credential = credential
        self.access_key = credential.access_key
        self.caller = Caller(credential.account, Region(terms.scope.region), credential.access_key, credential.arn)
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

    def verify(self, claim: Claim[Signatory], request: Request, body: bytes) -> None:
        """As `ondol.aws.sigv4.verify`, of a request with this body."""
        verify(claim, claim.terms.signer, request, sha256(body).hexdigest(), self._clock.wall())

    async def verify_whole(self, claim: Claim[Signatory], request: Request, limit: int, what: str) -> None:
        """As `Verifier.verify_whole`."""
        await self._verifier.verify_whole(claim, claim.terms.signer, request, limit=limit, what=what)

    async def verify_passing(self, claim: Claim[Signatory], request: Request, limit: int) -> AsyncIterable[bytes]:
        """As `Verifier.verify_passing`."""
        return await self._verifier.verify_passing(claim, claim.terms.signer, request, limit=limit)
