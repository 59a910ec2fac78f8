"""Whether a request is what its signature says, its body too, however that comes: whole, or on its way elsewhere.

Where a client says what its body is, its signature is verified before the body is taken, so that a stranger cannot make
ondol hold one; where it does not, so much is held for strangers in all, and no more. A body that goes on to another
server is not gathered: its hash is compared before its last piece leaves.
"""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import Any

from ondol.aws.signing import CONTENT_SHA256, UNSIGNED, Signer, of_s3
from ondol.aws.sigv4 import WRONG, Claim, verify
from ondol.frontend.payloads import read_body
from ondol.http import Request
from ondol.model.errors import InvalidSignature, NotServed, Outcome, PlatformError
from ondol.model.time import Clock

QUICK_BYTES = 65_536
"""A body up to this size is hashed at once, in less than 0.1 ms; a larger one away from the event loop."""

HELD_BYTES = 256 * 1024 * 1024
"""Of bodies larger than that, so much together is held for callers who are not known yet."""

UNTOLD_BYTES = 8 * 1024 * 1024
"""The largest body of which neither hash nor length is told beforehand: more than any invocation's."""

_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_UNSIGNED_BODIES = frozenset({UNSIGNED, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"})
_LETS_BODIES_BE_UNSIGNED = frozenset({"ebs", "lex", "mediastore", "omics"})
"""Beside S3 the services with such an operation (`v4-unsigned-body` in botocore's models)."""


class Verifier:
    """Verifies requests by what they claim and the signer that they claim to be of."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held = 0

    async def verify_whole(self, claim: Claim[Any], signer: Signer, request: Request, *, limit: int, what: str) -> None:
        """As `ondol.aws.sigv4.verify`; the body is whole then. Raises `RequestEntityTooLarge` above `limit` bytes."""
        declared = request.headers.get(CONTENT_SHA256, "") if not claim.presigned else ""
        if _HASH.fullmatch(declared):
            self._verify(claim, signer, request, declared)
            if await _hash(await read_body(request, limit, what)) != declared:
                raise InvalidSignature(WRONG)
            return
        length = request.body.length
        if length is None:
            limit = min(limit, UNTOLD_BYTES)
        with self._room(0 if request.body.whole is not None else limit if length is None else min(length, limit)):
            digest = await _hash(await read_body(request, limit, what))
        self._verify(claim, signer, request, digest)

    async def verify_passing(
        self, claim: Claim[Any], signer: Signer, request: Request, *, limit: int
    ) -> AsyncIterable[bytes]:
        """As `verify_whole`, of a request that goes on to another server; the answer is its body, to be passed on.

        What that yields raises `InvalidSignature` in place of its last piece if it is not what was signed.
        """
        declared = request.headers.get(CONTENT_SHA256, "")
        service = claim.terms.scope.service
        unsigned = of_s3(service) or service in _LETS_BODIES_BE_UNSIGNED
        if claim.presigned and of_s3(service):
            self._verify(claim, signer, request, UNSIGNED)
            return request.body
        if not claim.presigned:
            if unsigned and declared in _UNSIGNED_BODIES:
                self._verify(claim, signer, request, declared)
                return request.body
            if _HASH.fullmatch(declared) and request.body.whole is None and request.body.length != 0:
                self._verify(claim, signer, request, declared)
                return _compared(request.body, declared)
            if declared.startswith("STREAMING-"):
                raise NotServed(
                    f"ondol does not verify bodies that are signed piece by piece ({declared}). Have the client sign "
                    "the body as a whole, or over TLS not at all."
                )
        await self.verify_whole(claim, signer, request, limit=limit, what=service)
        return request.body

    def _verify(self, claim: Claim[Any], signer: Signer, request: Request, body_sha256: str) -> None:
        verify(claim, signer, request, body_sha256, self._clock.wall())

    @contextlib.contextmanager
    def _room(self, size: int) -> Iterator[None]:
        """Raises `PlatformError` if too much is held already; the client may ask again."""
        size = size if size > QUICK_BYTES else 0
        if self._held + size > HELD_BYTES:
            raise PlatformError(
                f"too many large requests are being verified; with the header {CONTENT_SHA256} one need not wait",
                Outcome.NOT_STARTED,
            )
        self._held += size
        try:
            yield
        finally:
            self._held -= size


async def _hash(body: bytes) -> str:
    if len(body) <= QUICK_BYTES:
        return hashlib.sha256(body).hexdigest()
    return (await asyncio.to_thread(hashlib.sha256, body)).hexdigest()


async def _compared(body: AsyncIterable[bytes], declared: str) -> AsyncIterator[bytes]:
    """The pieces of a body, one held back until the hash of all is known to be the one that was signed."""
    hashed = hashlib.sha256()
    held = b""
    async for piece in body:
        if held:
            yield held
        hashed.update(piece)
        held = piece
    if hashed.hexdigest() != declared:
        raise InvalidSignature(WRONG)
    if held:
        yield held
