"""The API as callers reach it whose signatures are verified (`--auth sigv4`): whose credential a request names."""

from collections.abc import AsyncIterable
from functools import lru_cache

import msgspec

from ondol.aws.identity import Caller
from ondol.aws.sigv4 import Claim, claim_of
from ondol.callers.api import Callers, Credential
from ondol.frontend.verifier import Verifier
from ondol.http import Request
from ondol.model.errors import UnrecognizedClient
from ondol.model.ids import Region
from ondol.model.time import Clock


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """A request that says it is signed with a credential that there is."""

    claim: Claim
    credential: Credential
    secret: str

    @property
    def service(self) -> str:
        return self.claim.scope.service

    @property
    def caller(self) -> Caller:
        """Who this is, if the signature is true."""
        return _caller(self.credential, self.claim.scope.region)


class VerifiedDoor:
    """Verifies requests by the credentials that count at that moment."""

    def __init__(self, callers: Callers, clock: Clock) -> None:
        self._callers = callers
        self._verifier = Verifier(clock)

    def claimed(self, request: Request) -> Claimed:
        """Whose credential a request names. Raises what `claim_of` does, and `UnrecognizedClient`."""
        claim = claim_of(request.headers, request.query)
        known = self._callers.find(claim.scope.access_key)
        if known is None or claim.token:
            # Lasting credentials have no token, and a function's count on the connections of its environment alone.
            raise UnrecognizedClient("The security token included in the request is invalid.")
        return Claimed(claim, *known)

    def verify(self, claimed: Claimed, request: Request, body: bytes) -> None:
        """As `Verifier.verify`."""
        self._verifier.verify(claimed.claim, claimed.secret, request, body)

    async def verify_whole(self, claimed: Claimed, request: Request, limit: int, what: str) -> None:
        """As `Verifier.verify_whole`."""
        await self._verifier.verify_whole(claimed.claim, claimed.secret, request, limit=limit, what=what)

    async def verify_passing(self, claimed: Claimed, request: Request, limit: int) -> AsyncIterable[bytes]:
        """As `Verifier.verify_passing`."""
        return await self._verifier.verify_passing(claimed.claim, claimed.secret, request, limit=limit)


@lru_cache(maxsize=4096)
def _caller(credential: Credential, region: str) -> Caller:
    return Caller(credential.account, Region(region), credential.access_key, credential.arn)
