"""Links to packages, as GetFunction hands them out: anybody who has one may download, for ten minutes.

ondol signs them with a key of its own that never leaves the store, and verifies them like any presigned query.
"""

from ondol.aws.sigv4 import Credentials, SignedRequest, claim_of, presign, verify
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
        signed = SignedRequest(request.method, request.path, request.query, request.headers)
        verify(claim_of(request.headers, request.query), signed, self._credentials.secret, self._clock.wall())
