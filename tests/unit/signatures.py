"""Requests and their signatures, as whoever receives them verifies them."""

from collections.abc import Mapping

import msgspec

from ondol.aws.signing import EMPTY_BODY, Signable, Signer, Terms
from ondol.aws.sigv4 import Claim, claim_of, read_terms, verify
from ondol.model.time import WallTime


class SignedRequest(msgspec.Struct, frozen=True):
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body_sha256: str = EMPTY_BODY


def verify_signed(request: Signable, body_sha256: str, secret: str, at: WallTime) -> Claim[Terms]:
    """What a request claims, if that is true."""
    claim = claim_of(request.headers, request.query, read_terms)
    verify(claim, Signer(secret, claim.terms), request, body_sha256, at)
    return claim
