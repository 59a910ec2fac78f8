"""Links to packages, as GetFunction hands them out: anybody who has one may download, for ten minutes.

ondol signs them with a key of its own that never leaves the store, and verifies them like any presigned query.
"""

from ondol.aws.signing import EMPTY_BODY, Credentials, Signer, presign
from ondol.aws.sigv4 import claim_of, read_terms, verify
from ondol.http import Request
from ondol.model.ids import CodeDigest, Region
from ondol.model.time import Clock

PATH = "/_ondol/code/"
VALID_S = 600


class CodeLinks:
    def __init__(self, secret: str, clock: Clock) -> None:
        self._credentials = Credentials("ondol", secret)
        self._clock = clock

    def link(self, endpoint: str, region: Region, digest: CodeDigest) -> str:
        """A link to the package with this digest, at `endpoint`."""
        path = f"{PATH}{digest}"
        return presign(
            "GET",
            endpoint,
            path,
            credentials=self._credentials,
            region=region,
            service="lambda",
            now=self._clock.wall(),
            valid_s=VALID_S,
        )

    def verify(self, request: Request) -> None:
        """Raises `CallerError` unless the request's query was signed here for this path, and is still good."""
        claim = claim_of(request.headers, request.query, read_terms)
        signer = Signer(self._credentials.secret, claim.terms)
        verify(claim, signer, request, EMPTY_BODY, self._clock.wall())
