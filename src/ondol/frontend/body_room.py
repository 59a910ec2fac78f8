"""How much is held of what strangers send: bodies of requests that nobody need sign, while they are on their way.

Function URLs and HTTP APIs can be everybody's, and a client may take as long over a body as it likes.
"""

from ondol.http import BodyTooLarge, Request
from ondol.model.errors import Outcome, PlatformError

HELD_BYTES = 256 * 1024 * 1024
"""Of all bodies together that are not whole yet."""


class BodyRoom:
    """Shared by all whose callers may be strangers."""

    def __init__(self, held_bytes: int = HELD_BYTES) -> None:
        self._left = held_bytes

    async def read(self, request: Request, limit: int) -> bytes:
        """All of a body. Raises `BodyTooLarge` above `limit` bytes, `PlatformError` where others hold all the room;
        and what reading it raises."""
        body = request.body
        if body.whole is not None or (body.length or 0) > limit:
            return await body.read(limit)
        gathered = bytearray()
        try:
            async for piece in body:
                gathered += piece
                self._left -= len(piece)
                if len(gathered) > limit:
                    raise BodyTooLarge(limit)
                if self._left < 0:
                    raise PlatformError("too many large requests are on their way; send it again", Outcome.NOT_STARTED)
            return bytes(gathered)
        finally:
            self._left += len(gathered)
